"""CSV parsing: find the records and check that each has a cell for every column.

Whoever reads a CSV file, at once or in chunks, reads it through `csv_frame` or cuts it where `layout` says. A quote
opens a cell only at its beginning, after blanks; elsewhere it is a character like any other, such as an inch mark.
Blank lines between records are none; a line of separators alone is a record of missing values.
"""

import csv
import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import repeats
from rightreasons.core.files._reading import reading
from rightreasons.core.model._memory import free_bytes
from rightreasons.data.readers._options import extra

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SEPARATORS = (";", "\t", "|", ",")
_MARK = b"\xef\xbb\xbf"
_EXCEL = re.compile(rb'"?sep=([\x00-\x7f])"?[;,\t|]*\r?\n?')
_FORMULA = re.compile("[=+@\t\r\n-]")  # spreadsheets run a cell that begins so
_ESCAPED = re.compile(rf"'+{_FORMULA.pattern}")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BLOCK = 2**20  # bytes that are looked at together
_LONGEST = 10_000  # lines of one cell: a quote that is never closed must not take in the whole file


@dataclass(frozen=True)
class Layout:
    """What is where in a CSV file.

    Attributes:
        names: of the columns.
        separator: between cells.
        rows: records after the header.
        starts: the byte at which every so many-th row begins, and the one after the last row.
    """

    names: tuple[str, ...]
    separator: str
    rows: int
    starts: tuple[int, ...]


def layout(path: Path, separator: str | None = None, every: int | None = None) -> Layout:
    """Find the records of a CSV file and check that each has as many cells as the header.

    Cost: one pass at about the speed of reading the file; nothing but the starts is kept.

    Args:
        path: of the file, which may be compressed with gzip.
        separator: between cells; None: a tab for .tsv, a comma else, or what a first line `sep=;` of Excel says.
        every: of how many rows the starts are wanted; None: of the first row only.

    Raises: DataError for a file that cannot be read, with the line that is no record of the header's columns.
    """
    asked = "\t" if separator == "\\t" else separator
    if asked is not None and (len(asked) != 1 or not asked.isascii() or asked in '"\r\n'):
        raise DataError(
            f"separator={asked!r} (--separator) must be one ASCII character, no quote and no line end: say what the "
            "cells of a line end at, such as ';'."
        )
    with reading(path, "CSV"), _opened(path) as file:
        start, line, asked = _begin(file, path, asked)
        found = asked or ("\t" if ".tsv" in path.suffixes else ",")
        return _layout(_Records(file, path, found, start, line), every)


def csv_frame(path: Path, separator: str | None = None, **options: Any) -> Any:
    """The table of a CSV file with pandas' types, header by `layout`, as many rows as were counted.

    Args:
        path: of the file.
        separator: as for `layout`.
        options: of `pandas.read_csv`.

    Raises: DataError as `layout`, or for bytes that are no UTF-8.
    """
    pd = extra("pandas", "pandas")
    found = layout(path, separator)
    if options.get("decimal") == found.separator:
        raise DataError(
            f"decimal={found.separator!r} (--decimal) also ends the columns of {path}, so numbers would be cut in "
            "two. Say what columns end at: separator=';' (--separator)."
        )
    with reading(path, "CSV"), _opened(path) as file:
        file.seek(found.starts[0])
        try:
            table = pd.read_csv(file, low_memory=False, **_as_laid_out(found), **options)
        except UnicodeDecodeError as error:
            raise _no_utf8(path, error) from error
        except pd.errors.EmptyDataError:
            table = pd.DataFrame(columns=list(found.names))
    if len(table) != found.rows:
        raise DataError(
            f"{path} has {found.rows} rows and {len(table)} were read: it changed meanwhile, or its quotes cannot be "
            "told apart. Write it again with every text in quotes."
        )
    for name in table.columns[[isinstance(kind, pd.StringDtype) for kind in table.dtypes]]:
        if table[name].str.startswith("'", na=False).any():
            table[name] = table[name].map(unescaped, na_action="ignore")
    return table


def csv_column(path: Path, found: Layout, name: str | None) -> Iterator[Any]:
    """The cells of a column as text, some rows at a time; none if there is no such column."""
    if name not in found.names:
        return
    with reading(path, "CSV"), _opened(path) as file:
        file.seek(found.starts[0])
        pd = extra("pandas", "pandas")
        with pd.read_csv(file, usecols=[name], dtype=str, chunksize=2**16, **_as_laid_out(found)) as blocks:
            yield from (block[name].map(unescaped, na_action="ignore") for block in blocks)


def _as_laid_out(found: Layout) -> dict[str, Any]:
    """What pandas is told of a file that begins at its first row."""
    return {
        "names": list(found.names), "header": None, "sep": found.separator, "index_col": False,
        "skipinitialspace": found.separator != " ", "encoding": "utf-8",
    }  # fmt: skip


def _opened(path: Path) -> BufferedIOBase:
    """The bytes of a file, decompressed."""
    return BufferedReader(_Inflated(path), 2**20) if path.suffix.lower() == ".gz" else path.open("rb")


