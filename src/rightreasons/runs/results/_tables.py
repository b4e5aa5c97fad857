"""Write tables as CSV or Parquet."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._disk import write_atomically
from rightreasons.data.readers._csv import escaped
from rightreasons.runs.results._files import to_json

_ENDINGS = (".csv", ".parquet", ".json")


@checked
def write_table(columns: Mapping[str, Sequence[Any]], path: str | Path | None) -> str:
    r"""Write columns of equal length as .csv, .parquet or .json, whole or not at all.

    In .csv, a text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a line end, and is no
    number) is written behind a single quote, which `rr.data.read` takes away again.

    Args:
        columns: by name.
        path: where to; None: only return the CSV text.

    Returns: the CSV text, or where it was written.

    Raises: DataError for another ending, or a file that cannot be written.

    >>> write_table({"id": ["a", "b"], "p": [0.25, 1]}, None)
    'id,p\na,0.25\nb,1\n'
    """
    if path is None:
        return _csv(columns)
    path = Path(path)
    if path.suffix not in _ENDINGS:
        raise DataError(
            f"A table is written as one of {', '.join(_ENDINGS)}, got {str(path)!r}. "
            f"{did_you_mean(path.suffix, _ENDINGS)}"
        )
    content: bytes | str
    if path.suffix == ".csv":
        content = _csv(columns)
    elif path.suffix == ".json":
        content = to_json({name: list(values) for name, values in columns.items()})
    else:
        content = _parquet(columns)
    write_atomically(path, content)
    return str(path)


def _csv(columns: Mapping[str, Sequence[Any]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cells(columns))
    writer.writerows(map(cells, zip(*columns.values(), strict=True)))
    return text.getvalue()


def cells(row: Iterable[Any]) -> list[Any]:
    """A row of a CSV file that no spreadsheet takes for formulas; `rr.data.read` takes the marks away again.

    >>> cells(["=SUM(A1)", "-1.5", -1.5])
    ["'=SUM(A1)", '-1.5', -1.5]
    """
    return [escaped(cell) if isinstance(cell, str) else cell for cell in row]


def _parquet(columns: Mapping[str, Sequence[Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    buffer = BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({name: list(v) for name, v in columns.items()}), buffer)
    return buffer.getvalue()
