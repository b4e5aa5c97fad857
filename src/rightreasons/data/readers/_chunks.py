"""Read a source of any size in chunks of rows.

A piece is a small file or folder of the source's own form, made for as long as it is needed, so that it is read by
whatever reads the source; the parser that reads CSV also says where it is cut. Forms that cannot be cut (archives,
AnnData, sets by name) are read whole, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core.files._disk import digest_of, digest_of_tensors
from rightreasons.core.files._reading import reading
from rightreasons.data._dataset import DataSet
from rightreasons.data.readers._columns import text_of
from rightreasons.data.readers._csv import csv_column, layout
from rightreasons.data.readers._image_folder import images_in
from rightreasons.data.readers._options import extra
from rightreasons.data.readers._table import DAMAGED


class Pieces(ABC):
    """A source cut into pieces of `size` rows, the last one shorter.

    Attributes:
        rows: how many the source has.
        size: of a piece.
    """

    rows: int
    size: int

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def bounds(self, piece: int) -> tuple[int, int]:
        """First row, and the one after the last."""
        return piece * self.size, min((piece + 1) * self.size, self.rows)

    @abstractmethod
    def take(self, piece: int) -> DataSet:
        """The rows of a piece."""

    def repeated_id(self) -> tuple[int, int] | None:
        """Two rows of one id, counted from 0, if there are such rows in different pieces."""
        return None

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of all it holds, which tells it from any other source, and from itself after a change.

        Cost: the source is read once.
        """


class Whole(Pieces):
    """Rows that are in memory."""

    def __init__(self, found: DataSet, size: int) -> None:
        self.found, self.rows, self.size = found, len(found), size

    def take(self, piece: int) -> DataSet:
        return self.found.rows(torch.arange(*self.bounds(piece)))

    def fingerprint(self) -> str:
        named = sha256("\0".join(self.found.ids).encode()).hexdigest()
        return f"{digest_of_tensors({'x': self.found.x, 'y': self.found.y})} {named}"


class _Cut(Pieces):
    """A file or folder that can be cut; `id` is the column, or the file beside, that names its rows."""

    def __init__(
        self, path: Path, size: int, reader: Callable[[Path], DataSet], id: str | None = None
    ) -> None:
        self.path, self.size, self.reader, self.id = path, size, reader, id

    def take(self, piece: int) -> DataSet:
        try:
            with TemporaryDirectory(prefix="rightreasons-") as folder:
                return self._taken(piece, folder)
        except OSError as error:  # such as a full disk
            raise DataError(
                f"rows of {self.path} cannot be copied to {gettempdir()}: {error.strerror or error}."
            ) from error

    def _taken(self, piece: int, folder: str) -> DataSet:
        first, last = self.bounds(piece)
        try:
            found = self.reader(self.write(piece, Path(folder)))
        except DataError as error:
            said = str(error).replace(folder, str(self.path.parent))
            raise DataError(
                f"In rows {first + 1} to {last}, counted from the first of them: {said}"
            ) from error
        if len(found) != last - first:
            raise DataError(
                f"Rows {first + 1} to {last} of {self.path} were read as {len(found)} rows: maps would be those of "
                "other rows. The file changed meanwhile, or cannot be cut; read it at once, by rr.data.read."
            )
        return found

    @abstractmethod
    def write(self, piece: int, folder: Path) -> Path:
        """Make the piece in an empty folder, and return what is to be read."""

    def repeated_id(self) -> tuple[int, int] | None:
        names = enumerate(self.names())
        hashes = np.fromiter(
            (hash(name if isinstance(name, str) else (row,)) for row, name in names), np.int64
        )
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(np.diff(hashes[order]) == 0)
        return (int(order[again[0]]), int(order[again[0] + 1])) if len(again) else None

    def names(self) -> Iterator[str | float]:
        """The id of each row, NaN where it is missing, some rows at a time."""
        return iter(())

    def fingerprint(self) -> str:
        return digest_of(self.path)


class _Lines(_Cut):
    """A CSV file, cut where its records begin."""

    def __init__(
        self, path: Path, size: int, reader: Callable[[Path], DataSet], id: str | None, separator: str | None
    ) -> None:
        super().__init__(path, size, reader, id)
        self.layout = layout(path, separator, every=size)
        self.rows = self.layout.rows
        if self.rows < 1:
            raise DataError(f"{path} has no rows.")

    def write(self, piece: int, folder: Path) -> Path:
        starts = self.layout.starts
        with self.path.open("rb") as file:
            header = file.read(starts[0])
            file.seek(starts[piece])
            content = file.read(starts[piece + 1] - starts[piece])
        target = folder / self.path.name
        target.write_bytes(header + content)
        return target

    def names(self) -> Iterator[str | float]:
        for cells in csv_column(self.path, self.layout, self.id):
            yield from cells.map(text_of, na_action="ignore")


