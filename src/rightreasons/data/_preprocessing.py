"""Preprocessing of tables: imputation, categories and scaling, fitted on training rows."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._sparse_rows import AT_ONCE, SparseRows, columns_in_blocks
from rightreasons.core._suggest import did_you_mean, names_in
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data._fitted_column import (
    FittedColumn,
    numbers_of,
    read_column,
    require_single,
    standardised,
)

_IMPUTE = ("mean", "median")
_STANDARDISE = ("all", "numbers", "none")
_UNSEEN = ("refuse", "zero")
_VERSION = 1
_WHOLE = 2**24  # whole numbers above are rounded in single precision


@checked
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
        place = _places(training)
        named = frozenset() if isinstance(indicators, bool) else frozenset(names_in("indicators", indicators))
        for name in named:
            _require_column(name, place)
        how = _How(impute, standardise, named, indicators is True)
        numbers = [i for i, column in enumerate(training.columns) if not column.levels]
        fitted: dict[int, FittedColumn] = {}
        for block, values in columns_in_blocks(training.x, numbers):
            found = how.numbers(values, [training.columns[i] for i in block])
            fitted.update(zip(block, found, strict=True))
        for i, column in enumerate(training.columns):
            if column.levels:
                fitted[i] = how.category(_checked(training.x[:, i], column), column)
        return cls(tuple(fitted[i] for i in range(len(fitted))))

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
        place = _places(data)
        where = [_require_column(fitted.name, place) for fitted in self.columns]
        for fitted, position in zip(self.columns, where, strict=True):
            _require_kind(data.columns[position], fitted)
        if isinstance(data.x, SparseRows) and not any(fitted.levels for fitted in self.columns):
            x = self._sparse(data.x.columns(where))
        else:
            x = self._dense(data, where, unseen)
        return replace(data, x=x, columns=self._features)

    def _dense(self, data: DataSet, where: list[int], unseen: str) -> Float[Tensor, "N f"]:
        """Every feature of every row; column k was learned about column where[k] of the data."""
        starts = self._starts
        x = torch.empty(len(data), starts[-1], dtype=torch.float32, device=data.x.device)
        numbers = [k for k, fitted in enumerate(self.columns) if not fitted.levels]
        number_of = {where[k]: k for k in numbers}
        for positions, found in columns_in_blocks(data.x, [*number_of]):
            block = [number_of[position] for position in positions]
            columns, first = [self.columns[k] for k in block], [starts[k] for k in block]
            values = numbers_of(found, columns)
            missing = values.isnan()
            filled = torch.where(missing, values.new_tensor([each.fill for each in columns]), values)
            scaled = standardised(filled, columns, 0).float()
            require_single(scaled, columns)
            x[:, first] = scaled
            marked = [i for i, each in enumerate(columns) if each.indicator]
            x[:, [first[i] + 1 for i in marked]] = standardised(
                missing[:, marked].double(), [columns[i] for i in marked], 1
            ).float()
        for k, fitted in enumerate(self.columns):
            if fitted.levels:
                values = _translated(data, where[k], fitted, unseen)
                for i, feature in enumerate(_expand(values, fitted).unbind(1)):
                    x[:, starts[k] + i] = standardised(feature[:, None], [fitted], i)[:, 0]
        return x

    def _sparse(self, x: SparseRows) -> SparseRows:
        """The same if all are numbers, column k learned about column k: entries and background are scaled."""
        for i in x.places[x.entries.isinf()][:1].tolist():
            numbers_of(x[:, [i]], self.columns[i : i + 1])
        about = [(each.fill, each.centre[0], each.scale[0]) for each in self.columns]
        fill, centre, scale = torch.tensor(about, dtype=torch.float64).unbind(1)

        def scaled(values: Tensor, of: Tensor) -> Tensor:
            filled = torch.where(values.isnan(), fill[of], values.double())
            return ((filled - centre[of]) / scale[of]).float()

        parts = zip(x.entries.split(AT_ONCE), x.places.split(AT_ONCE), strict=True)
        feature = torch.tensor(self._starts[:-1], dtype=x.places.dtype)
        background = torch.empty(self._starts[-1])
        background[feature] = scaled(x.background, torch.arange(len(feature)))
        found = self._marked(x, feature[x.places], torch.cat([scaled(*part) for part in parts]), background)
        wrong = [found.places[~found.entries.isfinite()], (~background.isfinite()).nonzero().flatten()]
        for i in torch.cat(wrong)[:1].tolist():
            require_single(found[:, [i]], self._features[i : i + 1])
        return found

    def _marked(self, x: SparseRows, places: Tensor, scaled: Tensor, background: Tensor) -> SparseRows:
        """These scaled entries of x, with those of the features that say which values were missing."""
        marked = [k for k, each in enumerate(self.columns) if each.indicator]
        if not marked:
            return SparseRows(x.starts, places, scaled, background)
        columns = [self.columns[k] for k in marked]
        there, gone = standardised(torch.tensor([[0.0], [1.0]], dtype=torch.float64), columns, 1).float()
        background[[self._starts[k] + 1 for k in marked]] = there
        said = torch.full((len(self.columns),), torch.nan)
        said[marked] = gone
        missing = x.entries.isnan() & ~said[x.places].isnan()
        return SparseRows.of(
            torch.cat([x.row_numbers, x.row_numbers[missing]]),
            torch.cat([places, places[missing] + 1]),
            torch.cat([scaled, said[x.places[missing]]]),
            background,
            len(x),
        )

    @cached_property
    def _starts(self) -> list[int]:
        """The first feature of each column, and how many there are."""
        return list(accumulate((len(each.centre) for each in self.columns), initial=0))

    @cached_property
    def _features(self) -> tuple[Column, ...]:
        return tuple(column for each in self.columns for column in each.features())

    def to_json(self) -> str:
        """Text that `from_json` turns into an equal value; every number survives exactly."""
        return json.dumps({"version": _VERSION, "columns": [vars(each) for each in self.columns]})

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """The value that `to_json` wrote. Nothing is executed.

        Raises: DataError if the text is not that.
        """
        try:
            content = json.loads(text)
            version, columns = content["version"], tuple(read_column(each) for each in content["columns"])
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


@dataclass(frozen=True)
class _How:
    """The options of `Preprocessing.fit`, applied to columns of the training rows."""

    impute: str
    standardise: str
    named: frozenset[str]
    where_missing: bool

    def numbers(self, values: Tensor, columns: list[Column]) -> Iterator[FittedColumn]:
        """What was learned of each of some columns of numbers."""
        values = numbers_of(values, columns)
        missing = values.isnan()
        for i in missing.all(0).nonzero().flatten()[:1].tolist():
            raise _empty(columns[i], len(values))
        fill = values.nanmean(0)
        if self.impute == "median":
            fill = torch.from_numpy(np.nanmedian(values.cpu().numpy(), axis=0)).to(values)
        filled = torch.where(missing, fill, values)
        centre, scale = _moments(filled)
        for i in (~scale.isfinite()).nonzero().flatten()[:1].tolist():
            raise DataError(
                f"Column {columns[i].name!r} holds numbers as large as {float(filled[:, i].abs().max()):g}, whose "
                "spread is beyond double precision. Give it in larger units, or as logarithms."
            )
        if self.standardise == "none":
            require_single(filled.float(), columns)
            _require_different(values, columns)
            centre, scale = torch.zeros_like(centre), torch.ones_like(scale)
        share, spread = torch.zeros_like(centre), torch.ones_like(scale)
        if self.standardise == "all":
            share, spread = _moments(missing.double())
        centres, scales = torch.stack([centre, share], 1).tolist(), torch.stack([scale, spread], 1).tolist()
        gaps = missing.any(0).tolist()
        for i, (column, at) in enumerate(zip(columns, fill.tolist(), strict=True)):
            indicator = (gaps[i] and self.where_missing) or column.name in self.named
            of, by = (tuple(each[: 1 + indicator]) for each in (centres[i], scales[i]))
            yield FittedColumn(column.name, column.description, (), at, indicator, of, by)

    def category(self, values: Tensor, column: Column) -> FittedColumn:
        """What was learned of a column of categories."""
        missing = values.isnan()
        if bool(missing.all()):
            raise _empty(column, len(values))
        indicator = (bool(missing.any()) and self.where_missing) or column.name in self.named
        start = FittedColumn(column.name, column.description, column.levels, 0.0, indicator, (), ())
        features = _expand(values, start)
        centre, scale = [0.0] * features.shape[1], [1.0] * features.shape[1]
        if self.standardise == "all":
            centre, scale = (each.tolist() for each in _moments(features))
        return replace(start, centre=tuple(centre), scale=tuple(scale))


def _empty(column: Column, rows: int) -> DataError:
    return DataError(
        f"Column {column.name!r} has no value in the {rows} training rows: nothing can be "
        "learned from it, and nothing can fill it. Leave the column out, or train on more rows."
    )


def _moments(features: Float[Tensor, "N f"]) -> tuple[Float[Tensor, " f"], Float[Tensor, " f"]]:
    """Mean and standard deviation of each feature; the value itself and 1 for a constant one."""
    constant = features.amin(0) == features.amax(0)
    centre = torch.where(constant, features[0], features.mean(0))
    scale = torch.where(constant, 1.0, features.std(0, correction=0))
    return centre, scale


def _expand(values: Float[Tensor, " N"], fitted: FittedColumn) -> Float[Tensor, "N f"]:
    """Features of a column of categories before scaling."""
    features = [values == i for i in range(len(fitted.levels))]
    if fitted.indicator:
        features.append(values.isnan())
    return torch.stack(features, dim=1).to(values.dtype)


def _translated(data: DataSet, position: int, fitted: FittedColumn, unseen: str) -> Float[Tensor, " N"]:
    """A column of categories as positions among the levels of training; -1 for a level unknown then."""
    column = data.columns[position]
    values = _checked(data.x[:, position], column)
    if column.levels == fitted.levels:
        return values
    known = {level: i for i, level in enumerate(fitted.levels)}
    then = [known.get(level, -1) for level in column.levels]
    for i in (i for i, found in enumerate(then) if found < 0 and unseen == "refuse"):
        rows = (values == i).nonzero().flatten()
        if len(rows):
            raise DataError(
                f"Column {column.name!r} is {column.levels[i]!r} in row {int(rows[0]) + 1} ({len(rows)} of "
                f"{len(values)} rows), a category the model has never seen. "
                f"{did_you_mean(column.levels[i], fitted.levels)} Correct it, or say unseen='zero' (--allow-unseen) to "
                "treat it as missing."
            )
    return torch.where(values.isnan(), values, values.new_tensor(then)[values.nan_to_num(0).long()])


def _checked(values: Tensor, column: Column) -> Tensor:
    """A column of categories in double precision."""
    values = values.to(torch.float64)
    wrong = ~values.isnan() & ((values < 0) | (values >= len(column.levels)) | (values != values.round()))
    if bool(wrong.any()):
        raise DataError(
            f"Column {column.name!r} must hold positions among its {len(column.levels)} levels or NaN, "
            f"got {float(values[wrong][0])}. Declare every category in levels."
        )
    return values


def _require_kind(column: Column, fitted: FittedColumn) -> None:
    if bool(column.levels) != bool(fitted.levels):
        kinds = ("categories", "numbers") if fitted.levels else ("numbers", "categories")
        raise DataError(
            f"Column {fitted.name!r} held {kinds[0]} in training and holds {kinds[1]} now: the model "
            "cannot read it. Declare it as it was."
        )


def _require_different(values: Float[Tensor, "N c"], columns: Sequence[Column]) -> None:
    """Refuse whole numbers that are not scaled and that single precision would make equal."""
    large = (values.abs() > _WHOLE) & (values == values.round())
    for i in large.any(0).nonzero().flatten().tolist():
        found = values[:, i][large[:, i]].unique()
        if len(found.float().unique()) < len(found):
            raise DataError(
                f"Column {columns[i].name!r} holds whole numbers such as {int(found[0])}, which single precision "
                "cannot tell apart unless they are scaled. Say standardise='all' or 'numbers', or count from a smaller "
                "origin."
            )


def _require_table(data: DataSet) -> None:
    if not data.columns:
        raise DataError(
            f"Preprocessing is for tables, and {data.name!r} has no columns. Use data.rescale for images."
        )


def _places(data: DataSet) -> dict[str, int]:
    return {name: i for i, name in enumerate(data.feature_names)}


def _require_column(name: str, place: Mapping[str, int]) -> int:
    if name not in place:
        raise DataError(f"There is no column {name!r}, which is needed. {did_you_mean(name, place)}")
    return place[name]
