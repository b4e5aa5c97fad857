"""Maps of a data set on disk, a piece of rows at a time: whatever is killed when, a piece is there or it is not.

A Zarr group (format 3) with, for N rows in pieces of n:

    maps      (N, *map)   each piece a chunk
    outputs   (N, *outputs) of the network
    gap       (N,)        completeness gap, where the method has one
    target    (N, ...)    the output explained, where the network has several
    ids       (N,)        names of the rows, if they have any; otherwise a row is its position
    done      (N / n,)    how often each piece was computed: 1 after the last of the others is written

and attributes: `job`, what was asked, in full, `versions`, and `features` or `classes` where the data name them.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._errors import DataError
from rightreasons.recipes._extras import require
from rightreasons.runs._files import writing

Rows = dict[str, np.ndarray]


class MapStore:
    """An open store.

    Args:
        path: of the group.
        mode: as in `zarr.open_group`.

    Raises:
        DataError: not a store of maps.
        MissingExtraError: zarr is not installed.
    """

    def __init__(self, path: Path, mode: str = "r") -> None:
        require("zarr", "zarr")
        import zarr

        self.path = path
        try:
            self.group: Any = zarr.open_group(path, mode=mode)  # pyright: ignore[reportArgumentType]
            self.attributes: dict[str, Any] = dict(self.group.attrs)
            self.size: int = self.attributes["job"]["piece"]
            self.rows: int = self.group["maps"].shape[0]
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{path} is no store of maps: {error}. Remove it, or write to another place."
            ) from error

    @classmethod
    def create(cls, path: Path, first: Rows, rows: int, attributes: Mapping[str, Any]) -> "MapStore":
        """An empty store for so many rows like the `first` ones; it appears whole or not at all.

        Raises: DataError if it cannot be written.
        """
        require("zarr", "zarr")
        making = path.with_name(f".making-{path.name}")
        shutil.rmtree(making, ignore_errors=True)
        with writing(path):
            making.parent.mkdir(parents=True, exist_ok=True)
            cls._make(making, first, rows, attributes)
            making.replace(path)
        return cls(path, "r+")

    @staticmethod
    def _make(making: Path, first: Rows, rows: int, attributes: Mapping[str, Any]) -> None:
        import zarr

        size = attributes["job"]["piece"]
        group: Any = zarr.open_group(making, mode="w", attributes=dict(attributes))
        for name, values in first.items():
            text = values.dtype.kind == "U"
            group.create_array(
                name,
                shape=(rows, *values.shape[1:]),
                chunks=(size, *(max(1, n) for n in values.shape[1:])),
                dtype=str if text else values.dtype,
                fill_value="" if text else np.nan if values.dtype.kind == "f" else -1,
            )
        group.create_array("done", shape=(-(-rows // size),), chunks=(1,), dtype="uint8", fill_value=0)

    def pending(self) -> list[int]:
        """Pieces that are not there yet."""
        return np.flatnonzero(self.group["done"][:] == 0).tolist()

    def bounds(self, piece: int) -> tuple[int, int]:
        """First row of a piece, and the one after its last."""
        return piece * self.size, min((piece + 1) * self.size, self.rows)

    def write(self, piece: int, found: Rows) -> None:
        """Add a piece; it counts as done when all of it is written.

        Raises: DataError if it cannot be written.
        """
        start, stop = self.bounds(piece)
        with writing(self.path):
            for name, values in found.items():
                self.group[name][start:stop] = values.astype(object) if values.dtype.kind == "U" else values
            self.group["done"][piece] = self.group["done"][piece] + 1

    def read(self, piece: int) -> Rows:
        """The arrays of a piece, whatever is done of it."""
        start, stop = self.bounds(piece)
        return {name: np.asarray(array[start:stop]) for name, array in self.group.arrays() if name != "done"}

    def require_same(self, job: Mapping[str, Any]) -> None:
        """Raise a DataError unless the store is of this very job."""
        own = self.attributes["job"]
        compared = {**own, **job}.keys() - {"model", "source"}  # ways to name what weights and rows tell
        other = sorted(name for name in compared if own.get(name) != job.get(name))
        if other:
            said = "; ".join(f"{name} was {own.get(name)!r} and is {job.get(name)!r}" for name in other)
            raise DataError(
                f"{self.path} holds maps of another job, so it cannot be gone on with: {said}. Ask as before, remove "
                "it, or write to another place."
            )


def features_of(attributes: Mapping[str, Any], width: int) -> Sequence[str]:
    """Names of the columns of maps."""
    return attributes.get("features") or [f"x{i}" for i in range(width)]
