import json
from pathlib import Path

import pandas as pd
import pytest

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.runs import write_table

COLUMNS = {"id": ["a", "b,c"], "p": [0.1, float("nan")]}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_what_is_written_can_be_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    write_table(COLUMNS, path)
    found = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(found, pd.DataFrame(COLUMNS), check_dtype=False)


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    write_table(COLUMNS, tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {"id": ["a", "b,c"], "p": [0.1, None]}


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"one of \.csv, \.parquet, \.json, got .*t\.cvs.*Did you mean '\.csv'"
    ):
        write_table(COLUMNS, tmp_path / "t.cvs")
    assert list(tmp_path.iterdir()) == []


def test_formulas_are_marked_and_read_back_and_numbers_stay_numbers(tmp_path: Path) -> None:
    columns = {
        "id": ["=cmd|' /C calc'!A0", "-x", "-2"],
        "@p": [-1.5, 2.0, 0.5],
        "+class": ["-1", "+1", "-yes"],
    }
    text = write_table(columns, tmp_path / "t.csv") and (tmp_path / "t.csv").read_text()
    assert text == "id,'@p,'+class\n'=cmd|' /C calc'!A0,-1.5,-1\n'-x,2.0,+1\n-2,0.5,'-yes\n"
    found = data.read(tmp_path / "t.csv", id="id", categorical=["+class"])
    assert (found.ids, found.feature_names) == (tuple(columns["id"]), ("@p", "+class"))
    assert found.columns[1].levels == ("+1", "-1", "-yes")
    assert json.loads(Path(write_table(columns, tmp_path / "t.json")).read_text()) == columns