class _Inflated(RawIOBase):
    """The bytes of a file of gzip, half of the free memory at most: a small file can hold any number of zeros."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, gzip.open(path, "rb")
        free = free_bytes(torch.device("cpu"))
        self.most = 2**46 if free is None else free // 2

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = self.file.readinto(buffer)
        if self.file.tell() > self.most:
            raise DataError(
                f"{self.path} holds more than {self.most / 1e9:,.1f} GB of text, which is half of the free memory, in "
                f"{self.path.stat().st_size / 1e9:,.4f} GB. The file is damaged, or meant for a larger machine: take a "
                "part of it."
            )
        return count

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.file.close()
        super().close()


def escaped(text: str) -> str:
    r"""A text as a cell that no spreadsheet takes for a formula: behind a single quote, unless it is a number.

    >>> escaped("=1+1"), escaped("-2.5e3"), escaped("-x"), escaped("a=b"), escaped("'=x")
    ("'=1+1", '-2.5e3', "'-x", 'a=b', "''=x")
    """
    risky = _ESCAPED.match(text) or (_FORMULA.match(text) and not _NUMBER.fullmatch(text))
    return f"'{text}" if risky else text


def unescaped(text: str) -> str:
    r"""The text that `escaped` made a cell of.

    >>> unescaped("'=1+1"), unescaped("'tis"), unescaped("''=x")
    ('=1+1', "'tis", "'=x")
    """
    return text[1:] if _ESCAPED.match(text) else text


def _begin(file: BufferedIOBase, path: Path, separator: str | None) -> tuple[int, int, str | None]:
    """Where the header begins, the lines before it, and the separator that the first line says, if it says one."""
    mark = file.read(3)
    start = 3 if mark == _MARK else 0
    file.seek(start)
    said = _EXCEL.fullmatch(file.readline())
    if said is None:
        file.seek(start)
        return start, 0, separator
    own = said[1].decode()
    if separator not in (None, own):
        raise DataError(
            f"The first line of {path} says that cells end at {own!r}, and separator={separator!r} (--separator) that "
            "they do not. Leave one of them out."
        )
    return file.tell(), 1, own


class _Records:
    """The records of an open file: where each begins, its line, its cells counted, and its bytes."""

    def __init__(self, file: BufferedIOBase, path: Path, separator: str, start: int, line: int) -> None:
        self.file, self.path, self.separator = file, path, separator
        self.position, self.line = start, line  # of the next line
        self.edge = separator.encode()
        edge, blanks = re.escape(self.edge), b"" if separator == " " else b" *"
        opening = rb'(?:\A|(?<=%b))%b"' % (edge, blanks)
        inside = rb'[^"]*(?:""[^"]*)*'
        self.quoted = re.compile(rb'%b%b"%b(?=%b|\r?\n?\Z)' % (opening, inside, blanks, edge))
        self.opens = re.compile(opening)
        self.cell = re.compile(rb'%b%b("?)%b' % (opening, inside, blanks))
        self.nothing = b" \t\r\n".replace(self.edge, b"")

    def plain(self, width: int) -> np.ndarray | None:
        """Where the records of the next block begin, if all are lines of this width without quotes; else None.

        Cost: some passes over the block. Not for compressed files, where going back is to decompress from the start.
        """
        if width < 2 or isinstance(getattr(self.file, "raw", None), _Inflated):
            return None
        self.file.seek(self.position)
        block = self.file.read(_BLOCK)
        block = block[: block.rfind(b"\n") + 1]
        if not block or b'"' in block or b"\0" in block or block.count(b"\r") != block.count(b"\r\n"):
            return None
        values = np.frombuffer(block, dtype=np.uint8)
        ends, edges = np.flatnonzero(values == ord("\n")), np.flatnonzero(values == ord(self.separator))
        if len(edges) != (width - 1) * len(ends):
            return None
        edges = edges.reshape(len(ends), width - 1)
        if (edges[:, -1] > ends).any() or (edges[1:, 0] < ends[:-1]).any():
            return None
        start = self.position
        self.position += len(block)
        self.line += len(ends)
        return start + np.concatenate([[0], ends[:-1] + 1])

    def lines(self, until: int = sys.maxsize) -> Iterator[tuple[int, int, int, bytes]]:
        """Start, line, number of cells and bytes of each record that begins before this byte."""
        if self.file.tell() != self.position:
            self.file.seek(self.position)
        while self.position < until and (first := self.file.readline()):
            start, line = self.position, self.line + 1
            record, unquoted = self._whole(first, line) if b'"' in first else (first, first)
            self.position += len(record)
            self.line += record.count(b"\n") or 1
            if b"\0" in record:
                raise DataError(f"{self.path}, line {line}, holds a byte that is no text. Save it as UTF-8.")
            if b"\r" in unquoted and b"\r" in unquoted.rstrip(b"\r\n"):
                raise DataError(
                    f"{self.path}, line {line}, holds a line end of old Macs (CR) within a cell, which programs read "
                    "differently. Save it with the line ends of Unix or Windows."
                )
            if record.strip(self.nothing):
                yield start, line, unquoted.count(self.edge) + 1, record

    def _whole(self, record: bytes, line: int) -> tuple[bytes, bytes]:
        """A record to its end, which may be lines below, and what of it is in no quotes."""
        while self.opens.search(rest := self.quoted.sub(b"", record)) is not None:
            record += self._more(record, line)
        return record, rest

    def _more(self, record: bytes, line: int) -> bytes:
        """The lines up to the next one with a quote, where the last quoted cell goes on in them."""
        for cell in self.cell.finditer(record):
            if cell[1] and record[cell.end() : cell.end() + 1] not in (self.edge, b"\r", b"\n", b""):
                shown = record[cell.start() : cell.end() + 10].decode("utf-8", "replace").strip()[-40:]
                raise DataError(
                    f"{self.path}, line {line}: a cell begins with a quote and goes on after the quote that closes "
                    f"it: {shown!r}. Write each quote within quotes twice, or none at the beginning of the cell."
                )
        held: list[bytes] = []
        for each in self.file if record.count(b"\n") < _LONGEST else ():
            held.append(each)
            if b'"' in each:
                return b"".join(held)
            if len(held) > _LONGEST:
                break
        raise DataError(
            f"{self.path}, line {line}: a cell begins with a quote that nothing closes, so the rows after it would be "
            "lost. Close it, write a quote that belongs to the text twice within quotes, or fetch the file again if "
            "it was cut short."
        )


def _layout(records: _Records, every: int | None) -> Layout:
    _, header_line, width, header = next(records.lines(), (0, 0, 0, b""))
    if not width:
        raise DataError(f"{records.path} cannot be read as CSV: it is empty.")
    names = _names(header, records)
    require_different_names(records.path, names)
    _require_cells(records.path, names, records.separator)
    starts, rows, end, before = list[int](), 0, records.position, -1
    while before < records.position:
        before = records.position
        begins = records.plain(width)
        if begins is not None:
            starts += (begins[-rows % every :: every] if every else begins[: rows == 0]).tolist()
            rows += len(begins)
            end = records.position
            continue
        for start, line, cells, record in records.lines(until=before + _BLOCK):
            if cells != width:
                raise _unfit(records, names, (header_line, line), rows, cells, record)
            if rows % every == 0 if every else rows == 0:
                starts.append(start)
            rows += 1
            end = records.position
    return Layout(names, records.separator, rows, (*starts, end))


def _names(header: bytes, records: _Records) -> tuple[str, ...]:
    separator = records.separator
    try:
        text = header.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _no_utf8(records.path, error) from error
    try:
        [cells] = csv.reader(
            text.splitlines(keepends=True) if "\n" in text else [text],
            delimiter=separator,
            skipinitialspace=separator != " ",
        )
    except (csv.Error, ValueError) as error:
        raise DataError(f"{records.path} cannot be read as CSV: its header: {error}.") from error
    named = [unescaped(cell.strip()) for cell in cells]
    return tuple(name or f"Unnamed: {i}" for i, name in enumerate(named))


def require_different_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a table with two columns of one name."""
    if twice := repeats(names):
        raise DataError(f"{path} has several columns of the name {twice[0]!r}. Rename all but one.")


