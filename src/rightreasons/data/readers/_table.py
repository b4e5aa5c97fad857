"""Read tables from CSV and Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._reading import reading
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data.readers._columns import (
    EXACT,
    feature,
    numbers_in,
    plain_numbers,
    require_exact_texts,
    text_of,
)
from rightreasons.data.readers._csv import csv_column, csv_frame, layout, require_different_names
from rightreasons.data.readers._labels import names_of_rows, read_labels
from rightreasons.data.readers._options import Asked, ColumnsError, extra

_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")
DAMAGED = "It may be cut short or damaged: fetch or write it again."
_HINTS = {
    "target": " If the label is in another column, say target=COLUMN (--target).",
    "id": " If another column names the rows, say id=COLUMN (--id).",
    "": "",
}


def read_csv(path: Path, asked: Asked) -> DataSet:
    """A table of text."""
    texts = [name for name in (asked.id, asked.group, *asked.categorical) if name is not None]
    if asked.like is not None:
        texts += [column.name for column in asked.like.columns if column.levels]
    found = csv_frame(
        path,
        asked.separator,
        dtype=dict.fromkeys(texts, str),
        na_values=[*_MISSING, *asked.missing],
        keep_default_na=False,
        decimal=asked.decimal or ".",
    )
    _require_read_exactly(found, path, asked)
    return from_frame(found.copy(), path, asked)  # a copy is one block: columns are found 50 times faster


def _require_read_exactly(frame: Any, path: Path, asked: Asked) -> None:
    """Refuse whole numbers that pandas made equal: beside an empty cell or a decimal, it reads them as floats."""
    pd = extra("pandas", "pandas")
    kinds = {name: kind.kind for name, kind in frame.dtypes.items() if name not in asked.drop}
    floats = frame[[name for name, kind in kinds.items() if kind == "f"]]
    for name in floats.columns[(np.abs(floats.to_numpy()) >= EXACT).any(0)]:
        texts = pd.concat(list(csv_column(path, layout(path, asked.separator), name)))
        require_exact_texts(texts, f"Column {name!r} of {path}", asked)


def read_parquet(path: Path, asked: Asked) -> DataSet:
    """A table in Parquet."""
    for module in ("pandas", "pyarrow"):
        extra(module, module)
    parquet = extra("pyarrow.parquet", "pyarrow")
    with reading(path, "Parquet", DAMAGED):
        table = parquet.ParquetFile(path).read()
        require_different_names(path, table.column_names)
        found = _frame(table, path, asked)
    if found.index.name is not None:
        found = found.reset_index()
    found.columns = [str(name) for name in found.columns]
    return from_frame(found, path, asked)


def _frame(table: Any, path: Path, asked: Asked) -> Any:
    """An Arrow table as pandas' frame: decimals are numbers, and what pandas wrote as a category is one again.

    Parquet keeps a category of texts as a dictionary, but one of numbers as numbers; only pandas' own remark tells.
    """
    pyarrow = extra("pyarrow", "pyarrow")
    for i, field in enumerate(table.schema):
        if pyarrow.types.is_decimal(field.type):
            if field.name not in asked.drop:
                texts = table.column(i).cast(pyarrow.string()).to_pandas()
                require_exact_texts(texts.dropna(), f"Column {field.name!r} of {path}", Asked())
            table = table.set_column(i, field.name, table.column(i).cast(pyarrow.float64()))
    found, said = table.to_pandas(), (table.schema.pandas_metadata or {}).get("columns", ())
    names = [each["name"] for each in said if each["pandas_type"] == "categorical"]
    return found.astype({name: "category" for name in names if name in found.columns})


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
    frame = _cleaned(frame, {*kept, *asked.about_rows}, asked)
    rows = len(frame)
    if asked.skip_unlabelled:
        frame = _labelled(frame, path, asked)
    about_rows = read_labels(frame, path, asked) | names_of_rows(frame, path, asked)
    values, columns = _features(frame, kept, path, asked)
    return DataSet(
        name=path.name.partition(".")[0],
        x=torch.from_numpy(np.stack(values, axis=1)),
        columns=tuple(columns),
        description=f"{len(frame)} rows of {path.name}{_skipped(rows - len(frame))}.",
        source=path.name,
        **about_rows,
    )


def _labelled(frame: Any, path: Path, asked: Asked) -> Any:
    """The rows that have a label."""
    if not asked.targets:
        raise DataError(f"skip_unlabelled needs to know the label of {path}. Say target=COLUMN (--target).")
    found = frame[frame[list(asked.targets)].notna().all(axis=1)].reset_index(drop=True)
    if not len(found):
        raise DataError(f"Target {asked.target!r} of {path} is missing in all {len(frame)} rows.")
    return found


def _skipped(count: int) -> str:
    return f", {count} without a label left out" if count else ""


def _cleaned(frame: Any, used: set[str], asked: Asked) -> Any:
    """The frame with texts that have no blanks around them, and nothing where a value stands for none.

    What stands for none is the same in a column of any type: -999, -999.0 and "-999 " are the code "-999".
    """
    pd = extra("pandas", "pandas")
    texts = pd.Series(asked.missing, dtype=str)
    numbers = numbers_in(texts, asked).dropna()
    moments = pd.to_datetime(texts, format="ISO8601", errors="coerce").dropna()
    none, changed = {*_MISSING, *asked.missing}, dict[str, Any]()
    kinds = {name: kind for name, kind in frame.dtypes.items() if name in used}
    for name, kind in kinds.items():
        if kind.name == "category":
            column = frame[name]
            gone = [each for each in column.cat.categories if text_of(each) in none]
            changed[name] = column.cat.remove_categories(gone)
        elif kind.kind == "O":
            column = frame[name].map(lambda v: v.strip() if isinstance(v, str) else v, na_action="ignore")
            changed[name] = column.mask(column.map(str, na_action="ignore").isin(list(none)))
        elif kind.kind == "M" and len(moments):
            changed[name] = frame[name].mask(frame[name].dt.tz_localize(None).isin(moments))
    if len(numbers):
        block = frame[[name for name, kind in kinds.items() if kind.kind in "iuf"]]
        held = block.isin(numbers.tolist())
        changed |= {name: block[name].mask(held[name]) for name in block.columns[held.to_numpy().any(0)]}
    return frame.assign(**changed) if changed else frame


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
