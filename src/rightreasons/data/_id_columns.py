"""Detect columns that identify or count rows instead of measuring something."""

import re
from typing import Literal

from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._sparse_rows import each_column
from rightreasons.data._dataset import DataSet

_NAMED = re.compile(r"(?i:(?:^|[\W_])(?:id|identifier))$|[a-z]I[dD]$")
_FEWEST = 20  # rows; among fewer, whole numbers are all different by chance
_MANY = 100  # rows; among as many, measurements in whole numbers repeat themselves


@checked
def identifiers(data: DataSet) -> dict[str, Literal["id", "group", "unlike"]]:
    """Columns of numbers that name rows ("id"), or what rows belong to ("group"), or may well name rows ("unlike").

    Those that count the rows, in any order, and whole numbers in columns called "id", "patient_id" or alike.
    A column is of rows if its numbers are all different; a group for each row does no harm. What is another whole
    number in each of 100 rows or more, or another category in each row, is seldom measured: it is "unlike".

    Cost: a sort of each column of whole numbers.

    >>> import torch
    >>> from rightreasons.data import Column
    >>> x = torch.stack([torch.arange(30) + 500, torch.arange(30) // 2], dim=1).float()
    >>> identifiers(DataSet("visits", x, x[:, 0], columns=(Column("number"), Column("patient_id"))))
    {'number': 'id', 'patient_id': 'group'}
    """
    found: dict[str, Literal["id", "group", "unlike"]] = {}
    if len(data) < _FEWEST or not data.columns:
        return found
    for column, values in zip(data.columns, each_column(data.x), strict=True):
        values = values.double()
        if not _whole(values):
            continue
        steps = values.sort().values.diff()
        different = bool((steps > 0).all())
        if column.levels:
            if different:
                found[column.name] = "unlike"
        elif bool((steps == 1).all()) or (different and _NAMED.search(column.name)):
            found[column.name] = "id"
        elif _NAMED.search(column.name):
            found[column.name] = "group"
        elif different and len(data) >= _MANY:
            found[column.name] = "unlike"
    return found


def _whole(values: Tensor) -> bool:
    return bool((values == values.round()).all())  # NaN, a missing value, is not equal to itself
