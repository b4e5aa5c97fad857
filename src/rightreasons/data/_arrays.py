"""NumPy files: arrays that are already numbers."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import DataError
from rightreasons.data._asked import Asked, extra
from rightreasons.data._columns import require_exact
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data._labels import names_of_rows, read_labels

_WHOLE = 2**24  # whole numbers above are rounded in single precision
_CHANNELS = (1, 3)


def read_arrays(path: Path, asked: Asked) -> DataSet:
    """An .npz file with an array x, or an .npy file of inputs whose labels, ids, ... are other .npy files beside it.

    A matrix is a table; its columns are named by an array `columns`, or x0, x1, ... Bytes are pixels and become
    numbers in [0, 1]; those of shape (N, H, W, 1 or 3) are turned to channels first. Integers with an array
    `vocabulary` are words. Numbers of a table stay in double precision, or in the single precision that the file has;
    arrays of more dimensions become float32. Labels (N, 1) are those of (N,). Bytes that are text are UTF-8. Nothing in
    the file is executed.
    """
    arrays = _open(path) if path.suffix == ".npz" else {"x": _one(path)}
    if "x" not in arrays:
        raise DataError(
            f"{path} must hold the inputs as an array x; it holds {', '.join(arrays) or 'nothing'}."
        )
    beside = {name: _column(_beside(arrays, name, path)) for name in asked.about_rows}
    x = arrays["x"]
    if asked.channels not in (None, "first", "last"):
        raise DataError(f"channels must be 'first' or 'last'; got {asked.channels!r}.")
    if x.ndim < 2 or x.size == 0 or x.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: x must be numbers of shape (rows, features, ...), at least one of each, got {x.dtype} of "
            f"{x.shape}."
        )
    for name, array in beside.items():
        if len(array) != len(x) or array.ndim > 2:
            raise DataError(f"{path}: {name} must have one entry per row of x {x.shape}, got {array.shape}.")
    about_rows: dict[str, Any] = {"y": torch.full((len(x),), torch.nan)} | _rows(beside, path, asked)
    return DataSet(
        path.name.partition(".")[0], source=path.name, **_inputs(arrays, path, asked), **about_rows
    )


def _open(path: Path) -> dict[str, np.ndarray]:
    try:
        with (
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as found,
        ):  # else numpy leaves a broken one open
            return {name: _decoded(found[name], name, path) for name in found.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _one(path: Path) -> np.ndarray:
    try:
        return _decoded(np.asarray(np.load(path, allow_pickle=False)), path.name, path)
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from error


def _decoded(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Bytes as the text that they are."""
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the array {name!r} holds bytes that are not UTF-8 text: {error}."
        ) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a NumPy file: {' '.join(str(error).split()).rstrip('.')}. Only plain numbers "
        "and text "
        "are read, no Python objects; if it was cut short, write it again."
    )


def _beside(arrays: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        if not (path.parent / name).is_file():
            near = [each.name for each in path.parent.glob("*.npy")]
            raise DataError(f"There is no file {name!r} beside {path}. {did_you_mean(name, near)}")
        return _one(path.parent / name)
    if name not in arrays:
        raise DataError(f"{path} has no array {name!r}. {did_you_mean(name, arrays)}")
    return arrays[name]


def _column(array: np.ndarray) -> np.ndarray:
    """One value for each row, (N, 1) like (N,)."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _channels_first(x: np.ndarray, path: Path, said: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images as (N, C, H, W), and what was done to them.

    Bytes with 1 or 3 entries in the last place only are pixels with channels last. Where both readings fit, or the
    numbers are no bytes, which may be channels of anything, the caller has to say.
    """
    if said is not None and x.ndim != 4:
        raise DataError(
            f"{path}: channels={said!r} is for images of four dimensions; x is of shape {x.shape}."
        )
    pixels = x.dtype == np.uint8
    last = x.shape[-1] in _CHANNELS or (pixels and x.shape[-1] == 4)
    if x.ndim != 4 or said == "first" or (said is None and not last):
        return x, ()
    if said is None and (x.shape[1] in _CHANNELS or not pixels or x.shape[-1] == 4):
        raise DataError(
            f"{path}: x of shape {x.shape} can be images (rows, channels, height, width) or (rows, height, width, "
            "channels). Say which: channels='first' or channels='last' (in a recipe data.channels)."
        )
    turned = x.transpose(0, 3, 1, 2)
    return turned, (f"Channels are last in x {x.shape}: turned to {turned.shape}.",)


def _inputs(arrays: dict[str, np.ndarray], path: Path, asked: Asked) -> dict[str, Any]:
    """Fields of the data set that describe the inputs."""
    x, notes = _channels_first(arrays["x"], path, asked.channels)
    if "vocabulary" in arrays:
        words = tuple(str(word) for word in arrays["vocabulary"])
        if x.dtype.kind not in "iu" or x.min() < 0 or x.max() >= len(words):
            raise DataError(
                f"{path}: x must be integers in 0..{len(words) - 1}, one for each word of its vocabulary, got "
                f"{x.dtype} from {x.min()} to {x.max()}."
            )
        return {"x": torch.from_numpy(x.astype(np.int64)), "vocabulary": words}
    if x.dtype == np.uint8:
        return {"x": torch.from_numpy(x.astype(np.float32) / 255), "bounds": (0.0, 1.0), "notes": notes}
    require_exact(x, f"{path}: x")
    if x.ndim > 2:
        numbers = torch.from_numpy(_single(x, path))
        if not bool(numbers.isfinite().all()):
            raise DataError(
                f"{path}: x has {int((~numbers.isfinite()).sum())} NaN or infinite entries. Fill them."
            )
        return {"x": numbers, "notes": notes}
    numbers = torch.from_numpy(x.astype(np.float32 if np.can_cast(x.dtype, np.float32) else np.float64))
    names = arrays["columns"].tolist() if "columns" in arrays else [f"x{i}" for i in range(x.shape[1])]
    return {"x": numbers, "columns": tuple(Column(str(name)) for name in names)}


def _single(x: np.ndarray, path: Path) -> np.ndarray:
    """Numbers that nothing scales, as a network takes them."""
    found = x.astype(np.float32)
    if x.dtype.kind in "iu" and np.abs(found).max() >= _WHOLE and not (found.astype(np.float64) == x).all():
        raise DataError(
            f"{path}: x holds whole numbers as large as {x.max()}, which are not scaled and which single precision "
            "rounds: different ones would become equal. Scale them before they are saved, or count from a smaller "
            "origin."
        )
    return found


def _rows(beside: dict[str, np.ndarray], path: Path, asked: Asked) -> dict[str, Any]:
    """Fields of the data set that say something about each row."""
    pd = extra("pandas", "pandas")
    flat = {name: array for name, array in beside.items() if array.ndim == 1}
    frame = pd.DataFrame(flat)
    several = [name for name in asked.targets if beside[name].ndim == 2]
    if not several:
        labels = read_labels(frame, path, asked) if asked.target is not None else {}
        return labels | names_of_rows(frame, path, asked)
    y = beside[several[0]]
    if len(asked.targets) > 1 or not np.isin(y, (0, 1)).all():
        raise DataError(
            f"{path}: {several[0]} has {y.shape[1]} labels per row, which must each be 0 or 1, and be the only target."
        )
    return {"y": torch.from_numpy(y.astype(np.float32))} | names_of_rows(frame, path, asked)
