"""CSV records are found as Python's strict reader and pandas find them, and whatever they differ about is refused."""

import csv
import gzip
import random
import tracemalloc
from pathlib import Path

import pytest

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.readers import _csv
from rightreasons.data.readers._csv import csv_column, csv_frame, escaped, layout, unescaped

pd = pytest.importorskip("pandas")


@pytest.fixture
def file(tmp_path: Path):
    def write(content: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def strictly(text: str) -> list[list[str]]:
    """Records of Python's own reader that refuses what has no meaning; blank lines between records are none."""
    lines = text.splitlines(keepends=True)
    found = csv.reader(lines, skipinitialspace=True, strict=True)
    return [row for row in found if row and "".join(row).strip() + "," * (len(row) - 1)]


def test_records_are_those_of_the_strict_reader_and_of_pandas(file) -> None:
    draw, taken, refused = random.Random(0), 0, 0
    for _ in range(600):
        cells = ["".join(draw.choices('ab" \n', k=draw.randrange(4))) for _ in range(6)]
        quoted = [
            f'"{c.replace(chr(34), chr(34) * 2)}"' if draw.random() < 0.5 else c.replace("\n", "")
            for c in cells
        ]
        body = "".join(f"{a},{b}\n" for a, b in zip(quoted[::2], quoted[1::2], strict=True))
        path = file("k,v\n" + body)
        try:
            own = csv_frame(path, dtype=str, keep_default_na=False)
        except DataError:
            refused += 1
            try:
                rows = strictly(body)
            except csv.Error:
                continue
            assert any(len(row) != 2 for row in rows), body
        else:
            taken += 1
            stripped = [
                [cell.strip() for cell in row]
                for row in csv.reader(body.splitlines(keepends=True), skipinitialspace=True)
            ]
            assert own.map(str.strip).to_numpy().tolist() == [row for row in stripped if row], body
    assert taken > 100
    assert refused > 100


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('5" pipe,1\n6" pipe,2\nplate,3\n', 3),
        ('a,1\n"two\nlines, and a ""quote""",2\n', 2),
        ("a,1\n\n  \n\t\nb,2", 2),
        (",\n,\n", 2),
        ('  "a, b" ,1\n', 1),
        ('"",""\n', 1),
        ('a,5"\r\nb,6"\r\n', 2),
    ],
)
def test_what_is_a_record(file, body: str, rows: int) -> None:
    path = file("k,v\n" + body)
    assert layout(path).rows == len(csv_frame(path)) == rows


