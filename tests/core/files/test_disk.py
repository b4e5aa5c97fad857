"""Files: whole or absent, told by their digests, one writer at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rightreasons.core._errors import DataError
from rightreasons.core.files._disk import digest_of, only_writer, write_atomically

HOLDER = """
import signal, sys
from pathlib import Path
from rightreasons.core.files._disk import only_writer
with only_writer(Path(sys.argv[1]), Path("place")):
    print("held", flush=True)
    signal.pause()
"""


def test_a_file_appears_whole_and_nothing_else_does(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.json"
    write_atomically(target, "one")
    write_atomically(target, b"two")
    assert target.read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["b.json"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.json"
    write_atomically(target, "one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"b\.json cannot be written: No space left on device"):
        write_atomically(target, "two")
    assert target.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_atomically(tmp_path / "run" / "x.json", "")


def test_files_in_a_folder_count_by_name_and_content(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    both, one = digest_of(tmp_path), digest_of(tmp_path, [tmp_path / "a"])
    assert both != one
    (tmp_path / "b").write_text("a")
    assert digest_of(tmp_path) != both
    assert digest_of(tmp_path, [tmp_path / "a"]) == one
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest_of(tmp_path, [tmp_path / "c"]) != one


def test_the_second_writer_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    lock = tmp_path / "new" / ".lock"
    with only_writer(lock, tmp_path / "maps.zarr"):
        said = rf"maps\.zarr is being written by another process \({os.getpid()}\)\. Wait until"
        with pytest.raises(DataError, match=said), only_writer(lock, tmp_path / "maps.zarr"):
            pass
        assert lock.read_text() == f"{os.getpid()}\n"
    assert not lock.exists()
    with pytest.raises(ZeroDivisionError), only_writer(lock, tmp_path):
        raise ZeroDivisionError
    with only_writer(lock, tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock, source = tmp_path / ".lock", str(Path(__file__).parents[3] / "src")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(DataError, match=rf"another process \({holder.pid}\)"), only_writer(lock, tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert lock.exists()
    with only_writer(lock, tmp_path):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"place cannot be written"),
        only_writer(tmp_path / "file" / ".lock", Path("place")),
    ):
        pass
