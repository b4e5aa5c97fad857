import gzip
import math
import re
import sys

import pytest
import torch

from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.data import Preprocessing, read

pd = pytest.importorskip("pandas")

MIXED = """id,visit,age,sex,smoker,drink,code,died
p1,2020-01-01,20,f,true,beer,1,no
p2,2020-01-03 12:00,,m,false,wine,2,yes
p3,2019-12-31,60,m,,beer,1,no
p4,,31.5,f,true,,2,yes
"""
OPTIONS = {"target": "died", "id": "id", "dates_since": "2020-01-01", "categorical": ["code"]}


@pytest.fixture
def table(tmp_path):
    def write(text, name="t.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def rows_of(values, name="v", more="y"):
    """A CSV of one column beside a usable label."""
    return f"{name},{more}\n" + "".join(f"{value},{i % 2}\n" for i, value in enumerate(values))


def test_a_mixed_table_by_hand(table):
    data = read(table(MIXED), **OPTIONS)
    assert data.feature_names == ("visit", "age", "sex", "smoker", "drink", "code")
    nan = math.nan
    expected = torch.tensor(
        [[0, 20, 0, 1, 0, 0], [2.5, nan, 1, 0, 1, 1], [-1, 60, 1, nan, 0, 0], [nan, 31.5, 0, 1, nan, 1]],
        dtype=torch.float64,
    )
    torch.testing.assert_close(data.x, expected, equal_nan=True)
    said = {column.name: column.levels or column.description for column in data.columns}
    assert said == {
        "visit": "days since 2020-01-01", "age": "", "sex": ("f", "m"), "smoker": "0 false, 1 true",
        "drink": ("beer", "wine"), "code": ("1", "2"),
    }  # fmt: skip
    assert (data.y.tolist(), data.classes, data.ids) == (
        [0, 1, 0, 1],
        ("no", "yes"),
        ("p1", "p2", "p3", "p4"),
    )
    assert data.name == data.source.removesuffix(".csv") == "t"


def test_parquet_is_read_as_csv_is(table, tmp_path):
    frame = pd.read_csv(table(MIXED), dtype={"code": "str"})
    frame["drink"] = frame["drink"].astype("category")
    frame["visit"] = pd.to_datetime(frame["visit"], format="ISO8601")
    frame.to_parquet(tmp_path / "t.parquet")
    a, b = read(tmp_path / "t.csv", **OPTIONS), read(tmp_path / "t.parquet", **OPTIONS)
    torch.testing.assert_close(a.x, b.x, equal_nan=True)
    assert (a.columns, a.classes, a.ids) == (b.columns, b.classes, b.ids)


def test_a_parquet_category_keeps_its_order_and_an_index_is_a_column(tmp_path):
    frame = pd.DataFrame({"size": ["s", "l", "m", "s"], "y": [1.5, 2.5, 3.5, 4.5]})
    frame["size"] = pd.Categorical(frame["size"], ["xs", "s", "m", "l"], ordered=True)
    frame.index = pd.Index(["a", "b", "c", "d"], name="who")
    frame.to_parquet(tmp_path / "t.parquet")
    data = read(tmp_path / "t.parquet", target="y", id="who", missing=["m"])
    assert data.ids == ("a", "b", "c", "d")
    assert data.columns[0].levels in (("s", "l"), ("s", "m", "l"))


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "NaN", "NULL", "?", "-9"])
def test_what_stands_for_a_missing_value(table, cell):
    data = read(table(rows_of([1.5, cell, 2.5, 3.5])), target="y", missing=["-9"])
    assert data.x[:, 0].isnan().tolist() == [False, True, False, False]


def test_none_is_a_category_not_a_missing_value(table):
    assert read(table(rows_of(["None", "some", "None", "some"])), target="y").columns[0].levels == (
        "None",
        "some",
    )


