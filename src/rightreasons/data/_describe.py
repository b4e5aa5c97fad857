"""Describe a data set in words, before training on it."""

import torch
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._sparse_rows import each_column
from rightreasons.data._dataset import SURVIVAL, DataSet
from rightreasons.data._id_columns import identifiers
from rightreasons.data._misspelt import misspelt

_MOST_LEVELS = 6
_IDENTIFIER = {
    None: "",
    "id": ", names rows? Then say so: id",
    "group": ", names what rows belong to? Then say so: group",
    "unlike": ", another one in each row, as names are? Then leave it out: drop",
}


@checked
def outline(data: DataSet) -> str:
    """Rows, labels and columns of a data set, a line each.

    Cost: a few passes over the data.

    >>> data = DataSet(
    ...     "d", torch.tensor([[1.0], [float("nan")]]), torch.tensor([0, 1]), classes=("no", "yes")
    ... )
    >>> print(outline(data))
    d: 2 rows of shape (1)
    label: no 1 (50.0 %), yes 1 (50.0 %)
    """
    shape = " x ".join(map(str, data.x.shape[1:]))
    lines = [f"{data.name}: {len(data):,} rows of shape ({shape})", f"label: {_label(data)}"]
    if data.bounds:
        lines.append(f"values: within [{data.bounds[0]:g}, {data.bounds[1]:g}]")
    lines += [f"note: {note}" for note in data.notes]
    if data.vocabulary:
        lines.append(f"words: {len(data.vocabulary):,}")
    if data.clusters:
        lines.append(f"groups: {len(set(data.clusters)):,}, never divided between parts of a split")
    if data.parts:
        lines.append(
            "parts: " + ", ".join(f"{part} {data.parts.count(part):,}" for part in dict.fromkeys(data.parts))
        )
    width = max((len(name) for name in data.feature_names), default=0)
    names = identifiers(data)
    for column, values in zip(data.columns, each_column(data.x) if data.columns else (), strict=True):
        missing = int(values.isnan().sum())
        absent = f", {missing:,} missing ({_share(missing, data)})" if missing else ""
        lines.append(
            f"  {column.name:{width}}  {_values(values, column.levels)}{absent}{_IDENTIFIER[names.get(column.name)]}"
        )
    return "\n".join(lines)


def _values(values: Tensor, levels: tuple[str, ...]) -> str:
    if levels:
        shown = ", ".join(levels[:_MOST_LEVELS]) + (", ..." if len(levels) > _MOST_LEVELS else "")
        counts = torch.bincount(values[~values.isnan()].long(), minlength=len(levels)).tolist()
        return f"{len(levels)} categories: {shown}{_doubtful(levels, counts)}"
    there = values[~values.isnan()]
    if not len(there):
        return "no values"
    return (
        f"numbers {float(there.min()):g} to {float(there.max()):g}, mean {float(there.double().mean()):.4g}"
    )


def doubts(data: DataSet) -> list[str]:
    """Questions about names that may be misspelt, of classes and categories.

    >>> y = torch.tensor([0] * 20 + [1])
    >>> doubts(DataSet("d", torch.zeros(21, 1), y, classes=("flags", "flgas")))
    ["label: is 'flgas' a misspelt 'flags'?"]
    """
    named = [("label", data.classes, data.y)] if data.classes else []
    named += [(each.name, each.levels, data.x[:, i]) for i, each in enumerate(data.columns) if each.levels]
    found = []
    for what, names, values in named:
        counts = torch.bincount(values[~values.isnan()].flatten().long(), minlength=len(names)).tolist()
        found += [f"{what}: {each}" for each in filter(None, _doubtful(names, counts).split("; "))]
    return found


def _doubtful(names: tuple[str, ...], counts: list[int]) -> str:
    found = misspelt(dict(zip(names, counts, strict=True)))
    return "".join(f"; is {name!r} a misspelt {other!r}?" for name, other in found.items())


def _label(data: DataSet) -> str:
    if not data.labelled:
        return "none"
    if data.labels == SURVIVAL:
        times, events = data.y[:, 0], int(data.y[:, 1].sum())
        return f"time {float(times.min()):g} to {float(times.max()):g}, {events:,} events ({_share(events, data)})"
    if data.classes:
        counts = torch.bincount(data.y.flatten(), minlength=len(data.classes)).tolist()
        named = [f"{name} {n:,} ({_share(n, data)})" for name, n in zip(data.classes, counts, strict=True)]
        return ", ".join(named) + _doubtful(data.classes, counts)
    if data.y.ndim == 2 and data.y.shape[1] > 1:
        names = data.labels or tuple(str(i) for i in range(data.y.shape[1]))
        positive = data.y.sum(0).long().tolist()
        return ", ".join(f"{name} {n:,} ({_share(n, data)})" for name, n in zip(names, positive, strict=True))
    return f"numbers {float(data.y.min()):g} to {float(data.y.max()):g}, mean {float(data.y.double().mean()):.4g}"


def _share(count: int, data: DataSet) -> str:
    return f"{count / len(data):.1%}".replace("%", " %")
