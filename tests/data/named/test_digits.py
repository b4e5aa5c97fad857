import gzip
import struct

import numpy as np
import pytest

from rightreasons.core._errors import DataError
from rightreasons.data.named._digits import IDX_FILES, from_idx, read_idx


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx_set(folder, rows=6):
    """Four small idx files, half of them gzipped; returns the pixels and labels written."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2 * rows, 28, 28), np.uint8), np.arange(2 * rows, dtype=np.uint8) % 10
    for name, array in zip(IDX_FILES, (x[:rows], y[:rows], x[rows:], y[rows:]), strict=True):
        if "images" in name:
            (folder / name).write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(idx(array))
    return x, y


def test_an_idx_file_is_read_back(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    assert np.array_equal(read_idx(tmp_path / "a"), array)
    assert np.array_equal(read_idx(tmp_path / "a.gz"), array)


def test_training_rows_come_before_test_rows_in_unit_range(tmp_path):
    x, y = write_idx_set(tmp_path)
    files = {name: tmp_path / (name if "images" in name else name.removesuffix(".gz")) for name in IDX_FILES}
    images, labels = from_idx(files)
    assert images.shape == (12, 1, 28, 28)
    np.testing.assert_allclose(images[:, 0].numpy(), x / 255, rtol=1e-6)  # float32
    assert labels.tolist() == y.tolist()


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0", b"<html>not found</html>", idx(np.zeros((2, 2), np.uint8))[:-1], b"\0\0\x08\x03\0\0"],
)
def test_what_is_no_idx_file_is_refused(tmp_path, raw):
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(DataError, match="not an idx file of unsigned bytes, or is cut short"):
        read_idx(tmp_path / "a")


def test_a_cut_gzip_is_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(np.zeros((9, 9), np.uint8)))[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "a.gz")