def test_ids_and_groups_keep_their_zeros(table):
    data = read(table("i,g,v,y\n007,01,1.5,0\n08,01,2.5,1\n9,02,3.5,0\n"), target="y", id="i", group="g")
    assert (data.ids, data.clusters) == (("007", "08", "9"), ("01", "01", "02"))


def test_tabs_gzip_and_other_separators(table, tmp_path):

    text = "a\ty\n1.5\t0\n2.5\t1\n"
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(text.encode()))
    for data in (
        read(table(text, "t.tsv"), target="y"),
        read(tmp_path / "t.tsv.gz", target="y"),
        read(table(text.replace("\t", ";")), target="y", separator=";"),
    ):
        assert data.x.tolist() == [[1.5], [2.5]]
    with pytest.raises(
        DataError, match="one column between ','s, 'a;y'. If columns end at ';', say separator=';'"
    ):
        read(tmp_path / "t.csv", target="y")


def test_a_named_split_column(table):
    data = read(table("v,s,y\n1.5,Training,0\n2.5,val,1\n3.5,test,0\n"), target="y", split="s")
    assert data.parts == ("train", "validation", "test")
    with pytest.raises(DataError, match=r"split column of .* holds 'tst' in row 2. Did you mean 'test'"):
        read(table("v,s,y\n1.5,train,0\n2.5,tst,1\n"), target="y", split="s")


