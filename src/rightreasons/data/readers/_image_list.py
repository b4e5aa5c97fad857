"""Read the CSV file beside images that gives label, group and split."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data.readers._csv import csv_frame
from rightreasons.data.readers._labels import names_of_rows, read_labels
from rightreasons.data.readers._options import Asked
from rightreasons.data.readers._pixels import ENDINGS

_FILE = "file"
_MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "?")


def listed(path: Path, asked: Asked) -> tuple[list[Path], dict[str, Any]]:
    """The images of a folder that the file `labels` names, in its order, and fields of the data set that it fills.

    Raises: DataError for a file that cannot be read, a column or image that is not there, an image named twice.
    """
    table = path / (asked.labels or "")
    frame = _frame(table, asked)
    column = asked.id or _FILE
    for name in (column, *asked.targets, *(each for each in (asked.group, asked.split) if each is not None)):
        if name not in frame.columns:
            hint = " Say id=COLUMN (--id) if another column names the images." if name == column else ""
            raise DataError(
                f"{table} has no column {name!r}. {did_you_mean(name, map(str, frame.columns))}{hint}"
            )
    fields = names_of_rows(frame, table, replace(asked, id=column))
    if asked.targets:
        fields |= read_labels(frame, table, asked)
    files = [path / name for name in fields["ids"]]
    first: dict[Path, int] = {}
    for row, file in enumerate(files, start=1):
        if first.setdefault(file.resolve(), row) != row:
            raise DataError(
                f"{table} names the image {file} in row {first[file.resolve()]} and in row {row}. Remove one."
            )
        if not file.is_file():
            raise DataError(
                f"{table} names the image {fields['ids'][row - 1]!r} in row {row}, and there is no file {file}. Names "
                f"are relative to {path}."
            )
    rest = {each for each in path.rglob("*") if each.suffix.lower() in ENDINGS} - set(files)
    if rest:
        fields["notes"] = (
            f"{len(rest)} images of the folder are not named in {table.name}, such as {min(rest).name}: left out.",
        )
    return files, fields


def _frame(table: Path, asked: Asked) -> Any:
    """The file with pandas' types; names are text."""
    names = [each for each in (asked.id or _FILE, asked.group, asked.split) if each is not None]
    try:
        return csv_frame(
            table,
            asked.separator,
            dtype=dict.fromkeys(names, str),
            na_values=list(_MISSING),
            keep_default_na=False,
        )
    except DataError as error:
        raise DataError(f"The label file {error}") from error
