"""Splits defined by a column of the data."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.data._dataset import DataSet
from rightreasons.data.splitting._splits import Size, Split, splits


@checked
def predefined(
    data: DataSet, count: int = 1, validation: Size = None, seed: int = 0, stratify: bool = True
) -> Iterator[Split]:
    """Splits whose test rows are those the data name; with named validation rows too, there is one split only.

    Without them, `validation` rows are drawn from the training rows, differently for each split, as `splits` does:
    stratified, whole clusters, split i depending on (seed, i) only.

    Args:
        data: with `parts`.
        count: number of splits; 1 if the data name validation rows.
        validation: rows, or fraction of the training rows, to draw; None if the data name them.
        seed: any integer >= 0.
        stratify: keep class proportions when drawing.

    Raises:
        DataError: no parts, no row of a part, a validation that is both named and asked for, or neither, several
            splits of which all would be the same; a cluster on two sides.

    Example:
        >>> parts = ("train", "test", "train", "validation")
        >>> data = DataSet("d", torch.zeros(4, 1), torch.zeros(4), parts=parts)
        >>> tuple(tuple(part.tolist()) for part in next(predefined(data)))
        ((0, 2), (3,), (1,))
    """
    train, named, test = (_rows(data, part) for part in Split._fields)
    if not data.parts or not len(train) or not len(test):
        raise DataError(
            f"A predefined split needs rows that are named train and rows that are named test; {data.name!r} has "
            f"{len(train)} and {len(test)}. Read it with split=COLUMN, a column of train, validation and test, or use "
            "random splits."
        )
    if len(named) and (validation is not None or count != 1):
        raise DataError(
            f"{data.name!r} names {len(named)} validation rows, so there is one split and no size to choose; got "
            f"{count} splits, validation={validation}. Leave both out, or name those rows train."
        )
    if not len(named) and validation is None:
        raise DataError(
            f"{data.name!r} names no validation rows: say how many of the {len(train)} training rows to take, e.g. "
            "validation=0.2. Weights are chosen on them."
        )
    _require_whole_clusters(data, Split(train, named, test))
    if len(named):
        return iter([Split(train, named, test)])
    inner = splits(replace(data.rows(train), parts=()), count, None, validation, 0, seed, stratify)
    return (Split(train[split.train], train[split.validation], test) for split in inner)


def _rows(data: DataSet, part: str) -> torch.Tensor:
    return torch.tensor([i for i, each in enumerate(data.parts) if each == part], dtype=torch.int64)


def _require_whole_clusters(data: DataSet, split: Split) -> None:
    if not data.clusters:
        return
    seen: dict[str, str] = {}
    for name, part in zip(Split._fields, split, strict=True):
        for row in part.tolist():
            if seen.setdefault(data.clusters[row], name) != name:
                raise DataError(
                    f"Cluster {data.clusters[row]!r} of {data.name!r} is in the {seen[data.clusters[row]]} part and in "
                    f"the {name} part: what is learned from it leaks. Move its rows to one side, or use random splits."
                )
