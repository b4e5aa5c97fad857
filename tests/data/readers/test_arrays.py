import zipfile

import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.core.files import _reading as _foreign
from rightreasons.data import read
from rightreasons.data.readers import _arrays

pytest.importorskip("pandas")

X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "a.npz", **{"x": X, "y": Y, **arrays})
        return tmp_path / "a.npz"

    return write


def test_a_matrix_is_a_table_with_labels_ids_groups_and_parts(npz):
    path = npz(
        columns=np.array(["a", "b", "c"]), who=np.array(["p", "q", "r", "s"]), family=np.array([1, 1, 2, 2]),
        part=np.array(["train", "test", "train", "test"]),
    )  # fmt: skip
    data = read(path, target="y", id="who", group="family", split="part")
    assert data.feature_names == ("a", "b", "c")
    assert torch.equal(data.x, torch.from_numpy(X).float())
    assert (data.y.tolist(), data.classes) == ([0, 1, 1, 0], ("0", "1"))
    assert (data.ids, data.clusters, data.parts[:2]) == (
        ("p", "q", "r", "s"),
        ("1", "1", "2", "2"),
        ("train", "test"),
    )
    assert read(path).feature_names == ("a", "b", "c")
    assert not read(path).labelled


def test_columns_without_names_are_numbered(npz):
    assert read(npz()).feature_names == ("x0", "x1", "x2")


def test_bytes_are_pixels_and_other_shapes_have_no_columns(npz):
    data = read(npz(x=np.full((4, 1, 2, 2), 51, np.uint8)), target="y")
    assert (float(data.x[0, 0, 0, 0]), data.bounds, data.columns) == (pytest.approx(0.2), (0.0, 1.0), ())
    assert read(npz(x=np.zeros((4, 2, 5))), target="y").bounds is None


def test_words_are_integers_with_a_vocabulary(npz):
    data = read(
        npz(x=np.array([[1, 2], [2, 0], [1, 0], [2, 2]]), vocabulary=np.array(["", "good", "bad"])),
        target="y",
    )
    assert (data.x.dtype, data.vocabulary) == (torch.int64, ("", "good", "bad"))
    with pytest.raises(
        DataError, match=r"integers in 0..1, one for each word of its vocabulary, got int64 from 1 to 2"
    ):
        read(npz(x=np.array([[1, 2]] * 4), vocabulary=np.array(["", "good"]), y=Y * 0 + 2))


def test_several_labels_per_row(npz):
    data = read(npz(y=np.eye(4)), target="y")
    assert data.task() == ("multilabel", {"labels": 4})
    with pytest.raises(DataError, match="y has 2 labels per row, which must each be 0 or 1"):
        read(npz(y=np.full((4, 2), 0.5)), target="y")


def test_npy_files_lie_beside_each_other(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    assert read(tmp_path / "x.npy", target="y.npy").classes == ("0", "1")
    with pytest.raises(DataError, match="no file 'z.npy' beside .*Did you mean 'y.npy'"):
        read(tmp_path / "x.npy", target="z.npy")


@pytest.mark.parametrize(
    ("arrays", "target", "match"),
    [
        ({}, "label", "has no array 'label'. Known: 'x', 'y'"),
        (
            {"x": X[0]},
            "y",
            r"numbers of shape \(rows, features, ...\), at least one of each, got float64 of \(3,\)",
        ),
        ({"x": X.astype(str)}, "y", r"must be numbers .* got <U"),
        ({"y": Y[:2]}, "y", r"y must have one entry per row of x \(4, 3\), .*, got \(2,\)"),
        ({"x": np.full((4, 1, 2), np.nan)}, "y", "x has 8 NaN or infinite entries"),
        ({"x": np.array([[{}]] * 4)}, "y", "no Python objects"),
    ],
)
def test_what_cannot_be_used_is_refused(npz, arrays, target, match):
    with pytest.raises(DataError, match=match):
        read(npz(**arrays), target=target)


def test_no_inputs_and_broken_files(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=X)
    with pytest.raises(DataError, match="must hold the inputs as an array x; it holds inputs"):
        read(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:40])
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY")
    for name in ("a.npz", "x.npy"):
        with pytest.raises(DataError, match="cannot be read as a NumPy file"):
            read(tmp_path / name)