def test_without_a_target_nothing_is_known(table):
    data = read(table("a,b\n1,2\n"))
    assert not data.labelled
    assert data.x.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("a,y\n1,0\n", {"target": "x"}, "has no column 'x'. Known: 'a', 'y'"),
        ("age,y\n1,0\n", {"target": "y", "drop": ["aeg"]}, "no column 'aeg'. Did you mean 'age'"),
        ("age,y\n1,0\n", {"target": "y", "id": "patient"}, "no column 'patient'"),
        ("a,y\n", {"target": "y"}, "has a header and no rows"),
        ("", {"target": "y"}, "cannot be read as CSV: it is empty"),
        ("a,b\n1,2\n1,2,3,4\n", {}, "cannot be read as CSV: .*line 3"),
        ("a,a\n1,2\n", {}, "several columns of the name 'a'"),
        ("y\n1\n0\n", {"target": "y"}, "no column left to learn from besides 'y'"),
        (
            "a,e,y\n1,,0\n2,,1\n",
            {"target": "y"},
            r"'e' of .* has no value in any of its 2 rows.*drop=\['e'\]",
        ),
        (
            rows_of(range(9)) + "n.a.,1\n",
            {"target": "y"},
            r"holds numbers, but 'n.a.' in row 10 is none \(1 such",
        ),
        (rows_of([1.5, "inf", 2.5]), {"target": "y"}, r"is infinite in row 2 \(1 such rows\)"),
        (
            rows_of(["2020-01-01", "2020-02-01"]),
            {"target": "y"},
            "holds dates, such as 2020-01-01, and no day to count from",
        ),
        (rows_of(["1/2/2020", "3/2/2020"]), {"target": "y"}, "order of day and month is not certain"),
        (
            rows_of(["2020-01-01", "2020-02-31"]),
            {"target": "y", "dates_since": "2020-01-01"},
            "'2020-02-31' in row 2 is no day of the calendar",
        ),
        (
            rows_of(["2020-01-01"] * 2),
            {"target": "y", "dates_since": "1.1.2020"},
            "a day as YYYY-MM-DD, got '1.1.2020'",
        ),
        (
            rows_of([f"person {i}" for i in range(20)]),
            {"target": "y"},
            r"holds 20 different texts in 20 rows, such as 'person 0': names or free text.*categorical=\['v'\]",
        ),
        (
            "i,v,y\na,1,0\nb,2,1\na,3,0\n",
            {"target": "y", "id": "i"},
            "'a' names rows 1 and 3 .1 repeated.*group='i'",
        ),
        (
            "i,v,y\na,1,0\n,2,1\n",
            {"target": "y", "id": "i"},
            "Id 'i' of .* is missing in 1 of 2 rows, first in row 2",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(table, text, options, match):
    with pytest.raises(DataError, match=match) as caught:
        read(table(text), **options)
    assert "\n" not in str(caught.value)


def test_all_columns_with_a_problem_are_named_at_once(table):
    with pytest.raises(DataError, match="'a' of .* has no value.*Columns with a problem of their own: 'c'"):
        read(table("a,b,c,y\n,1,2020-01-01,0\n,2,2020-01-02,1\n"), target="y")


def test_labels_and_ids_are_checked_before_columns(table):
    text = "i,b,y\na,,0\na,,1\n"
    with pytest.raises(DataError, match="'a' names rows 1 and 2"):
        read(table(text), target="y", id="i")
    with pytest.raises(DataError, match="is '0' in all 2 rows"):
        read(table(text.replace("1\n", "0\n")), target="y", id="i")


def test_names_are_taken_as_categories_where_one_insists(table):
    text = rows_of([f"person {i}" for i in range(20)])
    assert len(read(table(text), target="y", categorical=["v"]).columns[0].levels) == 20


@pytest.mark.parametrize("key", [b"pandas_type", b"index_columns", b"int64", b"columns"])
def test_damaged_remarks_of_pandas_in_parquet_are_one_line(tmp_path, key):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": range(9), "b": ["u", "v", "w"] * 3, "y": range(9)}).to_parquet(path)
    before, mark, after = path.read_bytes().partition(b'{"index_columns"')
    path.write_bytes(before + (mark + after).replace(b'"' + key + b'"', b'"' + key[:-1] + b'~"'))
    with pytest.raises(
        DataError, match=r"t\.parquet cannot be read as Parquet: .*It may be cut short or damaged"
    ):
        read(path, target="y")


def test_truncated_parquet(tmp_path):
    pd.DataFrame({"a": range(100), "y": range(100)}).to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet: .*It may be cut short"):
        read(tmp_path / "t.parquet", target="y")


def test_other_encodings_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("größe,y\n1,0\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(tmp_path / "t.csv", target="y")
    (tmp_path / "t.csv").write_bytes(
        b"\xef\xbb\xbfa,y\n1,0\n2,1\n"
    )  # a byte-order mark is not part of the name
    assert read(tmp_path / "t.csv", target="y").feature_names == ("a",)


@pytest.mark.parametrize(("module", "name"), [("pandas", "t.csv"), ("pyarrow", "t.parquet")])
def test_a_missing_package_is_said_with_the_line_that_installs_it(table, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingExtraError, match=rf"{module} is not installed. pip install 'rightreasons\[data\]'"
    ):
        read(table("a\n1\n", name))


def trained(table):
    data = read(table(MIXED, "train.csv"), **OPTIONS)
    return Preprocessing.fit(data, indicators=True), data


def test_columns_of_a_trained_model_are_read_as_it_knows_them(table):
    fitted, data = trained(table)
    shuffled = "new,drink,code,visit,smoker,age,sex\n,wine,2,2020-01-03 12:00,false,,m\n"
    like = {"like": fitted, "dates_since": "2020-01-01"}
    again = read(table(shuffled), **like)
    assert again.feature_names == data.feature_names
    torch.testing.assert_close(fitted(again).x, fitted(data).x[1:2])
    empty = read(
        table("drink,code,visit,smoker,age,sex\n,1,,,,f\n"), **like
    )  # nothing but NaN is no reason to stop
    assert bool(fitted(empty).x.isfinite().all())


def test_unseen_categories_missing_columns_and_garbage_at_prediction(table):
    fitted, _ = trained(table)
    row = "{},1,2020-01-01,true,{},f\n"
    header = "drink,code,visit,smoker,age,sex\n"
    like = {"like": fitted, "dates_since": "2020-01-01"}
    cider = read(table(header + row.format("beer", 1) + row.format("cider", 1)), **like)
    with pytest.raises(
        DataError, match=r"'drink' is 'cider' in row 2 \(1 of 2 rows\), a category the model has never"
    ):
        fitted(cider)
    with pytest.raises(DataError, match="no column 'smoker'. Did you mean 'smokers'"):
        read(table((header + row.format("beer", 1)).replace("smoker", "smokers")), **like)
    with pytest.raises(DataError, match=r"'age' of .* holds numbers, but 'old' in row 1 is none"):
        read(table(header + row.format("beer", "old")), **like)


def test_decimals_of_other_countries(table):
    text = "a;b;y\n1,5;<0,1;0\n-,5;2,25;1\n1e1;3,0;0\n"
    data = read(table(text), target="y", separator=";", decimal=",", missing=["<0,1"])
    assert data.x.tolist()[1:] == [[-0.5, 2.25], [10.0, 3.0]]
    assert data.x[0, 0] == 1.5
    assert data.x[0, 1].isnan()
    with pytest.raises(DataError, match=r"Column 'b' .* holds numbers, but '<0,1' in row 1 is none"):
        read(table(text), target="y", separator=";", decimal=",")
    with pytest.raises(
        DataError,
        match=r"Column 'a' .*'1,5' in row 1 \(2 such rows\).*Say decimal=',' \(--decimal\) if decimals",
    ):
        read(table(text), target="y", separator=";")
    with pytest.raises(DataError, match=r"If columns end at ';', say separator=';'"):
        read(table(text), target="y", decimal=",")


def test_another_separator_is_suspected_where_lines_do_not_fit(table):
    with pytest.raises(DataError, match=r"cannot be read as CSV.*If columns end at ';', say separator=';'"):
        read(table("a;b, c;y\n1;2;0\n1,2;3,4,5;1\n"), target="y")
    with pytest.raises(DataError) as caught:
        read(table("a,b,y\n1,2\n1,2,3,4,5,6\n"), target="y")
    assert "columns end at" not in str(caught.value)


def test_large_numbers_and_labels_stay_different_until_they_are_scaled(table):
    rows = "".join(f"{1_700_000_000 + 2 * i},{20240101 + i},{2**25 + i}\n" for i in range(28))
    data = read(table("second,day,count\n" + rows), target="count")
    z = Preprocessing.fit(data)(data).x
    assert z.dtype == torch.float32
    step = 1 / ((28**2 - 1) / 12) ** 0.5  # of equally spaced values, in their standard deviation
    torch.testing.assert_close(z.diff(dim=0), torch.full((27, 2), step), rtol=1e-5, atol=1e-6)
    assert data.y.tolist() == [2**25 + i for i in range(28)]


@pytest.mark.parametrize(
    "values",
    [
        (2**53 + 1, 2**53, "", 7),
        (2**53 + 1, 2**53, -999, 7),
        (2**53 + 1, 2**53, 0.5, 7),
        (2**53 + 1, 2**53),
        (10**21 + 1, 10**21, 5, 7),
        ("9.007.199.254.740.992", "9.007.199.254.740.993", 7),
    ],
)
def test_whole_numbers_that_became_equal_as_they_were_read_are_refused(table, values):
    path = table(rows_of(values).replace(",", ";"))
    notation = {"decimal": ",", "thousands": "."} if "." in str(values[0]) else {}
    merged = "Column 'v'.*above 2.53 double precision makes different ones equal"
    with pytest.raises(DataError, match=merged):
        read(path, target="y", separator=";", missing=["-999"], **notation)


def test_large_numbers_that_stay_different_are_read(table):
    path = table(rows_of((1.5e20, "", 10**22, 2**53 + 2, -(10**300))))
    found = read(path, target="y").x[:, 0].tolist()
    assert [found[0], *found[2:]] == [1.5e20, 1e22, 2.0**53 + 2, -1e300]
    assert math.isnan(found[1])
    path = table(f"v,w,y\n{2**53},1,0\n{2**53 + 1},2,1\n,3,0\n")
    assert read(path, target="y", drop=["v"]).feature_names == ("w",)


def test_whole_numbers_that_double_precision_would_merge_are_refused(table):
    text = "code,y\n" + "".join(f"{2**53 + i},{i % 2}\n" for i in range(4))
    with pytest.raises(DataError, match="'code'.*as large as 9007199254740995.*say so .id, categorical."):
        read(table(text), target="y")
    assert read(table(text), target="y", categorical=["code"]).columns[0].levels[1] == str(2**53 + 1)
    with pytest.raises(
        DataError, match="Target 'code'.*above 2.53 double precision makes different ones equal"
    ):
        read(table(text), target="code", label="number")


def test_a_header_that_pandas_would_change_is_read_as_it_is(table, tmp_path):
    with pytest.raises(DataError, match="several columns of the name 'a'"):
        read(table('a, "a",y\n1,2,0\n3,4,1\n'), target="y")
    file = tmp_path / "t.csv.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbfa;b\n1;0\n2;1\n"))
    assert read(file, target="b", separator=";").feature_names == ("a",)


