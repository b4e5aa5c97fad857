import json
from pathlib import Path

import numpy as np
import pytest

from rightreasons.core._errors import DataError
from rightreasons.runs import RunDirectory
from rightreasons.runs.results._files import npz, to_json


def test_json_is_json_also_with_nan() -> None:
    assert json.loads(to_json({"a": [float("nan"), float("inf"), 1.0], "b": (1, None)})) == {
        "a": [None, None, 1.0],
        "b": [1, None],
    }


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / ".writing-abc").write_text("half")
    (tmp_path / "fits" / "x.json").write_text("{}")
    (tmp_path / "checkpoints" / "a" / ".writing-000000005-4711" / "inner").mkdir(parents=True)
    RunDirectory(tmp_path).clean()
    assert not list((tmp_path / "checkpoints" / "a").iterdir())
    assert [p.name for p in (tmp_path / "fits").iterdir()] == ["x.json"]


def test_opening_what_is_no_run_names_those_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"digit' does not exist\. Did you mean .*digits'"):
        RunDirectory.open(tmp_path / "digit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no results yet .*finish it with rightreasons train"):
        RunDirectory.open(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "why"), [("", "is no JSON"), ("[", "is no JSON"), ("[1]", "holds no JSON object")]
)
def test_a_damaged_summary_is_said(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=f"metrics.json is gone or damaged: it {why}. Run the recipe again"):
        RunDirectory.open(tmp_path).metrics()


def test_a_summary_of_another_version_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"arms": []}')
    with pytest.raises(DataError, match="is of another version, or damaged: it has no 'comparisons'"):
        RunDirectory.open(tmp_path).metrics()


def test_maps_are_read_back(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.manifest.write(run.maps_file("k"), npz({"maps": np.arange(3.0)}))
    np.testing.assert_array_equal(run.maps("k")["maps"], np.arange(3.0))
