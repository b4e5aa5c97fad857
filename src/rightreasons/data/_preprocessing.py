"""Imputation, categories and scaling of tables: fitted on training rows, saved with the run."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import DataError, InputError
from rightreasons.data._dataset import Column, DataSet

_IMPUTE = ("mean", "median")
_STANDARDISE = ("all", "numbers", "none")
_UNSEEN = ("refuse", "zero")
_VERSION = 1


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


@dataclass(frozen=True)
class Preprocessing:
    """Turns the raw table a model's users have into the numbers the model was trained on.

    A missing number becomes the training mean or median; a categorical column becomes one 0/1 feature per
    declared level, all 0 when the value is missing or was not declared; then every feature is (value -
    centre) / scale with the training mean and standard deviation (of the population; 1 for a feature constant
    in training).

    It is fitted on a data set that holds the training rows only, so nothing else can leak into it:
    `Preprocessing.fit(data.rows(split.train))`. Which features exist follows from the declared levels, not
    from which of them the training rows happen to show, so models of different splits share their features.

    Args:
        columns: what was learned, in the order of the columns.

    >>> column = Column("drink", levels=("beer", "wine"))
    >>> x = torch.tensor([[20.0, 0.0], [40.0, 1.0], [float("nan"), 1.0]])
    >>> data = DataSet("d", x, torch.zeros(3), columns=(Column("age"), column))
    >>> fitted = Preprocessing.fit(data, standardise="none")
    >>> fitted(data).feature_names, fitted(data).x.tolist()[2]
    (('age', 'drink=beer', 'drink=wine'), [30.0, 0.0, 1.0])
    """

    columns: tuple[FittedColumn, ...]

    @classmethod
    def fit(
        cls,
        training: DataSet,
        *,
        impute: str = "mean",
        indicators: bool | Collection[str] = False,
        standardise: str = "all",
    ) -> "Preprocessing":
        """Learn fills, centres and scales from these rows, in float64. Cost: a few passes over the table.

        Args:
            training: the training rows, and no others.
            impute: "mean" (as [erion2021]) or "median", of the numbers that are there.
            indicators: add "... is missing" features for the columns named, or (True) for those with a
                missing value in training.
            standardise: "all" features (as [erion2021]), "numbers" only, or "none".

        Raises:
            InputError: an unknown option.
            DataError: no table, no rows, infinite values, undeclared categories, a column without any value.
        """
        for name, value, known in (("impute", impute, _IMPUTE), ("standardise", standardise, _STANDARDISE)):
            if value not in known:
                raise InputError(f"{name} cannot be {value!r}. {did_you_mean(value, known)}")
        _require_table(training)
        if len(training) == 0:
            raise DataError("Preprocessing needs at least one training row to learn from, got none.")
        named = () if isinstance(indicators, bool) else tuple(indicators)
        for name in named:
            _require_column(name, training.feature_names)
        fitted = []
        for position, column in enumerate(training.columns):
            values = _checked(training.x[:, position], column)
            missing = bool(values.isnan().any()) and indicators is True
            start = _start(column, values, impute, missing or column.name in named)
            fitted.append(_scaled(start, _expand(values, start), standardise))
        return cls(tuple(fitted))

    def __call__(self, data: DataSet, *, unseen: str = "refuse") -> DataSet:
        """The same rows as the model sees them: float32, no missing values, one column per feature.

        Columns are matched by name, whatever their order; columns that training did not have are
        ignored. Cost: one copy of the table.

        Args:
            data: rows of the columns of training.
            unseen: what to do with a category that was not declared in training: "refuse", or "zero", which makes
                it look as if the value were missing.

        Raises:
            InputError: an unknown option.
            DataError: a column is missing or has changed kind, holds a category that training did not have, or what
                is refused by `fit`.
        """
        if unseen not in _UNSEEN:
            raise InputError(f"unseen cannot be {unseen!r}. {did_you_mean(unseen, _UNSEEN)}")
        _require_table(data)
        features = []
        for fitted in self.columns:
            position = _require_column(fitted.name, data.feature_names)
            column = data.columns[position]
            if bool(column.levels) != bool(fitted.levels):
                kinds = ("categories", "numbers") if fitted.levels else ("numbers", "categories")
                raise DataError(
                    f"Column {fitted.name!r} held {kinds[0]} in training and holds {kinds[1]} now: the model "
                    "cannot read it. Declare it as it was."
                )
            values = _checked(data.x[:, position], column)
            if unseen == "refuse":
                _require_seen(values, column, fitted)
            values = _translated(values, column.levels, fitted.levels)
            expanded = _expand(values, fitted)
            features.append(
                (expanded - expanded.new_tensor(fitted.centre)) / expanded.new_tensor(fitted.scale)
            )
        x = torch.cat(features, dim=1).to(torch.float32)
        return replace(
            data, x=x, columns=tuple(column for each in self.columns for column in each.features())
        )

    def to_json(self) -> str:
        """Text that `from_json` turns into an equal value; every number survives exactly."""
        return json.dumps({"version": _VERSION, "columns": [asdict(each) for each in self.columns]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """The value that `to_json` wrote. Nothing is executed.

        Raises: DataError if the text is not that.
        """
        try:
            content = json.loads(text)
            version, columns = content["version"], tuple(_read(each) for each in content["columns"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(
                f"This is not a saved preprocessing: {error}. It must be what Preprocessing.to_json() wrote."
            ) from error
        if version != _VERSION:
            raise DataError(
                f"This preprocessing must be of version {_VERSION}, got {version!r}: another release saved it, and "
                "its numbers may mean something else. Install that release, or fit again."
            )
        return cls(columns)


def _read(saved: dict[str, Any]) -> FittedColumn:
    numbers = {name: tuple(float(each) for each in saved[name]) for name in ("centre", "scale")}
    column = FittedColumn(**{**saved, **numbers, "levels": tuple(map(str, saved["levels"]))})
    if not all(map(isfinite, (float(column.fill), *column.centre, *column.scale))) or 0 in column.scale:
        raise ValueError(f"the numbers of column {column.name!r} must be finite, and no scale 0")
    if not len(column.centre) == len(column.scale) == len(list(column.features())):
        raise ValueError(f"column {column.name!r} needs one centre and one scale per feature")
    return column


def _start(column: Column, values: Tensor, impute: str, indicator: bool) -> FittedColumn:
    """The column with its fill, not yet scaled."""
    there = values[~values.isnan()]
    if there.numel() == 0:
        raise DataError(
            f"Column {column.name!r} has no value in the {values.numel()} training rows: nothing can be "
            "learned from it, and nothing can fill it. Leave the column out, or train on more rows."
        )
    fill = (
        0.0 if column.levels else float(there.mean() if impute == "mean" else np.median(there.cpu().numpy()))
    )
    return FittedColumn(column.name, column.description, column.levels, fill, indicator, (), ())


def _scaled(start: FittedColumn, expanded: Float[Tensor, "N f"], standardise: str) -> FittedColumn:
    """The column with the centre and scale of its features."""
    count = expanded.shape[1]
    centre, scale = [0.0] * count, [1.0] * count
    numbers = 0 if start.levels else 1
    for i in range({"all": count, "numbers": numbers, "none": 0}[standardise]):
        feature = expanded[:, i]
        constant = bool(feature.min() == feature.max())
        centre[i] = float(feature[0] if constant else feature.mean())
        scale[i] = 1.0 if constant else float(feature.std(correction=0))
    return replace(start, centre=tuple(centre), scale=tuple(scale))


def _expand(values: Float[Tensor, " N"], fitted: FittedColumn) -> Float[Tensor, "N f"]:
    """Features of one column before scaling."""
    missing = values.isnan()
    if fitted.levels:
        features = [(values == i).to(values.dtype) for i in range(len(fitted.levels))]
    else:
        features = [torch.where(missing, fitted.fill, values)]
    if fitted.indicator:
        features.append(missing.to(values.dtype))
    return torch.stack(features, dim=1)


def _translated(values: Tensor, now: tuple[str, ...], then: tuple[str, ...]) -> Tensor:
    """Positions among the levels of now as positions among those of training; -1 for a level unknown then."""
    if now == then:
        return values
    position = values.new_tensor([then.index(level) if level in then else -1 for level in now])
    return torch.where(values.isnan(), values, position[values.nan_to_num(0).long()])


def _require_seen(values: Tensor, column: Column, fitted: FittedColumn) -> None:
    new = [i for i, level in enumerate(column.levels) if level not in fitted.levels]
    for i in new:
        rows = (values == i).nonzero().flatten()
        if len(rows):
            raise DataError(
                f"Column {column.name!r} is {column.levels[i]!r} in row {int(rows[0]) + 1} ({len(rows)} of "
                f"{len(values)} "
                f"rows), a category the model has never seen. {did_you_mean(column.levels[i], fitted.levels)} Correct "
                "it, or say unseen='zero' (--allow-unseen) to treat it as missing."
            )


def _checked(values: Tensor, column: Column) -> Tensor:
    values = values.to(torch.float64)
    if bool(values.isinf().any()):
        raise DataError(
            f"Column {column.name!r} holds infinite values: no mean and no scale exist. Use NaN for missing "
            "values."
        )
    if column.levels:
        wrong = ~values.isnan() & ((values < 0) | (values >= len(column.levels)) | (values != values.round()))
        if bool(wrong.any()):
            raise DataError(
                f"Column {column.name!r} must hold positions among its {len(column.levels)} levels or NaN, "
                f"got {float(values[wrong][0])}. Declare every category in levels."
            )
    return values


def _require_table(data: DataSet) -> None:
    if not data.columns:
        raise DataError(
            f"Preprocessing is for tables, and {data.name!r} has no columns. Use data.rescale for images."
        )


def _require_column(name: str, known: tuple[str, ...]) -> int:
    if name not in known:
        raise DataError(f"There is no column {name!r}, which is needed. {did_you_mean(name, known)}")
    return known.index(name)