def test_whole_numbers_keep_their_values(tmp_path):
    x = np.array([[2**24 + i, -(2**40) - i] for i in range(4)])
    np.savez(tmp_path / "t.npz", x=x, y=x[:, 0], bytes=np.array([b"a", b"b", b"a", b"b"]))
    np.save(tmp_path / "t.npy", x)
    for file, options in (("t.npz", {"target": "y", "label": "number"}), ("t.npy", {})):
        data = read(tmp_path / file, **options)
        assert data.x.tolist() == x.tolist()
    assert read(tmp_path / "t.npz", target="y", label="number").y.tolist() == x[:, 0].tolist()
    assert read(tmp_path / "t.npz", target="bytes").classes == ("a", "b")


def test_the_precision_of_a_table_is_that_of_the_file(tmp_path):
    for dtype, expected in (("f2", torch.float32), ("f4", torch.float32), (">f4", torch.float32), ("f8", torch.float64),
                            ("i2", torch.float32), ("i8", torch.float32), ("?", torch.float32)):  # fmt: skip
        np.save(tmp_path / "t.npy", np.ones((2, 2), dtype=dtype))
        assert read(tmp_path / "t.npy").x.dtype == expected, dtype


def test_what_is_not_scaled_must_fit_into_single_precision(tmp_path):
    np.save(tmp_path / "t.npy", np.full((2, 1, 3), 2**24 + 1))
    with pytest.raises(DataError, match="x holds whole numbers as large as 16777217, which are not scaled"):
        read(tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", np.full((2, 1, 3), 2**24 + 2))
    assert read(tmp_path / "t.npy").x.unique().tolist() == [2**24 + 2]
    np.save(tmp_path / "t.npy", np.array([[2**53, 1], [2**53 + 1, 1]]))
    with pytest.raises(DataError, match="x holds whole numbers as large as 9007199254740993"):
        read(tmp_path / "t.npy")


def test_bytes_are_text(tmp_path):
    np.savez(
        tmp_path / "t.npz",
        x=np.arange(8.0).reshape(4, 2),
        columns=np.array([b"height", "Größe".encode()]),
        y=np.array([b"ill", b"well", b"ill", b"well"]),
        id=np.array([b"p1", b"p2", b"p3", b"p4"]),
        group=np.array([b"g", b"h", b"g", b"h"]),
        split=np.array([b"train", b"test", b"train", b"test"]),
    )
    data = read(tmp_path / "t.npz", target="y", id="id", group="group", split="split")
    assert data.classes == ("ill", "well")
    assert data.feature_names == ("height", "Größe")
    assert (data.ids[0], data.clusters[1], data.parts[1]) == ("p1", "h", "test")
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 1)), columns=np.array([b"\xff"]))
    with pytest.raises(DataError, match="array 'columns' holds bytes that are not UTF-8 text"):
        read(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 1), int), vocabulary=np.array([b"", b"word"]))
    assert read(tmp_path / "t.npz").vocabulary == ("", "word")


def saved(path, **arrays):
    np.savez(path / "d.npz", **arrays)
    return path / "d.npz"


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_with_channels_last_are_turned_and_it_is_said(tmp_path, channels):
    x = np.arange(2 * 5 * 6 * channels, dtype=np.uint8).reshape(2, 5, 6, channels)
    data = read(saved(tmp_path, x=x))
    np.testing.assert_allclose(data.x.numpy(), x.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert data.notes == (f"Channels are last in x (2, 5, 6, {channels}): turned to (2, {channels}, 5, 6).",)
    first = read(saved(tmp_path, x=x), channels="first")
    assert (tuple(first.x.shape), first.notes) == ((2, 5, 6, channels), ())


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 3, 8, 3), np.uint8),  # three channels of 8 x 3, or 3 x 8 pixels
        np.zeros((2, 1, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),  # perhaps transparency
        np.zeros((2, 8, 8, 3)),  # perhaps 8 channels of 8 x 3 numbers
    ],
)
def test_images_of_two_readings_are_refused_until_one_is_said(tmp_path, x):
    path = saved(tmp_path, x=x)
    with pytest.raises(
        DataError, match=r"x of shape .* can be images \(rows, channels.*Say which: channels='first'"
    ):
        read(path)
    assert read(path, channels="first").x.shape == x.shape
    assert read(path, channels="last").x.shape == x.transpose(0, 3, 1, 2).shape


def test_channels_are_of_images(tmp_path):
    with pytest.raises(DataError, match="channels='last' is for images of four dimensions; x is of shape"):
        read(saved(tmp_path, x=np.zeros((2, 3))), channels="last")
    with pytest.raises(DataError, match="channels must be 'first' or 'last'"):
        read(saved(tmp_path, x=np.zeros((2, 3, 4, 4))), channels="middle")
    assert read(saved(tmp_path, x=np.zeros((2, 1, 28, 28)))).x.shape == (2, 1, 28, 28)