def test_a_line_of_separators_is_a_row_whatever_they_are(file) -> None:
    assert layout(file("a\tb\n1\t2\n\t\n3\t4\n", "t.tsv")).rows == 3
    assert csv_frame(file("a b\n1 2\n 3\n"), " ").to_numpy().tolist()[0] == [1, 2]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "is empty"),
        (
            "a,b\n1,2\n3\n",
            r"line 3 \(row 2\) has 1 cells, and the header in line 1 has 2. Write ',' for every cell",
        ),
        ("a,b\n1,2\n3", r"line 3 \(row 2\).*within a row, so it was cut short"),
        (
            "a,b\nx,1,2\ny,3,4\n",
            r"line 2 \(row 1\) has 3 cells.*put one in front of it \(in R: col.names=NA\)",
        ),
        ("a,b\n1,2\n1,2,\n", r"line 3 \(row 2\) has 3 cells.*Put a cell that holds ',' in quotes"),
        ('a,b\n"x\ny",1\n1,2,3\n', r"line 4 \(row 2\) has 3"),
        ('a,b\n1,2\n"5 pipe,1\n6,2\n', "line 3: a cell begins with a quote that nothing closes"),
        (
            'a,b\n1,2\n"5" pipe,1\n',
            r"""line 3: a cell begins with a quote and goes on after .*'"5" pipe,1'""",
        ),
        ('a,b\n"x\n1,"y"\n', "line 2: a cell begins with a quote and goes on"),
        ('a,b\n"x' + "\n" * 20_001 + '",1\n', "line 2: a cell begins with a quote that nothing closes"),
        ("a,b\r1,2\r", r"line 1, holds a line end of old Macs"),
        ("a,b\n1,\x002\n", "line 2, holds a byte that is no text"),
        ("a;b,c;d\n1;2;3\n", "If columns end at ';', say separator=';'"),
        ("a;b\n1;2\n", "one column between ','s, 'a;b'. If columns end at ';'"),
        ("a,b,a\n1,2,3\n", "several columns of the name 'a'"),
        ("größe,b\n1,2\n".encode("latin-1"), "is not UTF-8 text"),
        ("k,b\ngröße,2\n".encode("latin-1"), "is not UTF-8 text"),
        ("sep=;\na;b\n1;2;3\n", r"line 3 \(row 1\) has 3 cells, and the header in line 2 has 2"),
    ],
)
def test_what_is_refused_with_its_line(file, content: str | bytes, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        csv_frame(file(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line", ["sep=;\n", "sep=;\r\n", '"sep=;"\n'])
def test_the_first_line_of_excel_says_the_separator(file, mark: str, line: str) -> None:
    path = file(f"{mark}{line}a;b\n1,5;x\n2,5;y\n")
    assert csv_frame(path, decimal=",").to_dict("list") == {"a": [1.5, 2.5], "b": ["x", "y"]}
    assert layout(path, ";").separator == ";"
    with pytest.raises(DataError, match=r"says that cells end at ';', and separator=','"):
        layout(path, ",")


@pytest.mark.parametrize("separator", ["", "::", '"', "\n", "§"])
def test_separators_are_one_character(file, separator: str) -> None:
    with pytest.raises(DataError, match="must be one ASCII character"):
        layout(file("a,b\n1,2\n"), separator)


def test_a_tab_may_be_written_as_it_is_typed_in_a_shell(file) -> None:
    assert layout(file("a\tb\n1\t2\n"), "\\t").names == ("a", "b")


def test_names_are_stripped_and_those_without_one_are_numbered(file) -> None:
    assert layout(file('\ufeff"a ", b ,,"x\ny"\n1,2,3,4\n')).names == ("a", "b", "Unnamed: 2", "x\ny")


def test_starts_are_those_of_every_so_many_rows(file) -> None:
    path = file("k,v\na,1\n\n" + '"b\n",2\nc,3\n')
    found = layout(path, every=2)
    content = path.read_bytes()
    assert content[found.starts[0] : found.starts[1]] == b'a,1\n\n"b\n",2\n'
    assert content[found.starts[1] : found.starts[2]] == b"c,3\n"


def test_a_damaged_archive_is_one_line(file) -> None:
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    with pytest.raises(DataError, match="cannot be read as CSV"):
        csv_frame(file(whole[:60], "t.csv.gz"))
    assert len(csv_frame(file(whole, "t.csv.gz"))) == 5000
    for at in range(12, len(whole), 7):
        wrong = whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
        with pytest.raises(DataError, match=r"t\.csv\.gz.* cannot be read as CSV: "):
            csv_frame(file(wrong, "t.csv.gz"))


def test_a_small_archive_of_very_much_is_not_unpacked_beyond_memory(
    file, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_csv, "free_bytes", lambda device: 2_000_000)
    for content in (b"a,b\n" + b"0" * 30_000_000, b"0" * 30_000_000, b"a,b\n" + b"0,0\n" * 7_000_000):
        path = file(gzip.compress(content), "t.csv.gz")
        tracemalloc.start()
        with pytest.raises(
            DataError, match=r"t\.csv\.gz holds more than 0\.0 GB of text, which is half of the"
        ):
            csv_frame(path)
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
        tracemalloc.stop()


def test_a_decimal_that_ends_cells(file) -> None:
    with pytest.raises(DataError, match=r"decimal=',' \(--decimal\) also ends the columns.*separator=';'"):
        csv_frame(file("a,b\n1,2\n"), decimal=",")


def test_a_column_alone(file) -> None:
    path = file("k,v\n007,1\n'=x,2\n,3\n")
    [cells] = csv_column(path, layout(path), "k")
    assert cells.fillna("").tolist() == ["007", "=x", ""]
    assert list(csv_column(path, layout(path), "other")) == []


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        "'=x",
        "''-x",
        "'tis",
        "-1.5",
        "+3e4",
        "",
        "a=b",
        "-",
        "-1-1",
    ],
)
def test_what_a_spreadsheet_would_run_is_marked_and_comes_back(text: str) -> None:
    cell = escaped(text)
    assert unescaped(cell) == text
    assert cell[:1] not in ("=", "@", "\t", "\r", "\n")
    if cell[:1] in ("+", "-"):
        float(cell)


def test_marked_ids_and_columns_are_read_as_they_were(file) -> None:
    found = data.read(file("who,'=v,y\n'=cmd(),1.5,0\n-7,2.5,1\n"), target="y", id="who")
    assert (found.ids, found.feature_names) == (("=cmd()", "-7"), ("=v",))


@pytest.mark.parametrize("every", [None, 1, 2, 5])
def test_blocks_of_plain_lines_are_the_records_found_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int | None
) -> None:
    """Compressed files are read line by line."""
    monkeypatch.setattr(_csv, "_BLOCK", 24)
    draw = random.Random(0)
    refused = 0
    for _ in range(200):
        cells = draw.choice([["1", "", "ab", " "], ["1", '"a,b"', '"c\nd"', '5"'], ["7", "x", "y,z", "0"]])
        width, end = draw.randint(1, 3), draw.choice(["\n", "\r\n"])
        lines = [",".join(draw.choices(cells, k=width)) for _ in range(draw.randint(1, 30))]
        text = ",".join("abc"[:width]) + end + end.join(lines) + end * draw.randint(0, 2)
        (tmp_path / "t.csv").write_bytes(text.encode())
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
        found = []
        for name in ("t.csv", "t.csv.gz"):
            try:
                found.append(layout(tmp_path / name, every=every))
            except DataError as error:
                found.append(str(error).replace(".gz", ""))
        assert found[0] == found[1]
        refused += isinstance(found[0], str)
    assert 20 < refused < 180
