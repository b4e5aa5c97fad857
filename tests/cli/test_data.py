"""`data` and `init`, as a user calls them."""

from pathlib import Path

import pytest
from PIL import Image

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
    monkeypatch.setattr("rightreasons.data.named._fetch.urllib.request.urlopen", _offline)
    assert main(["data", "describe", "film-reviews"]) == 2
    assert f"\n  tar -xzf {tmp_path}" in capsys.readouterr().err


def _offline(*_: object, **__: object) -> object:
    raise OSError("no network")


def test_init_writes_a_recipe_beside_the_data_and_overwrites_nothing(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", table, "--target", "ill", "--id", "who", "--dates-since", "2020-01-01"]) == 0
    to = Path(table).with_suffix(".yaml")
    out = capsys.readouterr().out
    assert out.endswith(f"Recipe: {to}\nNext: rightreasons train {to}\n")
    assert ("Left out, with reasons in the recipe: " in out) == bool(read(to).data.drop)
    assert read(to).data.target == "ill"
    assert main(["init", table, "--target", "ill"]) == 2
    assert "is not overwritten" in capsys.readouterr().err


def test_init_and_describe_read_tables_of_other_countries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(f"{i},5;{i % 2}" for i in range(9))
    (tmp_path / "t.csv").write_text(f"v;y\n{lines}\n")
    asked = [str(tmp_path / "t.csv"), "--target", "y", "--separator", ";", "--decimal", ","]
    assert main(["data", "describe", *asked]) == 0
    assert "numbers 0.5 to 8.5" in capsys.readouterr().out
    assert main(["init", *asked]) == 0
    read_back = read(tmp_path / "t.yaml").data
    assert (read_back.separator, read_back.decimal, read_back.drop) == (";", ",", [])


def test_describe_takes_several_labels_and_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("v,a,b\n1.5,0,1\n2.5,1,0\n3.5,1,1\n")
    assert main(["data", "describe", str(tmp_path / "t.csv"), "--target", "a", "--target", "b"]) == 0
    assert "label: a 2 (66.7 %), b 2 (66.7 %)" in capsys.readouterr().out
    for name, size in (("cat", (4, 6)), ("dog", (8, 5))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("L", size).save(tmp_path / "pictures" / name / "1.png")
    assert main(["data", "describe", str(tmp_path / "pictures"), "--size", "3", "7"]) == 0
    assert "2 rows of shape (1 x 3 x 7)" in capsys.readouterr().out


def test_points_for_thousands_and_rows_without_a_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(f"{i}.000,5;{i % 2 if i else ''}" for i in range(9))
    (tmp_path / "t.csv").write_text(f"sep=;\nv;y\n{lines}\n")
    asked = [str(tmp_path / "t.csv"), "--target", "y", "--decimal", ","]
    assert main(["data", "describe", *asked, "--thousands", "."]) == 2
    assert "first in row 1. A row without a label" in capsys.readouterr().err
    assert main(["data", "describe", *asked, "--thousands", ".", "--skip-unlabelled"]) == 0
    out = capsys.readouterr().out
    assert "t: 8 rows of shape (1)" in out
    assert "numbers 1000.5 to 8000.5" in out
    assert main(["init", *asked, "--thousands", ".", "--skip-unlabelled"]) == 0
    assert read(tmp_path / "t.yaml").data.thousands == "."