def test_labels_groups_and_ids_in_a_column_are_those_of_a_row(tmp_path):
    y, real, names = np.arange(30) % 2, np.linspace(0, 1, 30), np.array([f"p{i}" for i in range(30)])
    wards = np.repeat(names[:15], 2)
    path = saved(
        tmp_path, x=np.ones((30, 2)), y=y, real=real, i=names, g=wards,
        y1=y[:, None], real1=real[:, None], i1=names[:, None], g1=wards[:, None],
    )  # fmt: skip
    flat, column = (read(path, target=f"y{end}", id=f"i{end}", group=f"g{end}") for end in ("", "1"))
    assert column.task() == flat.task() == ("binary", {})
    assert (column.y.tolist(), column.ids, column.clusters) == (flat.y.tolist(), flat.ids, flat.clusters)
    flat, column = (read(path, target=f"real{end}") for end in ("", "1"))
    assert column.task() == flat.task() == ("regression", {})
    assert column.y.tolist() == flat.y.tolist()


@pytest.mark.parametrize("compressed", [True, False])
def test_any_flipped_byte_is_a_clear_error_or_changes_nothing(tmp_path, compressed):
    file = tmp_path / "t.npz"
    x = np.random.default_rng(0).random((20, 3))
    (np.savez_compressed if compressed else np.savez)(file, x=x)
    raw = file.read_bytes()
    refused = 0
    for i in range(0, len(raw), 3):
        file.write_bytes(raw[:i] + bytes([raw[i] ^ 0x55]) + raw[i + 1 :])
        try:
            found = read(file).x
        except DataError:
            refused += 1
        else:
            assert np.array_equal(found, x)
    assert refused > len(raw) / 6  # of a third of the bytes, most are told by the checksum


def test_any_place_where_a_file_is_cut_is_a_clear_error(tmp_path):
    np.save(tmp_path / "t.npy", np.ones((20, 3)))
    np.savez(tmp_path / "t.npz", x=np.ones((20, 3)))
    for name in ("t.npy", "t.npz"):
        raw = (tmp_path / name).read_bytes()
        for size in range(0, len(raw), 23):
            (tmp_path / name).write_bytes(raw[:size])
            with pytest.raises(DataError, match=name):
                read(tmp_path / name)


@pytest.mark.parametrize("shape", [(10**6, 10**9), (2**40, 2**40), (3, 10**9)])
def test_absurd_shapes_are_refused_before_anything_is_allocated(tmp_path, shape):
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    with (tmp_path / "t.npy").open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        file.write(bytes(64))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.write(tmp_path / "t.npy", "x.npy")
    for name in ("t.npy", "t.npz"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)


def test_an_archive_that_claims_more_than_compression_can_do_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w") as file:
            np.save(file, np.zeros((1000, 100)))
    assert len(read(tmp_path / "t.npz")) == 1000
    monkeypatch.setattr(_foreign, "free_bytes", lambda device: 500_000)
    with pytest.raises(DataError, match="holds 1 arrays, which needs 0.0 GB of memory; 0.0 GB are free"):
        read(tmp_path / "t.npz")
    monkeypatch.setattr(_arrays, "_DEFLATE", 1)
    with pytest.raises(DataError, match=r"damaged: x.npy cannot have 800,128 bytes out of"):
        read(tmp_path / "t.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(DataError, match="several arrays of the name 'x'"):
        read(tmp_path / "t.npz")


def test_a_text_is_no_list_of_column_names(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 3)), columns=np.array("abc"))
    with pytest.raises(DataError, match=r"columns is a list of names; got an array \(\)"):
        read(tmp_path / "t.npz")


def test_whole_floats_of_more_dimensions_do_not_become_equal(tmp_path):
    """Arrays of three dimensions are not scaled, so that they stay in single precision."""
    moments = 1_700_000_000.0 + np.arange(12).reshape(4, 3, 1)
    np.savez(tmp_path / "t.npz", x=moments, y=[0, 1, 0, 1])
    with pytest.raises(DataError, match="whole numbers as large as 1700000011.0, which are not scaled"):
        read(tmp_path / "t.npz", target="y")
    np.savez(tmp_path / "t.npz", x=moments - 1_700_000_000, y=[0, 1, 0, 1])
    assert read(tmp_path / "t.npz", target="y").x.flatten().tolist() == list(range(12))
    np.savez(tmp_path / "t.npz", x=np.array([2.0**40 + 1, 0.1]).reshape(2, 1, 1), y=[0, 1])
    assert read(tmp_path / "t.npz", target="y").x.shape == (2, 1, 1)
