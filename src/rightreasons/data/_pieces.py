"""A source of any size, some rows at a time: what is in memory does not grow with the number of rows.

A piece is a small file or folder of the source's own form, made for as long as it is needed, so that it is read by
whatever reads the source. Forms that cannot be cut (archives, AnnData, sets by name) are read whole, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import torch

from rightreasons.core._disk import digest_of, digest_of_tensors
from rightreasons.core._errors import DataError
from rightreasons.data._asked import extra
from rightreasons.data._dataset import DataSet
from rightreasons.data._image_folder import images_in


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

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of all it holds, which tells it from any other source, and from itself after a change.

        Cost: the source is read once, about a gigabyte a second.
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
    """A file or folder that can be cut."""

    def __init__(self, path: Path, size: int, reader: Callable[[Path], DataSet]) -> None:
        self.path, self.size, self.reader = path, size, reader

    def take(self, piece: int) -> DataSet:
        try:
            with TemporaryDirectory(prefix="rightreasons-") as folder:
                return self._taken(piece, folder)
        except OSError as error:  # such as a full disk
            raise DataError(
                f"rows of {self.path} cannot be copied to {gettempdir()}: {error.strerror or error}."
            ) from error

    def _taken(self, piece: int, folder: str) -> DataSet:
        try:
            return self.reader(self.write(piece, Path(folder)))
        except DataError as error:
            first, last = self.bounds(piece)
            said = str(error).replace(folder, str(self.path.parent))
            raise DataError(
                f"In rows {first + 1} to {last}, counted from the first of them: {said}"
            ) from error

    @abstractmethod
    def write(self, piece: int, folder: Path) -> Path:
        """Make the piece in an empty folder, and return what is to be read."""

    def fingerprint(self) -> str:
        return digest_of(self.path)


class _Lines(_Cut):
    """A CSV file, cut where records end: after a line with an even number of quotes so far."""

    def __init__(self, path: Path, size: int, reader: Callable[[Path], DataSet]) -> None:
        super().__init__(path, size, reader)
        self.starts: list[int] = []
        self.rows = -1
        with path.open("rb") as file:
            for start, record in _records(file):
                if self.rows < 0:
                    self.header = record
                elif self.rows % size == 0:
                    self.starts.append(start)
                self.rows += 1
        self.starts.append(path.stat().st_size)
        if self.rows < 1:
            raise DataError(f"{path} has no rows.")

    def write(self, piece: int, folder: Path) -> Path:
        start, stop = self.starts[piece : piece + 2]
        with self.path.open("rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        target = folder / self.path.name
        target.write_bytes(self.header.rstrip(b"\r\n") + b"\n" + content)
        return target


def _records(file: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where each record begins, and its bytes; blank lines between records are none."""
    position, start, held = 0, 0, b""
    for line in file:
        held = held + line if held else line
        position += len(line)
        if held.count(b'"') % 2 == 0:
            if held.strip():
                yield start, held
            start, held = position, b""
    if held.strip():
        yield start, held


class _Array(_Cut):
    """An .npy file, and those beside it that belong to its rows; only the rows of a piece are mapped."""

    def __init__(
        self, path: Path, size: int, reader: Callable[[Path], DataSet], beside: tuple[str, ...]
    ) -> None:
        super().__init__(path, size, reader)
        self.beside = beside
        self.rows = len(self._mapped(path))

    def _mapped(self, path: Path) -> np.ndarray:
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise DataError(f"{path} cannot be read as a NumPy file: {error}.") from error
        if found.ndim < 2 or not len(found):
            raise DataError(f"{path} must hold rows of numbers, (rows, features, ...); got {found.shape}.")
        return found

    def write(self, piece: int, folder: Path) -> Path:
        rows = slice(*self.bounds(piece))
        np.save(folder / self.path.name, self._mapped(self.path)[rows])
        for name in self.beside:
            np.save(folder / name, np.load(self.path.parent / name, mmap_mode="r", allow_pickle=False)[rows])
        return folder / self.path.name

    def fingerprint(self) -> str:
        return digest_of(self.path.parent, [self.path, *(self.path.parent / name for name in self.beside)])


class _Parquet(_Cut):
    """A Parquet file."""

    def __init__(self, path: Path, size: int, reader: Callable[[Path], DataSet]) -> None:
        super().__init__(path, size, reader)
        parquet = extra("pyarrow.parquet", "pyarrow")
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
        groups = self.file.read_row_groups(list(range(int(first), int(last) + 1)))
        parquet.write_table(
            groups.slice(start - int(self.edges[first]), stop - start), folder / self.path.name
        )
        return folder / self.path.name


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
    beside: tuple[str, ...] = (),
    whole_tables: bool = False,
) -> Pieces:
    """The pieces of a file or folder.

    Args:
        path: what `read` takes.
        size: rows of a piece.
        reader: from a path of that form to rows.
        labelled: whether the reader reads labels.
        beside: names of files beside an .npy file that have an entry for each of its rows.
        whole_tables: read tables at once, as where their own values decide what they mean.

    Raises: DataError for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return _Images(path, size, reader, labelled)
    if ending == ".npy":
        return _Array(path, size, reader, beside)
    if ending in (".csv", ".tsv", ".txt") and not whole_tables:
        return _Lines(path, size, reader)
    if ending in (".parquet", ".pq") and not whole_tables:
        return _Parquet(path, size, reader)
    return Whole(reader(path), size)
