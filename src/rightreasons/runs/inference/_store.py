"""The Zarr store of maps, written in chunks that are whole or absent.

A Zarr group (format 3) with, for N rows in pieces of n:

    maps      (N, *map)   each piece a chunk
    outputs   (N, *outputs) of the network
    gap       (N,)        completeness gap, where the method has one
    target    (N, ...)    the output explained, where the network has several
    ids       (N,)        names of the rows, if they have any; otherwise a row is its position
    digest    (N / n, 32) SHA-256 of what was written of each piece
    done      (N / n,)    how often each piece was computed: 1 after the last of the others is written

and attributes: `job`, what was asked, in full, `versions`, `features` or `classes` where the data name
them, and the `digest` of all that.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._errors import DataError
from rightreasons.core._extras import require
from rightreasons.core.files._disk import writing

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
            if self.attributes.get("digest", seal := _seal(self.attributes, self.group)) != seal:
                raise ValueError("what it says of itself is not what was written")
        except Exception as error:  # of zarr's and json's own kinds: there is no list of them
            raise DataError(
                f"{path} is no store of maps, or damaged: {' '.join(str(error).split())}. Remove it, or write to "
                "another place."
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
            try:
                cls._make(making, first, rows, attributes)
                making.replace(path)
            finally:
                shutil.rmtree(making, ignore_errors=True)
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
        count = -(-rows // size)
        group.create_array("digest", shape=(count, 32), chunks=(1, 32), dtype="uint8", fill_value=0)
        group.create_array("done", shape=(count,), chunks=(1,), dtype="uint8", fill_value=0)
        group.attrs["digest"] = _seal(attributes, group)

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
            if "digest" in self.group:
                self.group["digest"][piece] = _digest(found)
            self.group["done"][piece] = self.group["done"][piece] + 1

    def read(self, piece: int) -> Rows:
        """The arrays of a piece; of one that is not done, whatever is there.

        Raises: DataError if they are not what was written.
        """
        start, stop = self.bounds(piece)
        try:
            arrays = [(name, array) for name, array in self.group.arrays() if name not in ("digest", "done")]
            found = {name: np.asarray(array[start:stop]) for name, array in arrays}
            done = self.group["done"][piece] > 0 and "digest" in self.group
            if done and not np.array_equal(self.group["digest"][piece], _digest(found)):
                raise ValueError("they are not what was written")
        except Exception as error:  # the decoders' own kinds: there is no list of them
            raise DataError(
                f"{self.path} is damaged in rows {start} to {stop - 1}: {' '.join(str(error).split())}. Explain again "
                "as before: only these are done anew."
            ) from error
        return found

    def reopen_damaged(self) -> int:
        """Take pieces that are not what was written for not done; how many."""
        damaged = [
            piece for piece in np.flatnonzero(self.group["done"][:]).tolist() if not self._whole(piece)
        ]
        with writing(self.path):
            for piece in damaged:
                self.group["done"][piece] = 0
        return len(damaged)

    def _whole(self, piece: int) -> bool:
        try:
            self.read(piece)
        except DataError:
            return False
        return True

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


def _seal(attributes: Mapping[str, Any], group: Any) -> str:
    """A digest of what a store says of itself."""
    said = {name: value for name, value in attributes.items() if name != "digest"}
    shapes = {name: list(array.shape) for name, array in group.arrays()}
    return sha256(json.dumps([said, shapes], sort_keys=True).encode()).hexdigest()


def _digest(found: Rows) -> np.ndarray:
    """Of the values of each array, by name; every NaN is one."""
    total = sha256()
    for name, values in sorted(found.items()):
        total.update(f"{name} {values.shape} ".encode())
        if values.dtype.kind == "f":
            total.update(np.where(np.isnan(values), values.dtype.type("nan"), values).tobytes())
        else:
            plain = values.dtype.kind in "biu"
            total.update(values.tobytes() if plain else "\0".join(map(str, values.flat)).encode())
    return np.frombuffer(total.digest(), dtype=np.uint8)


def features_of(attributes: Mapping[str, Any], width: int) -> Sequence[str]:
    """Names of the columns of maps."""
    return attributes.get("features") or [f"x{i}" for i in range(width)]
