"""A disk that is full, or cannot be written: one line, exit code 2, and no file that is half there."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from rightreasons.cli import main
from rightreasons.recipes import read
from rightreasons.runs import RunDirectory, run

resource = pytest.importorskip("resource")

RECIPE = """
name: full
data: {name: digits, train: 60, validation: 40, test: 40, splits: 1}
model: {name: mlp, hidden: [64]}
training: {epochs: 2, checkpoint_every: 1}
explain: {rows: 5, attribution: {name: expected_gradients, samples: 4}}
loggers: [csv, tensorboard]
arms: [{name: Plain}]
"""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, a file grows no further than this, and the write that would do so fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trained in this process."""
    monkeypatch.setattr(
        "rightreasons.runs.run", lambda *given, workers, **more: run(*given, workers=0, **more)
    )
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path / "r.yaml"


def one_line(err: str) -> str:
    """The error, without lines of progress."""
    (line,) = (line for line in err.splitlines() if not re.match(r"full: ", line))
    assert line.startswith("error: ")
    assert "Traceback" not in err
    return line


def whole(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return bool(load_file(path))
    if path.suffix == ".json":
        return bool(json.loads(path.read_text()))
    return not path.name.startswith(".writing-")


@pytest.mark.parametrize(
    ("size", "what", "changed"),
    [
        (200, "recipe.yaml", ""),
        (25_000, "the checkpoint .*step-000000001", ""),
        (15_000, r"fits/plain.*\.safetensors", "training.checkpoint_every=null"),
        (40_000, r"report\.html", "training.checkpoint_every=null"),
    ],
)
def test_a_full_disk_leaves_nothing_half_written_and_the_run_goes_on_later(
    size: int, what: str, changed: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(recipe), "-o", str(tmp_path / "run"), *(["--set", changed] if changed else [])]
    with files_of_at_most(size):
        assert main(command) == 2
    error = one_line(capsys.readouterr().err)
    assert re.search(f"{what}.* cannot be written: File too large", error)
    assert all(whole(path) for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert main(command) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert not list((tmp_path / "run").rglob(".writing-*"))


TABLE = """
name: small
data: {path: people.csv, target: ill, train: 40, validation: 20, test: 20, splits: 1}
model: {name: mlp, hidden: [4]}
training: {epochs: 1}
explain: {rows: 5, attribution: gradient}
arms: [{name: Plain}, {name: Other, terms: [{regulariser: weight_l1}], weights: [0.1]}]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a run on it."""
    home = tmp_path_factory.mktemp("home")
    lines = [f"{i % 7},{i % 11},{'yes' if (i * i) % 5 > 1 else 'no'}" for i in range(100)]
    (home / "people.csv").write_text("\n".join(["age,dose,ill", *lines]) + "\n")
    (home / "r.yaml").write_text(TABLE)
    run(read(home / "r.yaml"), home / "run", workers=0)
    return home


@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("predict run people.csv -o out.csv", "out.csv"),
        ("export run -o out.parquet", "out.parquet"),
        ("report run", "run/report.html"),
        ("report run run -o index.html", "run/report.html"),
        ("attack run --eps 0.1 --rows 4 --steps 2 -o out", "out/table.csv"),
        ("init people.csv --target ill -o new.yaml", "new.yaml"),
        ("explain run people.csv --rows 50 -o out.zarr", "out.zarr"),
        ("explain run people.csv --rows 50 -o maps.csv", "maps.csv"),
        ("train r.yaml -o run", "run/recipe.yaml"),
    ],
)
def test_a_full_disk_leaves_old_files_as_they_were(
    home: Path, tmp_path: Path, command: str, made: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "rightreasons.runs.run", lambda *given, workers, **more: run(*given, workers=0, **more)
    )
    if made.endswith((".csv", ".parquet")) and not command.startswith("explain"):
        (tmp_path / made).parent.mkdir(exist_ok=True)
        (tmp_path / made).write_text("old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        for name in ("os.fsync", "os.replace"):
            patched.setattr(name, full)
        assert main(command.split()) == 2
    err = capsys.readouterr().err
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert re.search("cannot be written: No space left on device", line)
    assert "Traceback" not in err
    after = {path: path.read_bytes() for path in before if path.name != "SHA256SUMS"}
    assert after == {path: content for path, content in before.items() if path.name != "SHA256SUMS"}
    assert all(
        RunDirectory(tmp_path / "run").manifest.whole(path) for path in (tmp_path / "run").glob("*.json")
    )
    assert main(command.split()) == 0
    assert (tmp_path / made).exists()
    assert (tmp_path / made).is_dir() or (tmp_path / made).read_bytes() != b"old"


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder in which nobody can make files")
def test_a_folder_that_cannot_be_written_is_said_before_training(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(recipe), "-o", "/sys/rightreasons-run"]) == 2
    captured = capsys.readouterr().err
    assert re.search("/sys/rightreasons-run cannot be written: ", one_line(captured))
    assert "training" not in captured
