"""A source in pieces is the source: cut anywhere, read piece by piece, nothing is lost, moved or read otherwise."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.readers._chunks import Pieces, Whole, pieces

CSV = 'who,age,note\n"a",1,"two\nlines, and a "" quote"\nb,2,"x"\n\nc,3,"""quoted"""\nd,4,y\ne,5,"z\n"\n'


def read(path: Path) -> data.DataSet:
    return data.read(path, id="who", drop=["note"])


def together(cut: Pieces) -> tuple[torch.Tensor, tuple[str, ...]]:
    found = [cut.take(i) for i in range(len(cut))]
    return torch.cat([each.x for each in found]), tuple(name for each in found for name in each.ids)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_is_cut_between_records(tmp_path: Path, size: int, ending: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(CSV.replace("\n", ending).encode())
    cut = pieces(path, size, read)
    assert (cut.rows, len(cut)) == (5, -(-5 // size))
    x, ids = together(cut)
    assert ids == ("a", "b", "c", "d", "e")
    assert torch.equal(x, read(path).x)


def test_csv_without_a_last_newline_and_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("\ufeffwho,age,note\na,1,x\nb,2,y".encode())
    x, ids = together(pieces(path, 1, read))
    assert (x.tolist(), ids) == ([[1.0], [2.0]], ("a", "b"))


@pytest.mark.parametrize("size", [1, 3, 4, 7, 20])
def test_parquet_is_cut_across_row_groups(tmp_path: Path, size: int) -> None:
    path = tmp_path / "people.parquet"
    frame = pd.DataFrame({"who": [f"p{i}" for i in range(10)], "age": range(10), "note": "n"})
    frame.to_parquet(path, row_group_size=4)
    x, ids = together(pieces(path, size, read))
    assert ids == tuple(frame["who"])
    assert x[:, 0].tolist() == list(range(10))


def test_arrays_are_cut_with_what_lies_beside(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(7, 2, 3)).astype("f4")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(7) % 2)
    cut = pieces(
        tmp_path / "x.npy",
        3,
        lambda path: data.read(path, target="y.npy", classes=["0", "1"]),
        beside=("y.npy",),
    )
    assert torch.equal(together(cut)[0], torch.from_numpy(x))
    assert cut.take(1).y.tolist() == [1, 0, 1]
    assert len(cut.take(2)) == 1


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for i in range(5):
        file = folder / ("cat" if i < 4 else "dog") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 2, 3), 10 * i, dtype=np.uint8)).save(file)
    return folder


def test_images_keep_their_names_and_order(pictures: Path) -> None:
    x, ids = together(pieces(pictures, 2, data.read))
    assert ids == ("cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png", "dog/4.png")
    assert (255 * x[:, 0, 0, 0]).round().tolist() == [0, 10, 20, 30, 40]


def test_labelled_images_stay_in_their_folders(pictures: Path) -> None:
    cut = pieces(pictures, 2, lambda path: data.read(path, classes=["cat", "dog"]), labelled=True)
    assert [cut.take(i).y.tolist() for i in range(3)] == [[0, 0], [0, 0], [1]]
    assert cut.take(2).ids == ("dog/4.png",)


def test_other_forms_are_read_whole(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(10.0).reshape(5, 2))
    cut = pieces(tmp_path / "x.npz", 2, data.read)
    assert isinstance(cut, Whole)
    assert together(cut)[0].tolist() == np.arange(10.0).reshape(5, 2).tolist()


def test_tables_whose_values_decide_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(CSV)
    assert isinstance(pieces(path, 2, read, whole_tables=True), Whole)


def test_errors_say_where(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("who,age,note\na,1,x\nb,2,x\nc,3,x\nc,4,x\n")
    cut = pieces(path, 2, read)
    with pytest.raises(DataError, match=rf"In rows 3 to 4, .*{tmp_path}/people.csv"):
        cut.take(1)


@pytest.mark.parametrize(("name", "content"), [("x.csv", b"a,b\n"), ("x.npy", b"no array")])
def test_nothing_to_cut(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="has no rows|cannot be read as a NumPy file"):
        pieces(tmp_path / name, 2, read)


def test_arrays_must_have_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="must hold rows of numbers"):
        pieces(tmp_path / "x.npy", 2, read)
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="has no rows"):
        pieces(tmp_path / "x.parquet", 2, read)


def test_another_source_has_another_fingerprint(tmp_path: Path, pictures: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    before = pieces(tmp_path / "x.npy", 2, read).fingerprint()
    np.save(tmp_path / "x.npy", np.zeros((4, 2)))
    assert pieces(tmp_path / "x.npy", 2, read).fingerprint() != before
    before = pieces(pictures, 2, data.read).fingerprint()
    assert pieces(pictures, 3, data.read).fingerprint() == before
    (pictures / "dog" / "4.png").unlink()
    (pictures / "dog" / "5.png").write_bytes(b"")
    assert pieces(pictures, 2, data.read).fingerprint() != before
    whole = Whole(data.DataSet("d", torch.zeros(2, 2), torch.zeros(2)), 1)
    assert Whole(data.DataSet("d", torch.ones(2, 2), torch.zeros(2)), 1).fingerprint() != whole.fingerprint()


INCHES = "who,size,age\n" + "".join(
    f"p{i},{('5' + chr(34) + ' pipe', 'plate')[i % 2]},{i}\n" for i in range(9)
)


@pytest.mark.parametrize("size", [1, 2, 4, 9])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", INCHES),
        ("t.tsv", INCHES.replace(",", "\t")),
        ("t.csv", "sep=;\r\n" + INCHES.replace(",", ";").replace("\n", "\r\n")),
        ("t.csv", "\ufeffsep=|\n" + INCHES.replace(",", "|")),
    ],
)
def test_rows_with_inch_marks_are_all_there(tmp_path: Path, name: str, content: str, size: int) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    whole = data.read(path, id="who")
    cut = pieces(path, size, lambda place: data.read(place, id="who"), id="who")
    x, ids = together(cut)
    assert (cut.rows, ids) == (9, whole.ids)
    assert torch.equal(x[:, 1], whole.x[:, 1])


def test_a_line_of_tabs_is_a_row_of_both_readers(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1\t2\n\t\n3\t4\n")
    x, _ = together(pieces(path, 2, data.read))
    torch.testing.assert_close(x, data.read(path).x, equal_nan=True)
    assert len(x) == 3


def test_what_one_reader_refuses_the_other_does(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for content in ('a,b\n1,2\n"3,4\n5,6\n', "a,b\n1,2\n3\n", "a,b\n1,2\n3,4,5\n", "a,b\r1,2\r"):
        path.write_text(content)
        with pytest.raises(DataError) as at_once:
            data.read(path)
        with pytest.raises(DataError, match=re.escape(str(at_once.value))):
            pieces(path, 1, data.read)


def test_a_piece_has_the_rows_that_were_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4\n5,6\n")
    cut = pieces(path, 2, lambda place: data.read(place).rows(torch.tensor([0])))
    with pytest.raises(DataError, match=r"Rows 1 to 2 of .*t.csv were read as 1 rows"):
        cut.take(0)
    assert len(cut.take(1)) == 1


def repeated(path: Path, name: str, **beside: tuple[str, ...]) -> tuple[int, int] | None:
    return pieces(path, 2, read, id=name, **beside).repeated_id()


def test_ids_repeated_across_pieces_are_found(tmp_path: Path) -> None:
    ids = ["p1", "p2", "p3", "p4", "p2 ", "p6"]
    frame = pd.DataFrame({"age": range(6), "who": ids})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "x.npy", np.zeros((6, 2)))
    np.save(tmp_path / "who.npy", np.array(ids))
    assert repeated(tmp_path / "t.csv", "who") == (1, 4)
    assert repeated(tmp_path / "t.parquet", "who") == (1, 4)
    assert repeated(tmp_path / "x.npy", "who.npy", beside=("who.npy",)) == (1, 4)
    assert repeated(tmp_path / "t.csv", "age") is None
    assert repeated(tmp_path / "t.parquet", "age") is None
    assert repeated(tmp_path / "t.csv", "nobody") is None
    assert pieces(tmp_path / "t.csv", 2, read).repeated_id() is None


def test_missing_ids_are_not_one_id(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("who,age\n,1\na,2\n,3\n")
    assert repeated(tmp_path / "t.csv", "who") is None


def test_an_array_beside_has_an_entry_for_each_row(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 2)))
    np.save(tmp_path / "who.npy", np.arange(5))
    with pytest.raises(DataError, match=r"who.npy must have one entry per row of x \(4, 2\), got \(5,\)"):
        pieces(tmp_path / "x.npy", 2, read, id="who.npy", beside=("who.npy",))
