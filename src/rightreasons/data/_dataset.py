"""The data set: inputs, labels, names of columns and classes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property

import torch
from jaxtyping import Int64, Real, Shaped
from torch import Tensor

from rightreasons.core._errors import DataError, ShapeError
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.core._suggest import did_you_mean, repeats

SURVIVAL = ("time", "event")
"""The `labels` of data whose outcome is the time until an event, and whether it was seen."""
PARTS = ("train", "validation", "test")
_BY_ROW = ("ids", "clusters", "parts")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: what the column is called.
        description: what it holds, with units or the meaning of its codes.
        levels: names of the categories, the value i standing for `levels[i]`; empty for a number.
        source: the original column this feature was made from; None if it is an original column.
    """

    name: str
    description: str = ""
    levels: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, eq=False)
class DataSet:
    """Rows of inputs and their labels, with what one must know to use and to cite them.

    A table has one `Column` per feature, and missing values are NaN; of a large one that was stored sparse, x stays so
    until rows are indexed. Images have none, and say the `bounds`
    of their pixels; sequences are (N, channels, length), texts (N, length) integers that count along `vocabulary`.
    Classification labels are integers, numbered along `classes`; other labels are floating, and all NaN where
    nothing is known. Several labels per row have names: `("time", "event")` for survival.

    Args:
        name: short name, as in a recipe.
        x: inputs, one row per sample; a table that was read is in double precision until it is scaled.
        y: labels, one row per sample.
        description: what the rows and the label are, in a sentence or two.
        source: where the data come from.
        licence: the terms they come under, as their distributor states them.
        columns: names, meaning and categories of the features of a table.
        classes: names of the classes; empty when the label is not a class.
        bounds: least and largest value an input may take.
        ids: a name per row, such as a patient number.
        clusters: what each row belongs to, such as the patient of a visit; `splits` keeps a cluster on one side.
        parts: "train", "validation" or "test" for each row, if the data come with a split.
        labels: names of the columns of y, if it has several.
        vocabulary: the words that integer inputs stand for; 0 is padding.
        notes: what was done to the rows when they were read, a sentence each.

    Raises:
        ShapeError: labels, columns, ids, clusters or parts that do not match the rows.
        DataError: labels that are not class indices although `classes` are given; two columns of one name; a part
            of another name.
    """

    name: str
    x: Real[Tensor, "N *F"]
    y: Shaped[Tensor, "..."]
    description: str = ""
    source: str = ""
    licence: str = ""
    columns: tuple[Column, ...] = ()
    classes: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    ids: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_matching(self)
        _require_classes(self)
        repeated = repeats(self.feature_names)
        if repeated:
            raise DataError(
                f"Columns of {self.name!r} must have different names, got {repeated[:3]} more than once "
                f"(such names: {len(repeated)}). Maps are reported by name. Rename one."
            )

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        shapes = f"x={tuple(self.x.shape)}, y={tuple(self.y.shape)}"
        return f"DataSet({self.name!r}, {shapes}, classes={self.classes})"

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of a table; empty for images."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """For each original column, the positions of the features made from it.

        >>> columns = (Column("age"), Column("sex=f", source="sex"), Column("sex=m", source="sex"))
        >>> DataSet("d", torch.zeros(1, 3), torch.zeros(1), columns=columns).groups
        {'age': (0,), 'sex': (1, 2)}
        """
        found: dict[str, list[int]] = {}
        for position, column in enumerate(self.columns):
            found.setdefault(column.source or column.name, []).append(position)
        return {name: tuple(positions) for name, positions in found.items()}

    def rows(self, index: Int64[Tensor, " n"]) -> "DataSet":
        """The same data set with these rows, in this order.

        >>> data = DataSet("d", torch.arange(3.0)[:, None], torch.arange(3.0))
        >>> data.rows(torch.tensor([2, 0])).y
        tensor([2., 0.])
        """
        names = {
            each: tuple(getattr(self, each)[i] for i in index.tolist())
            for each in _BY_ROW
            if getattr(self, each)
        }
        x = self.x.rows(index) if isinstance(self.x, SparseRows) else self.x[index]
        return replace(self, x=x, y=self.y[index], **names)

    @property
    def labelled(self) -> bool:
        """Whether the labels are known: data to predict for have none."""
        return not (self.y.is_floating_point() and bool(self.y.isnan().all()))

    def named(self, *ids: str) -> "DataSet":
        """The rows of these ids, in this order.

        Raises: DataError if the data have no ids, or none of that name.

        >>> data = DataSet("d", torch.arange(3.0)[:, None], torch.arange(3.0), ids=("p1", "p2", "p3"))
        >>> data.named("p3", "p1").y
        tensor([2., 0.])
        """
        if not self.ids:
            raise DataError(
                f"{self.name!r} has no ids, so no row can be asked for by name. Read it with id=COLUMN."
            )
        position = {each: i for i, each in enumerate(self.ids)}
        for each in ids:
            if each not in position:
                near = get_close_matches(each, self.ids, n=3, cutoff=0) or self.ids[:3]
                raise DataError(
                    f"No row of {self.name!r} has the id {each!r}. Its {len(self.ids)} ids are like "
                    f"{', '.join(map(repr, near))}."
                )
        return self.rows(torch.tensor([position[each] for each in ids], dtype=torch.int64))

    def task(self) -> tuple[str, dict[str, int]]:
        """Name and fields of the task that these labels ask for, for `tasks.build`.

        >>> DataSet("d", torch.zeros(2, 1), torch.tensor([0, 1]), classes=("no", "yes")).task()
        ('binary', {})
        """
        if self.labels == SURVIVAL:
            return "survival", {}
        if self.y.ndim == 2 and self.y.shape[1] > 1:
            return "multilabel", {"labels": self.y.shape[1]}
        if len(self.classes) == 2:
            return "binary", {}
        return ("multiclass", {"classes": len(self.classes)}) if self.classes else ("regression", {})


def _require_matching(data: DataSet) -> None:
    rows, shape = data.x.shape[0], tuple(data.x.shape)
    if data.y.ndim == 0 or data.y.shape[0] != rows:
        raise ShapeError(f"There must be one label per row: x is {shape}, y is {tuple(data.y.shape)}.")
    for names in _BY_ROW:
        given = len(getattr(data, names))
        if given not in (0, rows):
            raise ShapeError(f"There must be one of {names} per row: x is {shape}, {names} are {given}.")
    for part in set(data.parts):
        if part not in PARTS:
            raise DataError(
                f"A row is in one of the parts of a split, got {part!r}. {did_you_mean(part, PARTS)}"
            )
    if data.labels and tuple(data.y.shape[1:]) != (len(data.labels),):
        raise ShapeError(
            f"There must be one name per label: y is {tuple(data.y.shape)}, labels are {data.labels}."
        )
    if data.columns and shape[1:] != (len(data.columns),):
        raise ShapeError(
            f"There must be one column per feature: x is {shape}, columns are {len(data.columns)}."
        )


def _require_classes(data: DataSet) -> None:
    if not data.classes or data.y.numel() == 0:
        return
    count = len(data.classes)
    whole = not (data.y.is_floating_point() or data.y.is_complex())
    if not whole or int(data.y.min()) < 0 or int(data.y.max()) >= count:
        raise DataError(
            f"Labels of {data.name!r} must be integers in 0..{count - 1}, one number per class of "
            f"{data.classes}, got {data.y.dtype} from {data.y.min().item()} to {data.y.max().item()}. Number "
            "the classes from 0."
        )
