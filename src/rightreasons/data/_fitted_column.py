"""The fitted transformation of one column of a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._errors import DataError
from rightreasons.data._dataset import Column


@dataclass(frozen=True)
class FittedColumn:
    """What was learned about one original column.

    Args:
        name: the column.
        description: what it holds.
        levels: its categories, in the order of its one-hot features; empty for a number.
        fill: what replaces a missing number, in the column's units; 0 for categories (all zero).
        indicator: whether a last feature says that the value was missing.
        centre: what is subtracted from each feature.
        scale: what each feature is then divided by.
    """

    name: str
    description: str
    levels: tuple[str, ...]
    fill: float
    indicator: bool
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def features(self) -> Iterator[Column]:
        """Columns of the features made from this one, which remember where they come from."""
        if not self.levels:
            yield Column(self.name, self.description)
        for level in self.levels:
            yield Column(f"{self.name}={level}", f"{self.description}: {level}", source=self.name)
        if self.indicator:
            yield Column(f"{self.name} is missing", f"{self.description}: missing", source=self.name)


def read_column(saved: dict[str, Any]) -> FittedColumn:
    """A column from its fields as JSON gives them; ValueError or TypeError for what is none."""
    numbers = {name: tuple(float(each) for each in saved[name]) for name in ("centre", "scale")}
    column = FittedColumn(**{**saved, **numbers, "levels": tuple(map(str, saved["levels"]))})
    if not all(map(isfinite, (float(column.fill), *column.centre, *column.scale))) or 0 in column.scale:
        raise ValueError(f"the numbers of column {column.name!r} must be finite, and no scale 0")
    if not len(column.centre) == len(column.scale) == len(list(column.features())):
        raise ValueError(f"column {column.name!r} needs one centre and one scale per feature")
    return column


def numbers_of(values: Tensor, columns: Sequence[Column | FittedColumn]) -> Float[Tensor, "N c"]:
    """Columns of numbers in double precision."""
    for i in values.isinf().any(0).nonzero().flatten()[:1].tolist():
        raise DataError(
            f"Column {columns[i].name!r} holds infinite values: no mean and no scale exist. Use NaN for missing values."
        )
    return values.to(torch.float64)


def standardised(
    features: Float[Tensor, "N f"], columns: Sequence[FittedColumn], which: int
) -> Float[Tensor, "N f"]:
    """One feature of each of these columns, scaled."""
    centre = features.new_tensor([each.centre[which] for each in columns])
    scale = features.new_tensor([each.scale[which] for each in columns])
    return (features - centre) / scale


def require_single(x: Tensor, columns: Sequence[Column | FittedColumn]) -> None:
    """Refuse what is beyond single precision."""
    for i in (~x.isfinite()).any(0).nonzero().flatten()[:1].tolist():
        row = int((~x[:, i].isfinite()).nonzero()[0])
        raise DataError(
            f"Column {columns[i].name!r} in row {row + 1} is too large for the model, which computes in single "
            "precision: it is more than 1e38, or so many standard deviations from the training rows. Correct it."
        )