GERMAN = {"target": "y", "separator": ";", "decimal": ","}


def test_points_for_thousands_are_said_or_refused(table):
    text = "a;v;y\n" + "".join(
        f"{i},5;{v};{i % 2}\n" for i, v in enumerate(["1.234", "987", "2.500,75", "-1.000.000", "800"])
    )
    found = read(table(text), **GERMAN, thousands=".")
    assert found.x[:, 1].tolist() == [1234, 987, 2500.75, -1000000, 800]
    with pytest.raises(
        DataError, match=r"Column 'v' .*'1.234' in row 1 \(3 such rows\) is none with decimal=','. Say"
    ) as caught:
        read(table(text), **GERMAN)
    assert "thousands='.' (--thousands) if '.' separates thousands, or decimal='.'" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "thousands", "expected"),
    [
        (['"1,234"', "987", '"2,500.5"'], ",", [1234, 987, 2500.5]),
        (["1 234", "987", "12 345 678"], " ", [1234, 987, 12345678]),
        (["1'234", "987", "2'500"], "'", [1234, 987, 2500]),
        (["1\u202f234", "987", "2\u202f500"], "\u202f", [1234, 987, 2500]),
    ],
)
def test_other_marks_of_thousands(table, values, thousands, expected):
    text = rows_of(values)
    assert read(table(text), target="y", thousands=thousands).x[:, 0].tolist() == expected
    with pytest.raises(DataError, match=re.escape(f"thousands={thousands!r} (--thousands)")):
        read(table(text), target="y")