def _require_cells(path: Path, names: Sequence[str], separator: str) -> None:
    """Refuse a header that is one cell because its cells end at something else."""
    if len(names) == 1 and (other := next((each for each in SEPARATORS if each in names[0]), None)):
        raise DataError(f"{path} has one column between {separator!r}s, {names[0]!r}. {_ending_at(other)}")


def _ending_at(other: str) -> str:
    """What to do about another separator; its own first line says it for files whose reader takes no option."""
    how = f"say separator={other!r} (--separator), or put a line sep={other} on top of it"
    return f"If columns end at {other!r}, {how}."


def _unfit(
    records: _Records, names: Sequence[str], lines: tuple[int, int], row: int, cells: int, record: bytes
) -> DataError:
    """What is wrong with a record of too few or too many cells."""
    width, own, header = len(names), records.separator, ",".join(names)
    cut = cells < width and not record.endswith(b"\n")
    if cells == width + 1 and row == 0:
        more = (
            "If its first cell names the row, as in tables that R writes, the header lacks a name for that column: "
            "put one in front of it (in R: col.names=NA)."
        )
    elif cells > width:
        more = f"Put a cell that holds {own!r} in quotes, or name every column in the header."
    elif cut:
        more = "The file ends there, within a row, so it was cut short: fetch or write it again."
    else:
        more = f"Write {own!r} for every cell, also for empty ones at the end of a row."
    likely = max(SEPARATORS, key=header.count)
    if header.count(likely) > header.count(own):
        more += f" {_ending_at(likely)}"
    return DataError(
        f"{records.path} cannot be read as CSV: line {lines[1]} (row {row + 1}) has {cells} cells, and the header in "
        f"line {lines[0]} has {width}. {more}"
    )


def _no_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8, or as Parquet.")
