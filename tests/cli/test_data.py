"""`data` and `init`, as a user calls them."""

from pathlib import Path

import pytest

from rightreasons.cli import main
from rightreasons.recipes import read
from tests.recipes.test_draft import AWKWARD


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "people.csv").write_text(AWKWARD)
    return str(tmp_path / "people.csv")


def test_list_names_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[:2] == ["digits", "package"]
    assert lines[-1].startswith("Data folder: ")


def test_describe_a_set_and_a_file(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "describe", "digits"]) == 0
    assert "1,797 rows of shape (1 x 8 x 8)" in capsys.readouterr().out
    assert main(["data", "describe", table, "--target", "ill", "--id", "who"]) == 0
    out = capsys.readouterr().out
    assert "label: no 48 (80.0 %), yes 12 (20.0 %)" in out
    assert "not usable as it is: Column 'notes'" in out
    assert main(["data", "describe", table, "--target", "il"]) == 2
    assert "Did you mean 'ill'?" in capsys.readouterr().err


def test_fetch_what_has_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "digits"]) == 2
    assert "has no files to download" in capsys.readouterr().err


def test_lines_to_copy_stay_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RIGHTREASONS_DATA", str(tmp_path))
    monkeypatch.setattr("rightreasons.data._fetch.urllib.request.urlopen", _offline)
    assert main(["data", "describe", "film-reviews"]) == 2
    assert f"\n  tar -xzf {tmp_path}" in capsys.readouterr().err


def _offline(*_: object, **__: object) -> object:
    raise OSError("no network")


def test_init_writes_a_recipe_beside_the_data_and_overwrites_nothing(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", table, "--target", "ill", "--id", "who", "--dates-since", "2020-01-01"]) == 0
    to = Path(table).with_suffix(".yaml")
    assert capsys.readouterr().out == f"Recipe: {to}\nNext: rightreasons train {to}\n"
    assert read(to).data.target == "ill"
    assert main(["init", table, "--target", "ill"]) == 2
    assert "is not overwritten" in capsys.readouterr().err