def test_a_group_of_two_digits_is_no_group(table):
    with pytest.raises(
        DataError, match="'1.23' in row 3 .1 such rows. is none with decimal=',' and thousands='.'"
    ):
        read(table("v;y\n1.234;0\n5;1\n1.23;0\n"), **GERMAN, thousands=".")


def test_a_label_in_another_notation_is_refused_too(table):
    text = "v;y\n" + "".join(f"{i};{v}\n" for i, v in enumerate(["1.234", "987"] * 4))
    with pytest.raises(DataError, match=r"Target 'y' .*'1.234' in row 1 .*thousands='.'"):
        read(table(text), **GERMAN)
    assert read(table(text), **GERMAN, thousands=".", label="number").y.tolist() == [1234, 987] * 4


def test_names_with_points_stay_names(table):
    text = "v;y\n" + "".join(f"{v};{i % 2}\n" for i, v in enumerate(["250.01", "V03"] * 4))
    assert read(table(text), **GERMAN).columns[0].levels == ("250.01", "V03")
    assert read(table(text.replace("V03", "4.5")), **GERMAN, categorical=["v"]).columns[0].levels == (
        "4.5",
        "250.01",
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("code", ["-999", "-999.0", "-9.99e2"])
def test_codes_are_numbers_in_columns_of_numbers(tmp_path, ending, code):
    frame = pd.DataFrame(
        {
            "whole": [-999, 1, 2, 3],
            "broken": [1.5, -999.0, 2.5, 3.5],
            "text": ["a", "b ", "-999 ", "a"],
            "y": [0, 1] * 2,
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / f"t.{ending}", target="y", missing=[code])
    assert found.x[:, :2].isnan().tolist() == [[True, False], [False, True], [False, False], [False, False]]
    assert found.columns[2].levels == (("a", "b") if code == "-999" else ("-999", "a", "b"))


def test_codes_are_days_in_columns_of_days(tmp_path):
    days = pd.to_datetime(["2020-01-01", "1900-01-01", "2020-01-03", "2020-01-04"])
    pd.DataFrame({"when": days, "utc": days.tz_localize("UTC"), "y": [0, 1] * 2}).to_parquet(
        tmp_path / "t.parquet"
    )
    found = read(tmp_path / "t.parquet", target="y", missing=["1900-01-01"], dates_since="2020-01-01")
    nan = math.nan
    expected = torch.tensor([[0, 0], [nan, nan], [2, 2], [3, 3]], dtype=torch.float64)
    torch.testing.assert_close(found.x, expected, equal_nan=True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_blanks_around_a_text_do_not_count(tmp_path, ending):
    frame = pd.DataFrame(
        {"v": ["NA ", " 1", "2 ", "unknown ", " ", "3"], "c": ["x", "x ", " x", "y", "y ", "y"]}
    )
    frame = frame.assign(y=[0, 1] * 3)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / f"t.{ending}", target="y", missing=["unknown"])
    assert found.x[:, 0].isnan().tolist() == [True, False, False, True, True, False]
    assert found.columns[1].levels == ("x", "y")


def nested(pa):
    return {
        "lists": pa.array([[1], [2, 3], [], [4]]),
        "records": pa.array([{"a": 1}] * 4),
        "maps": pa.array([[("k", 1)]] * 4, pa.map_(pa.string(), pa.int64())),
        "bytes": pa.array([b"a", b"b"] * 2),
        "durations": pa.array([0, 1, 2, 3], pa.duration("s")),
        "times": pa.array([0, 1, 2, 3], pa.time32("s")),
        "text": pa.array(["08:15", "9:30"] * 2),
        "timedelta": pa.array(["0 days 00:01:00", "1 days"] * 2),
    }


@pytest.mark.parametrize(
    "name", ["lists", "records", "maps", "bytes", "durations", "times", "text", "timedelta"]
)
def test_what_is_no_single_value_is_refused_as_feature_and_as_label(tmp_path, name):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"v": nested(pa)[name], "w": [1.5, 2, 3, 4], "y": ["u", "v"] * 2}), tmp_path / "t.parquet"
    )
    what = (
        "durations or times of day"
        if name in ("durations", "times", "text", "timedelta")
        else "bytes|lists or records"
    )
    with pytest.raises(DataError, match=rf"Column 'v' of .* holds ({what}), such as .*drop=\['v'\]"):
        read(tmp_path / "t.parquet", target="y")
    with pytest.raises(DataError, match=rf"Target 'v' of .* holds ({what}), such as"):
        read(tmp_path / "t.parquet", target="v", drop=["y"])
    assert read(tmp_path / "t.parquet", target="y", drop=["v"]).feature_names == ("w",)


