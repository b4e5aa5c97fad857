import pytest

from rightreasons.core._errors import DataError
from rightreasons.data import read
from rightreasons.data.readers._read import FORMATS


def test_a_file_that_is_not_there_is_told_with_the_closest(tmp_path):
    (tmp_path / "people.csv").touch()
    with pytest.raises(DataError, match=r"no file '.*peple.csv'. Did you mean '.*people.csv'"):
        read(tmp_path / "peple.csv")
    with pytest.raises(DataError, match="There is no file '.*'. Known: none"):
        read(tmp_path / "nowhere" / "people.csv")


def test_an_unknown_ending_is_told_with_the_known_ones(tmp_path):
    (tmp_path / "t.cvs").touch()
    with pytest.raises(
        DataError, match=r"nothing is known about files that end in '.cvs'. Did you mean '.csv'"
    ):
        read(tmp_path / "t.cvs")


@pytest.mark.parametrize(
    ("name", "what"), [("t.xlsx", "a workbook"), ("t.XLS", "a workbook"), ("t.dta", "a file of Stata")]
)
def test_other_programs_files_are_told_with_the_way_out(tmp_path, name, what):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"{name} is {what}.*, which is not read. Save it as CSV"):
        read(tmp_path / name)


def test_the_closest_is_of_the_same_kind_among_all_that_is_there(tmp_path):
    for i in range(60):
        (tmp_path / f"run{i:02}.csv").touch()
    for name in ("patients.csv", "patient.yaml", "patient.txt", ".patient.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"Did you mean '.*/patients.csv'\? The 61 names are like"):
        read(tmp_path / "patient.csv")
    with pytest.raises(DataError, match=r"Did you mean '.*/patient.txt'"):
        read(tmp_path / "patientt.parquet")


def test_one_image_is_no_data_set(tmp_path):
    (tmp_path / "1.PNG").touch()
    with pytest.raises(DataError, match=r"1.PNG is one image, and a data set is a folder of them: pass .*"):
        read(tmp_path / "1.PNG")


@pytest.mark.parametrize(
    ("name", "option", "match"),
    [
        ("t.csv", {"size": (8, 8)}, "is a CSV file, which has no 'size'. Its options: target"),
        ("t.parquet", {"separator": ";"}, "is a Parquet file, which has no 'separator'"),
        ("t.npz", {"categorical": ["a"]}, "is a NumPy file, which has no 'categorical'"),
        ("t.h5ad", {"drop": ["a"]}, "is an AnnData file, which has no 'drop'"),
        ("folder", {"target": "y"}, "which have a column 'y' only in a file that names them"),
    ],
)
def test_options_of_another_format_are_refused(tmp_path, name, option, match):
    (tmp_path / name).touch() if "." in name else (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=match):
        read(tmp_path / name, **option)


def test_endings_are_lower_case_and_known_once():
    assert all(ending == ending.lower() and ending.startswith(".") for ending in FORMATS)
