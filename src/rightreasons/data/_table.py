"""Tables: CSV and Parquet files to data sets."""

import csv
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._closest import did_you_mean, repeats
from rightreasons.core._errors import DataError
from rightreasons.data._asked import Asked, ColumnsError, extra
from rightreasons.data._columns import feature, plain_numbers
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data._labels import names_of_rows, read_labels

_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")
_HINTS = {
    "target": " If the label is in another column, say target=COLUMN (--target).",
    "id": " If another column names the rows, say id=COLUMN (--id).",
    "": "",
}
_SEPARATORS = (";", "\t", "|", ",")


def read_csv(path: Path, asked: Asked) -> DataSet:
    """A table of text."""
    pd = extra("pandas", "pandas")
    separator = asked.separator or ("\t" if ".tsv" in path.suffixes else ",")
    texts = [name for name in (asked.id, asked.group, *asked.categorical) if name is not None]
    if asked.like is not None:
        texts += [column.name for column in asked.like.columns if column.levels]
    options = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    decimal = asked.decimal or "."
    if decimal == separator:
        raise DataError(
            f"decimal={decimal!r} (--decimal) also ends the columns of {path}, so numbers would be cut in two. Say "
            "what columns end at: separator=';' (--separator)."
        )
    try:
        _require_names(path, _header(path, separator), separator)
        frame = pd.read_csv(
            path,
            dtype=dict.fromkeys(texts, str),
            na_values=[*_MISSING, *asked.missing],
            keep_default_na=False,
            low_memory=False,
            index_col=False,
            decimal=decimal,
            **options,
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8, or as Parquet.") from error
    except (OSError, EOFError, ValueError, csv.Error) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path} cannot be read as CSV: {_line(error)}.{_other(path, separator)}") from error
    if decimal != ".":
        frame = frame.apply(_with_points, decimal=decimal)
    return from_frame(
        frame.copy(), path, asked
    )  # a copy is one block of memory: columns are found 50 times faster


def _header(path: Path, separator: str) -> list[str]:
    """Names of the columns; pandas makes repeated ones different."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return next((row for row in csv.reader(file, delimiter=separator, skipinitialspace=True) if row), [])


def _with_points(column: Any, decimal: str) -> Any:
    """Texts that are numbers but for their decimal sign, in a column where not all are."""
    if column.dtype.kind not in "OUT":
        return column
    number = rf"([-+]?\d*){re.escape(decimal)}(\d+(?:[eE][-+]?\d+)?)"
    return column.map(lambda text: re.sub(rf"^{number}$", r"\1.\2", str(text)), na_action="ignore")


def _other(path: Path, separator: str) -> str:
    """What columns seem to end at, where lines do not fit together."""
    if path.suffix == ".gz":
        return ""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    likely = max(_SEPARATORS, key=header.count)
    if header.count(likely) <= header.count(separator):
        return ""
    return f" If columns end at {likely!r}, say separator={likely!r} (--separator)."


def read_parquet(path: Path, asked: Asked) -> DataSet:
    """A table in Parquet."""
    pd = extra("pandas", "pandas")
    extra("pyarrow", "pyarrow")
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise DataError(
            f"{path} cannot be read as Parquet: {_line(error)}. It may be cut short: fetch or write it again."
        ) from error
    if frame.index.name is not None:
        frame = frame.reset_index()
    if asked.missing:
        frame = frame.replace(dict.fromkeys(asked.missing, np.nan))
    frame.columns = [str(name) for name in frame.columns]
    _require_names(path, list(frame.columns), None)
    return from_frame(frame, path, asked)


def from_frame(frame: Any, path: Path, asked: Asked) -> DataSet:
    """The data set of a table with pandas' types."""
    if len(frame) == 0:
        raise DataError(f"{path} has a header and no rows.")
    for name in (*asked.about_rows, *asked.drop, *asked.categorical):
        hint = _HINTS["target" if name == asked.target else "id" if name == asked.id else ""]
        require_name(name, frame.columns, str(path), hint)
    named = [*asked.about_rows, *asked.drop]
    left_out = set(named)
    kept = [name for name in frame.columns if name not in left_out]
    if asked.like is not None:
        kept = [column.name for column in asked.like.columns]
        for name in kept:
            require_name(name, frame.columns, str(path))
    if not kept:
        raise DataError(f"{path} has no column left to learn from besides {', '.join(map(repr, named))}.")
    about_rows = read_labels(frame, path, asked) | names_of_rows(frame, path, asked)
    values, columns = _features(frame, kept, path, asked)
    return DataSet(
        name=path.name.partition(".")[0],
        x=torch.from_numpy(np.stack(values, axis=1)),
        columns=tuple(columns),
        description=f"{len(frame)} rows of {path.name}.",
        source=path.name,
        **about_rows,
    )


def require_name(name: str, known: Any, where: str, hint: str = "") -> None:
    """Refuse a column that is not there."""
    if name not in known:
        raise DataError(
            f"{where} has no column {name!r}. {did_you_mean(name, [str(each) for each in known])}{hint}"
        )


def _features(frame: Any, kept: list[str], path: Path, asked: Asked) -> tuple[list[np.ndarray], list[Column]]:
    """Values and meaning of the columns; all columns are looked at before the first problem is told."""
    fitted = {column.name: column for column in asked.like.columns} if asked.like is not None else {}
    plain = plain_numbers(frame[kept], asked, fitted)
    values, columns, problems = [], [], {}
    for name in kept:
        if name in plain:
            values.append(plain[name])
            columns.append(Column(name))
            continue
        try:
            numbers, column = feature(frame[name], path, asked, fitted.get(name))
        except DataError as error:
            problems[name] = error
        else:
            values.append(numbers)
            columns.append(column)
    if problems:
        first, *others = problems
        more = f" Columns with a problem of their own: {', '.join(map(repr, others))}." if others else ""
        raise ColumnsError(f"{problems[first]}{more}", problems) from problems[first]
    return values, columns


def _require_names(path: Path, names: list[str], separator: str | None) -> None:
    repeated = repeats(names)
    if repeated:
        raise DataError(f"{path} has several columns of the name {repeated[0]!r}. Rename all but one.")
    if separator is not None and len(names) == 1:
        for other in _SEPARATORS:
            if other in names[0]:
                raise DataError(
                    f"{path} has one column between {separator!r}s, {names[0]!r}. If columns end at {other!r}, say "
                    f"separator={other!r} (--separator)."
                )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
