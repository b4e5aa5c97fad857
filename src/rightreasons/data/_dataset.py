"""What a data set is, whatever it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from rightreasons.core._errors import DataError, ShapeError


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

    A table has one `Column` per feature, and missing values are NaN; images have none, and say the `bounds`
    of their pixels. Classification labels are integers, numbered along `classes`; other labels are floating.

    Args:
        name: short name, as in a recipe.
        x: inputs, one row per sample.
        y: labels, one row per sample.
        description: what the rows and the label are, in a sentence or two.
        source: where the data come from.
        licence: the terms they come under, as their distributor states them.
        columns: names, meaning and categories of the features of a table.
        classes: names of the classes; empty when the label is not a class.
        bounds: least and largest value an input may take.
        ids: a name per row, such as a patient number.

    Raises:
        ShapeError: labels, columns or ids that do not match the rows.
        DataError: labels that are not class indices although `classes` are given; two columns of one name.
    """

    name: str
    x: Float[Tensor, "N *F"]
    y: Shaped[Tensor, "..."]
    description: str = ""
    source: str = ""
    licence: str = ""
    columns: tuple[Column, ...] = ()
    classes: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_matching(self)
        _require_classes(self)
        seen = self.feature_names
        repeated = sorted({name for name in seen if seen.count(name) > 1})
        if repeated:
            raise DataError(
                f"Columns of {self.name!r} must have different names, got {repeated} more than once. Maps "
                "are reported by name. Rename one."
            )

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        shapes = f"x={tuple(self.x.shape)}, y={tuple(self.y.shape)}"
        return f"DataSet({self.name!r}, {shapes}, classes={self.classes})"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of a table; empty for images."""
        return tuple(column.name for column in self.columns)

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """For each original column, the positions of the features made from it.

        >>> columns = (Column("age"), Column("sex=f", source="sex"), Column("sex=m", source="sex"))
        >>> DataSet("d", torch.zeros(1, 3), torch.zeros(1), columns=columns).groups
        {'age': (0,), 'sex': (1, 2)}
        """
        found: dict[str, tuple[int, ...]] = {}
        for position, column in enumerate(self.columns):
            key = column.source or column.name
            found[key] = (*found.get(key, ()), position)
        return found

    def rows(self, index: Int64[Tensor, " n"]) -> "DataSet":
        """The same data set with these rows, in this order.

        >>> data = DataSet("d", torch.arange(3.0)[:, None], torch.arange(3.0))
        >>> data.rows(torch.tensor([2, 0])).y
        tensor([2., 0.])
        """
        ids = tuple(self.ids[i] for i in index.tolist()) if self.ids else ()
        return replace(self, x=self.x[index], y=self.y[index], ids=ids)


def sum_groups(
    maps: Float[Tensor, "*B p"], groups: Mapping[str, Sequence[int]]
) -> tuple[tuple[str, ...], Float[Tensor, "*B g"]]:
    """Sum maps of features back to the original columns, because one-hot columns are one piece of knowledge.

    Cost: one scatter-add. Differentiable in `maps`. A complete map stays complete: the total is unchanged.

    Args:
        maps: attributions, features last.
        groups: positions of the features of each original column, as `DataSet.groups`.

    Returns: names of the original columns, and their maps.

    Raises: ShapeError unless every feature belongs to exactly one group.

    >>> sum_groups(torch.tensor([[1.0, 2.0, 3.0]]), {"age": (0,), "sex": (1, 2)})
    (('age', 'sex'), tensor([[1., 5.]]))
    """
    positions = [position for members in groups.values() for position in members]
    if sorted(positions) != list(range(maps.shape[-1])):
        raise ShapeError(
            f"Groups must cover each of the {maps.shape[-1]} features of the maps exactly once, got "
            f"{positions}. A feature left out would lose its share. Pass the `groups` of the data set the "
            "model was trained on."
        )
    group_of = torch.empty(maps.shape[-1], dtype=torch.int64)
    for number, members in enumerate(groups.values()):
        group_of[list(members)] = number
    total = maps.new_zeros(*maps.shape[:-1], len(groups))
    return tuple(groups), total.index_add(-1, group_of.to(maps.device), maps)


def _require_matching(data: DataSet) -> None:
    rows, shape = data.x.shape[0], tuple(data.x.shape)
    if data.y.ndim == 0 or data.y.shape[0] != rows:
        raise ShapeError(f"There must be one label per row: x is {shape}, y is {tuple(data.y.shape)}.")
    if data.ids and len(data.ids) != rows:
        raise ShapeError(f"There must be one id per row: x is {shape}, ids are {len(data.ids)}.")
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
