import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from rich.console import Console

from rightreasons.cli import main
from rightreasons.cli._progress import counted
from tests.cli.test_full_disk import files_of_at_most

NETWORK = (
    "import torch\nfrom torch import nn\ndef build():\n    torch.manual_seed(0)\n    return nn.Linear(4, 3)\n"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "command_networks.py").write_text(NETWORK)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 4)).astype("f4"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "command_networks", raising=False)
    return tmp_path


def explain(*more: str) -> int:
    return main(["explain", "command_networks:build", "x.npy", *more])


def test_maps_land_where_they_were_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = "{name: integrated_gradients, steps: 4}"
    assert explain("--method", method, "-o", "maps.zarr", "--rows", "8", "--explained", "1") == 0
    said = capsys.readouterr()
    assert said.out == "maps.zarr\n"
    assert "explaining x.npy: 20/20 rows" in said.err
    group: Any = zarr.open_group("maps.zarr", mode="r")
    assert group["target"][:].tolist() == [1] * 20
    assert group.attrs["job"]["method"] == "IntegratedGradients(steps=4)"
    assert explain("--method", method, "-o", "maps.zarr", "--rows", "8", "--explained", "1") == 0
    assert "20/20 rows, 20 found done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["-o", "maps.zarr", "--explained", "best"],
            "explained='best' is no output. Known: 'label', 'predicted'.",
        ),
        (["-o", "maps.zarr", "--chunk", "big"], "--chunk is auto or a number; got 'big'"),
        (["-o", "maps.zarr", "--method", "{name"], "--method is no YAML"),
        (["-o", "maps.png"], "Maps are written as one of .zarr, .csv, .parquet"),
        ([], "Missing option '--output'"),
    ],
)
def test_mistakes_are_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert explain(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_terminal_has_a_bar_and_a_file_has_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=True, width=90, stderr=True)
    with counted("explaining", console) as show:
        show(5, 10, 0)
        show(10, 10, 0)
    assert "10/10" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder in which nobody can make files")
@pytest.mark.parametrize("name", ["maps.zarr", "maps.csv"])
def test_a_place_that_cannot_be_written_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert explain("-o", f"/sys/{name}") == 2
    assert re.search(rf"^error: /sys/\.?{name}.* cannot be written: ", capsys.readouterr().err, re.MULTILINE)


def test_a_full_disk_loses_nothing_that_is_done(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(here / "x.npy", np.random.default_rng(0).normal(size=(400, 4)).astype("f4"))
    with files_of_at_most(8000):  # the pieces fit, the table does not
        assert explain("-o", "maps.csv", "--rows", "40") == 2
    assert "error: maps.csv cannot be written: " in capsys.readouterr().err
    assert [p.name for p in here.iterdir() if "maps" in p.name] == [".maps.csv.zarr"]
    assert explain("-o", "maps.csv", "--rows", "40") == 0
    assert "400 found done" in capsys.readouterr().err
    assert len((here / "maps.csv").read_text().splitlines()) == 401