class _Array(_Cut):
    """An .npy file, and those beside it that belong to its rows; only the rows of a piece are mapped."""

    def __init__(
        self,
        path: Path,
        size: int,
        reader: Callable[[Path], DataSet],
        id: str | None,
        beside: tuple[str, ...],
    ) -> None:
        super().__init__(path, size, reader, id)
        self.beside = beside
        shape = self._mapped(path).shape
        self.rows = shape[0]
        for name in beside:
            if (path.parent / name).is_file() and len(found := self._beside(name)) != self.rows:
                raise DataError(
                    f"{path}: {name} must have one entry per row of x {shape}, got {found.shape}."
                )

    def _mapped(self, path: Path) -> np.ndarray:
        with reading(path, "a NumPy file"):
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        if found.ndim < 2 or not len(found):
            raise DataError(f"{path} must hold rows of numbers, (rows, features, ...); got {found.shape}.")
        return found

    def write(self, piece: int, folder: Path) -> Path:
        rows = slice(*self.bounds(piece))
        np.save(folder / self.path.name, self._mapped(self.path)[rows])
        for name in self.beside:
            np.save(folder / name, self._beside(name)[rows])
        return folder / self.path.name

    def _beside(self, name: str) -> np.ndarray:
        with reading(self.path.parent / name, "a NumPy file"):
            return np.load(self.path.parent / name, mmap_mode="r", allow_pickle=False)

    def names(self) -> Iterator[str | float]:
        return iter(()) if self.id is None else map(text_of, self._beside(self.id))

    def fingerprint(self) -> str:
        return digest_of(self.path.parent, [self.path, *(self.path.parent / name for name in self.beside)])


class _Parquet(_Cut):
    """A Parquet file."""

    def __init__(self, path: Path, size: int, reader: Callable[[Path], DataSet], id: str | None) -> None:
        super().__init__(path, size, reader, id)
        parquet = extra("pyarrow.parquet", "pyarrow")
        with reading(path, "Parquet", DAMAGED):
            self.file = parquet.ParquetFile(path)
            self.rows = self.file.metadata.num_rows
            counts = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.edges = np.cumsum([0, *counts])
        if self.rows < 1:
            raise DataError(f"{path} has no rows.")

    def write(self, piece: int, folder: Path) -> Path:
        parquet = extra("pyarrow.parquet", "pyarrow")
        start, stop = self.bounds(piece)
        first, last = np.searchsorted(self.edges, [start, stop - 1], side="right") - 1
        with reading(self.path, "Parquet", DAMAGED):
            groups = self.file.read_row_groups(list(range(int(first), int(last) + 1)))
        parquet.write_table(
            groups.slice(start - int(self.edges[first]), stop - start), folder / self.path.name
        )
        return folder / self.path.name

    def names(self) -> Iterator[str | float]:
        with reading(self.path, "Parquet", DAMAGED):
            if self.id in self.file.schema_arrow.names:
                for rows in self.file.iter_batches(columns=[self.id]):
                    yield from rows.column(0).to_pandas().map(text_of, na_action="ignore")


class _Images(_Cut):
    """A folder of images, which a piece links to: in the folders of their classes, or, unlabelled, in one."""

    def __init__(self, path: Path, size: int, reader: Callable[[Path], DataSet], labelled: bool) -> None:
        super().__init__(path, size, reader)
        self.labelled = labelled
        self.files = images_in(path)
        self.rows = len(self.files)

    def take(self, piece: int) -> DataSet:
        found = super().take(piece)
        if self.labelled:
            return found
        files = self.files[slice(*self.bounds(piece))]
        return replace(found, ids=tuple(file.relative_to(self.path).as_posix() for file in files))

    def write(self, piece: int, folder: Path) -> Path:
        home = folder / self.path.resolve().name
        for i, file in enumerate(self.files[slice(*self.bounds(piece))]):
            link = home / (file.relative_to(self.path) if self.labelled else f"{i:09}{file.suffix}")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        return home

    def fingerprint(self) -> str:
        return digest_of(self.path, self.files)


def pieces(
    path: Path,
    size: int,
    reader: Callable[[Path], DataSet],
    *,
    labelled: bool = False,
    id: str | None = None,
    beside: tuple[str, ...] = (),
    separator: str | None = None,
    whole_tables: bool = False,
) -> Pieces:
    """The pieces of a file or folder.

    Args:
        path: what `read` takes.
        size: rows of a piece.
        reader: from a path of that form to rows.
        labelled: whether the reader reads labels.
        id: column, or file beside an .npy file, that names the rows.
        beside: names of files beside an .npy file that have an entry for each of its rows.
        separator: between the cells of a CSV file, as `read` was told it.
        whole_tables: read tables at once, as where their own values decide what they mean.

    Raises: DataError for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return _Images(path, size, reader, labelled)
    if ending == ".npy":
        return _Array(path, size, reader, id, beside)
    if ending in (".csv", ".tsv", ".txt") and not whole_tables:
        return _Lines(path, size, reader, id, separator)
    if ending in (".parquet", ".pq") and not whole_tables:
        return _Parquet(path, size, reader, id)
    return Whole(reader(path), size)
