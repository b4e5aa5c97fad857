import json
from pathlib import Path

import numpy as np
import pytest

from rightreasons.core._errors import DataError
from rightreasons.runs import RunDirectory
from rightreasons.runs._files import npz, read_json, to_json, write_atomically


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


def test_json_is_json_also_with_nan() -> None:
    assert json.loads(to_json({"a": [float("nan"), float("inf"), 1.0], "b": (1, None)})) == {
        "a": [None, None, 1.0],
        "b": [1, None],
    }


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_what_is_no_object_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "absent.json") is None


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / ".writing-abc").write_text("half")
    (tmp_path / "fits" / "x.json").write_text("{}")
    RunDirectory(tmp_path).clean()
    assert [p.name for p in (tmp_path / "fits").iterdir()] == ["x.json"]


def test_opening_what_is_no_run_names_those_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"digit' does not exist\. Did you mean .*digits'"):
        RunDirectory.open(tmp_path / "digit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no results yet .*finish it with rightreasons train"):
        RunDirectory.open(tmp_path / "empty")


def test_a_damaged_summary_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("[")
    with pytest.raises(DataError, match="is not a summary: run the recipe again"):
        RunDirectory.open(tmp_path).metrics()


def test_a_summary_of_another_version_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"arms": []}')
    with pytest.raises(DataError, match="is of another version, or damaged: it has no 'comparisons'"):
        RunDirectory.open(tmp_path).metrics()


def test_maps_are_read_back(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_atomically(run.maps_file("k"), npz({"maps": np.arange(3.0)}))
    np.testing.assert_array_equal(run.maps("k")["maps"], np.arange(3.0))
