"""Commands that are asked to end: the code of the signal, one line that says how to go on, and going on works."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rightreasons.cli import main
from rightreasons.runs import RunDirectory
from rightreasons.runs.execution import _processes

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
name: ended
data: {name: digits, train: 200, validation: 40, test: 60, splits: 2}
model: {name: mlp, hidden: [16]}
training: {epochs: 400, batch_size: 25, checkpoint_every: 5}
explain: {rows: 5, attribution: gradient}
arms: [{name: Plain}, {name: Smooth, terms: [{prior: total_variation}], weights: [0.01]}]
"""
GO_ON = "stopped; run the same command again to go on from here\n"


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_the_exit_code_and_one_line(
    kind: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*_: Any, **__: Any) -> None:
        signal.raise_signal(kind)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("rightreasons.data.names", work)
    assert main(["data", "list"]) == code
    assert capsys.readouterr().err == GO_ON
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_an_error_of_the_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")

    monkeypatch.setattr("rightreasons.data.names", full)
    assert main(["data", "list"]) == 2
    assert capsys.readouterr().err == "error: /some/file: No space left on device.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_to_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rightreasons", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    assert done.returncode == 2
    assert done.stderr == b"error: standard output: No space left on device.\n"


def is_gone(group: int) -> bool:
    """Whether no process of the group is left, within ten seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.mark.slow
def test_workers_end_with_the_command_at_once(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "rightreasons", "train", "r.yaml", "-o", "run", "--no-report", "-w", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("run/checkpoints/*/step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith(GO_ON)
    assert "Traceback" not in said
    assert is_gone(process.pid)
    assert not RunDirectory(tmp_path / "run").metrics_file.exists()


def test_interrupts_wait_while_processes_are_started() -> None:
    reached = False

    def held() -> None:
        nonlocal reached
        with _processes.interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            reached = True

    over = threading.Event()
    other = threading.Thread(target=over.wait, args=(30,))  # one that does not block the signal
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            held()
    finally:
        over.set()
        other.join()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
