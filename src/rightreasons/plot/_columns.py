"""Attributions of a table: bars of one row, or a summary of all rows."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.plot._arrays import array, names_of
from rightreasons.plot._colours import AGAINST, FOR, INK, MUTED
from rightreasons.plot._figure import Axes, Figure, drawing

_POINTS = 2000
"""Rows shown as points, at most; evenly taken."""
_LONGEST = 32
"""Letters of a name; of longer ones the middle is left out, or they would leave no room for the bars."""


@checked
def table(
    phi: Tensor,
    features: Sequence[str],
    values: Tensor | Sequence[object] | None = None,
    *,
    start: float | None = None,
    most: int = 12,
) -> Figure:
    """What each column adds to the output of one row, the strongest on top.

    With `start`, the output at the baseline (or its mean over the references), bars hang together: they lead from
    there to the output that is explained, up to the completeness gap. Columns beyond `most` are one bar, which without
    `start` is cut off where it is longer than all others: of thousands of columns it would make them invisible.

    Args:
        phi: (F,), the map of one row.
        features: names of the columns.
        values: of the row, to be written beside the names: numbers or words.
        start: where the bars begin.
        most: columns with a bar of their own.

    Raises:
        InputError: `phi` is not finite, or `most` below 1.
        ShapeError: not one name or value for each column.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import torch, rightreasons as rr
        >>> figure = rr.plot.table(torch.tensor([0.2, -1.0]), ["age", "pulse"], torch.tensor([61.0, 88.0]))
        >>> tuple(label.get_text() for label in figure.axes[0].get_yticklabels())
        ('pulse = 88', 'age = 61')
    """
    found = array(phi, "the map of one row", (1,))
    labels = [_short(name) for name in names_of(features, len(found), "features")]
    if values is not None:
        entries = values.tolist() if isinstance(values, Tensor) else list(values)
        written = names_of([_written(v) for v in entries], len(found), "values")
        labels = [f"{label} = {value}" for label, value in zip(labels, written, strict=True)]
    order, rest = _strongest(np.abs(found), most)
    widths = found[order].tolist()
    shown = [_plain(labels[i]) for i in order]
    if len(rest):
        widths.append(found[rest].sum())
        shown.append(f"{len(rest)} others together")
    ends = (start or 0.0) + np.cumsum(widths)
    long = np.array(widths)
    if len(rest) and start is None:
        end = float(np.abs(long[:-1]).max())
        shown[-1] += ", cut off" if abs(long[-1]) > end else ""
        long[-1] = np.clip(long[-1], -end, end)
    lefts = ends - widths if start is not None else np.zeros(len(widths))
    with drawing(5.6, 0.9 + 0.27 * len(shown)) as figure:
        axes = figure.subplots()
        axes.barh(shown, long, left=lefts, color=[FOR if w > 0 else AGAINST for w in widths], height=0.66)
        _numbered(axes, lefts + long, widths)
        axes.axvline(start or 0.0, color=MUTED, linewidth=0.8)
        if start is not None:
            axes.axvline(ends[-1], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
            axes.set_xlabel(f"from {start:.3g} at the baseline to {ends[-1]:.3g}")
        else:
            axes.set_xlabel("attribution, in units of the output")
        axes.invert_yaxis()
        axes.use_sticky_edges = False
        axes.margins(x=0.18)
    return figure


@checked
def summary(phi: Tensor, features: Sequence[str], values: Tensor | None = None, *, most: int = 15) -> Figure:
    """How much each column matters over all rows, and for whom: mean magnitudes, and every row's attribution.

    Left, the mean of |phi| over rows. Right, a point for each row (at most 2,000), coloured with `values` by where the
    row's value ranks among all rows: blue low, red high.

    Args:
        phi: (B, F), the maps of many rows.
        features: names of the columns.
        values: (B, F), the rows themselves.
        most: columns shown; the others are counted below.

    Raises:
        InputError: values that are not finite, or `most` below 1.
        ShapeError: `values` of another shape, or not one name for each column.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import torch, rightreasons as rr
        >>> figure = rr.plot.summary(torch.tensor([[0.1, -2.0], [0.3, 2.0]]), ["age", "pulse"])
        >>> tuple(label.get_text() for label in figure.axes[0].get_yticklabels())
        ('pulse', 'age')
    """
    found = array(phi, "maps", (2,))
    labels = [_short(name) for name in names_of(features, found.shape[1], "features")]
    ranks = None
    if values is not None:
        own = array(values, "values", (2,))
        if own.shape != found.shape:
            raise ShapeError(
                f"values of shape {own.shape} for maps of shape {found.shape}: pass the same rows."
            )
        ranks = np.stack([_ranks(column) for column in own.T], axis=1)
    order, rest = _strongest(np.abs(found).mean(0), most)
    rows = np.unique(np.linspace(0, len(found) - 1, min(len(found), _POINTS)).astype(int))
    with drawing(7.4, 1.0 + 0.3 * len(order)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.7))
        left.barh(range(len(order)), np.abs(found[:, order]).mean(0), color=MUTED, height=0.6)
        left.set_yticks(range(len(order)), [_plain(labels[i]) for i in order])
        left.set_xlabel("mean of |attribution|")
        left.invert_yaxis()
        for place, i in enumerate(order):
            colours = {"color": MUTED} if ranks is None else {"c": ranks[rows, i], "cmap": "coolwarm"}
            heights = place + _spread(found[rows, i])
            right.scatter(found[rows, i], heights, s=7, linewidths=0, alpha=0.8, **colours)
        right.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
        told = "" if ranks is None else "\ncolour: the row's value,\nblue low, red high"
        right.set_xlabel(f"attribution of each of {len(rows)} rows{told}")
        if len(rest):
            left.set_title(f"{len(order)} of {found.shape[1]} columns")
    return figure


def _strongest(strength: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns by falling strength, and those left over; a single one is not left alone."""
    if most < 1:
        raise InputError(f"most is how many columns are shown, at least 1; got {most}.")
    order = np.argsort(-strength, kind="stable")
    return (order, order[:0]) if len(order) <= most + 1 else (order[:most], order[most:])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 12]}…{name[-11:]}"


def _plain(name: str) -> str:
    """A name whose dollars are no sign of a formula."""
    return name.replace("$", r"\$")


def _written(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numbered(axes: Axes, ends: np.ndarray, widths: Sequence[float]) -> None:
    for row, (end, width) in enumerate(zip(ends, widths, strict=True)):
        aside = {"ha": "left", "xytext": (3, 0)} if width >= 0 else {"ha": "right", "xytext": (-3, 0)}
        axes.annotate(
            f"{width:+.3g}", (end, row), textcoords="offset points", va="center", fontsize=8, **aside
        )


def _ranks(column: np.ndarray) -> np.ndarray:
    """Where each entry lies among all, 0 to 1; equal entries alike."""
    levels, place = np.unique(column, return_inverse=True)
    return place / max(1, len(levels) - 1)


def _spread(values: np.ndarray) -> np.ndarray:
    """Heights within (-0.35, 0.35) that keep points of like values apart: a histogram, filled from its middle."""
    span = float(np.ptp(values)) or 1.0
    bins = np.floor((values - values.min()) / span * 60).astype(int)
    heights = np.zeros(len(values))
    fullest = max(np.bincount(bins).max(), 8)
    for each in np.unique(bins):
        inside = np.flatnonzero(bins == each)
        steps = (np.arange(len(inside)) + 1) // 2 * np.where(np.arange(len(inside)) % 2, 1, -1)
        heights[inside] = 0.7 * steps / fullest
    return heights
