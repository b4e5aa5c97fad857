"""Read NumPy .npy and .npz files."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean, repeats
from rightreasons.core.files._reading import reading, require_room
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data.readers._columns import EXACT_SINGLE, exact_floats
from rightreasons.data.readers._labels import names_of_rows, read_labels
from rightreasons.data.readers._options import Asked, extra

_ADVICE = (
    "Only plain numbers and text are read, no Python objects; if it was cut short or damaged, write it again."
)
_CHANNELS = (1, 3)
_DEFLATE = 1032  # bytes that one compressed byte can stand for, at most
_BLOCK = 2**16  # bytes


def read_arrays(path: Path, asked: Asked) -> DataSet:
    """An .npz file with an array x, or an .npy file of inputs whose labels, ids, ... are other .npy files beside it.

    A matrix is a table; its columns are named by an array `columns`, or x0, x1, ... Bytes are pixels and become
    numbers in [0, 1]; those of shape (N, H, W, 1 or 3) are turned to channels first. Integers with an array
    `vocabulary` are words. Numbers of a table stay in double precision, or in the single precision that the file has;
    arrays of more dimensions become float32. Labels (N, 1) are those of (N,). Bytes that are text are UTF-8. Nothing in
    the file is executed.
    """
    arrays = _open(path) if path.suffix == ".npz" else {"x": stored_array(path)}
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
        if array.ndim not in (1, 2) or len(array) != len(x) or array.dtype.kind not in "biufUM":
            raise DataError(
                f"{path}: {name} must have one entry per row of x {x.shape}, numbers or texts, got {array.shape} of "
                f"{array.dtype}."
            )
    about_rows: dict[str, Any] = {"y": torch.full((len(x),), torch.nan)} | _rows(beside, path, asked)
    return DataSet(
        path.name.partition(".")[0], source=path.name, **_inputs(arrays, path, asked), **about_rows
    )


def arrays_beside(path: Path) -> tuple[str, ...]:
    """Names of what may hold a label: the other arrays of an .npz file, the other files beside an .npy file."""
    if path.suffix == ".npy":
        return tuple(sorted(each.name for each in path.parent.glob("*.npy") if each.name != path.name))
    return tuple(name for name in _open(path) if name not in ("x", "columns", "vocabulary"))


def stored_array(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises: DataError for a file that is damaged, shorter than its header says, or holds Python objects.
    """
    with reading(path, "a NumPy file", _ADVICE):
        mapped = np.load(
            path, mmap_mode="r", allow_pickle=False
        )  # does not exist unless the file is long enough
        if not isinstance(mapped, np.ndarray):
            mapped.close()
            raise DataError(f"{path} is an archive of arrays: call it .npz.")
        require_room(mapped.nbytes, path, f"an array {mapped.shape}")
        return _decoded(np.array(mapped), path.name, path)


def _open(path: Path) -> dict[str, np.ndarray]:
    with reading(path, "a NumPy file", _ADVICE), zipfile.ZipFile(path) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        again = repeats(each.filename for each in members)
        if again:
            raise DataError(f"{path} has several arrays of the name {again[0].removesuffix('.npy')!r}.")
        for each in members:
            if each.file_size > _DEFLATE * each.compress_size + _BLOCK:
                raise DataError(
                    f"{path} is damaged: {each.filename} cannot have {each.file_size:,} bytes out of "
                    f"{each.compress_size:,} compressed ones."
                )
        require_room(sum(each.file_size for each in members), path, f"{len(members)} arrays")
        return {name: _decoded(array, name, path) for name, array in _members(archive, members)}


def _members(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Iterator[tuple[str, np.ndarray]]:
    for each in members:
        with archive.open(each) as file:
            yield each.filename.removesuffix(".npy"), np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError(f"{each.filename} is longer than its header says")


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


def _beside(arrays: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        if not (path.parent / name).is_file():
            near = [each.name for each in path.parent.glob("*.npy")]
            raise DataError(f"There is no file {name!r} beside {path}. {did_you_mean(name, near)}")
        return stored_array(path.parent / name)
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
        words = tuple(_names(arrays, "vocabulary", path))
        if x.dtype.kind not in "iu" or x.min() < 0 or x.max() >= len(words):
            raise DataError(
                f"{path}: x must be integers in 0..{len(words) - 1}, one for each word of its vocabulary, got "
                f"{x.dtype} from {x.min()} to {x.max()}."
            )
        return {"x": torch.from_numpy(x.astype(np.int64)), "vocabulary": words}
    if x.dtype == np.uint8:
        return {"x": torch.from_numpy(x.astype(np.float32) / 255), "bounds": (0.0, 1.0), "notes": notes}
    numbers = exact_floats(x, f"{path}: x")
    if x.ndim > 2:
        single = numbers.astype(np.float32)
        if (single != numbers).any() and (x.dtype.kind in "iu" or _merges(numbers)):
            raise DataError(
                f"{path}: x holds whole numbers as large as {x.max()}, which are not scaled and which single precision "
                "rounds: different ones would become equal. Scale them before they are saved, or count from a smaller "
                "origin."
            )
        if not np.isfinite(single).all():
            raise DataError(
                f"{path}: x has {int((~np.isfinite(single)).sum())} NaN or infinite entries. Fill them."
            )
        return {"x": torch.from_numpy(single), "notes": notes}
    names = _names(arrays, "columns", path) if "columns" in arrays else [f"x{i}" for i in range(x.shape[1])]
    return {"x": torch.from_numpy(numbers), "columns": tuple(Column(name) for name in names)}


def _merges(numbers: np.ndarray) -> bool:
    """Whether single precision makes different whole numbers equal."""
    whole = numbers[np.isfinite(numbers) & (np.abs(numbers) > EXACT_SINGLE) & (numbers == np.round(numbers))]
    different = np.unique(whole)
    return len(np.unique(different.astype(np.float32))) < len(different)


def _names(arrays: dict[str, np.ndarray], name: str, path: Path) -> list[str]:
    array = arrays[name]
    if array.ndim != 1:
        raise DataError(f"{path}: {name} is a list of names; got an array {array.shape}.")
    return [str(each) for each in array.tolist()]


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