def test_a_date_is_no_label(tmp_path):
    days = pd.to_datetime(["2020-01-01", "2020-01-02"])
    pd.DataFrame({"v": [1.5, 2.5], "y": days}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="Target 'y' of .* holds dates, such as 2020-01-01.*days since"):
        read(tmp_path / "t.parquet", target="y")


def test_numbers_in_a_dictionary_and_decimals_stay_numbers(tmp_path):
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "v": pa.array([2.5, 10.0, 2.5, -999.0]).dictionary_encode(),
        "d": pa.array([Decimal("1.50"), Decimal("2.25"), Decimal("-999.00"), Decimal("3.00")]),
        "c": pa.array(["b", "a", "b", "a"]).dictionary_encode(),
        "y": [0, 1, 0, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet", target="y", missing=["-999"])
    nan = math.nan
    expected = torch.tensor([[2.5, 1.5], [10, 2.25], [2.5, nan], [nan, 3]], dtype=torch.float64)
    torch.testing.assert_close(found.x[:, :2], expected, equal_nan=True)
    assert [column.levels for column in found.columns] == [(), (), ("b", "a")]


def test_numbers_that_pandas_wrote_as_a_category_are_one(tmp_path):
    pd.DataFrame({"v": pd.Categorical([3, 1, 3, 1], [3, 1]), "y": [0, 1] * 2}).to_parquet(
        tmp_path / "t.parquet"
    )
    assert read(tmp_path / "t.parquet", target="y").columns[0].levels == ("1", "3")


def test_dates_stay_dates_and_numbers_stay_numbers(table):
    fitted = Preprocessing.fit(
        read(table("d,v,y\n2020-01-01,1,0\n2020-01-05,2,1\n"), target="y", dates_since="2020-01-01")
    )
    like = {"like": fitted, "dates_since": "2020-01-01"}
    assert read(table("d,v\n2020-01-03,7\n"), **like).x.tolist() == [[2, 7]]
    with pytest.raises(DataError, match="'d' .* held dates in training and holds numbers now"):
        read(table("d,v\n1577836800,7\n"), **like)
    with pytest.raises(DataError, match="'v' .* held numbers in training and holds dates now"):
        read(table("d,v\n2020-01-03,2020-01-03\n"), **like)


def test_rows_without_a_label_are_skipped_where_it_is_asked(table):
    text = "i,v,y\na,1.5,0\nb,2.5,unknown\nc,3.5,\nd,4.5,1\n"
    found = read(table(text), target="y", id="i", missing=["unknown"], skip_unlabelled=True)
    assert (found.ids, found.x[:, 0].tolist(), found.y.tolist()) == (("a", "d"), [1.5, 4.5], [0, 1])
    assert found.description == "2 rows of t.csv, 2 without a label left out."
    with pytest.raises(
        DataError,
        match=r"missing in 2 of 4 rows, first in row 2. .*skip_unlabelled=True \(--skip-unlabelled\)",
    ):
        read(table(text), target="y", id="i", missing=["unknown"])
    with pytest.raises(DataError, match="missing in all 4 rows"):
        read(table(text), target="y", id="i", missing=["unknown", "0", "1"], skip_unlabelled=True)
    with pytest.raises(DataError, match="needs to know the label"):
        read(table(text), id="i", skip_unlabelled=True)


def test_a_group_of_its_own_for_each_row_is_refused(table):
    text = "g,v,y\n" + "".join(f"p{i},{i},{i % 2}\n" for i in range(12))
    with pytest.raises(
        DataError, match=r"Group 'g' of .* a different value in each of the 12 rows.*say id='g'"
    ):
        read(table(text), target="y", group="g")
    assert len(set(read(table(text.replace("p3,", "p4,")), target="y", group="g").clusters)) == 11


def test_names_around_which_are_blanks_are_found(table):
    found = read(table('"age ",y \n1.5,0\n2.5,1\n'), target="y")
    assert found.feature_names == ("age",)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_first_line_of_excel(table, mark):
    found = read(table(f"{mark}sep=;\nv;y\n1,5;0\n2,5;1\n"), target="y", decimal=",")
    assert (found.x.tolist(), found.y.tolist()) == ([[1.5], [2.5]], [0, 1])


@pytest.mark.parametrize("value", ["1:30", "-01:30", "100:30:00", "3 days", "P1D", "PT1H30M", "-P1DT2H"])
def test_texts_that_are_durations_but_for_a_few_are_no_categories(table, value):
    with pytest.raises(DataError, match=f"durations or times of day, such as '{value}'"):
        read(table(rows_of(["unknown", *[value] * 11])), target="y")
