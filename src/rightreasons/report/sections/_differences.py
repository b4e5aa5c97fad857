"""Differences between arms, split by split, with corrected intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rightreasons.report._blocks import Figure, Folded, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import (
    BETTER,
    INK,
    MUTED,
    WORSE,
    drawn,
    panels,
    rows_of_panels,
    to_svg,
    width_of,
)
from rightreasons.report._words import interval, number, signed

Metrics = Mapping[str, Any]

_ACROSS = 10
"""So many splits fit next to each other."""


def section(source: Source) -> Section | None:
    """None for a single arm or a single split."""
    return section_of(source.metrics, source.headline, source.confidence)


def section_of(metrics: Metrics, headline: str, confidence: str) -> Section | None:
    """The section, from a summary or from several runs put together."""
    clean = [c for c in metrics["comparisons"] if c["outcome"] == "test"]
    if not clean or metrics["splits"] < 2:
        return None
    reference = metrics["reference"]
    corrected = (
        f"The bar on the right is the mean difference with its {confidence} interval, corrected for splits that share "
        "rows, drawn from the mean of the arm compared against; an arrow: it goes on."
    )
    return Section(
        "splits",
        "Split by split",
        [
            Text(
                "Arms are compared on the same splits, with the same rows to train and test on. "
                "What counts is the slope of the lines, not how far apart they lie: some splits are harder "
                "than others for every arm."
            ),
            Figure(
                differences_figure(metrics, clean, headline),
                f"Each line is a split, from {reference} (left) to the arm (right). Solid: better; dashed: not better. "
                f"{corrected}",
            ),
            Folded("Scores of every split", [_table(metrics, headline)]),
        ],
    )


def differences_figure(metrics: Metrics, comparisons: Sequence[Mapping[str, Any]], headline: str) -> str:
    """A panel for each arm: a line for each split, and the interval of the mean difference."""
    reference = next(arm for arm in metrics["arms"] if arm["name"] == metrics["reference"])
    theirs = reference["test"][metrics["headline"]]
    names = [c["arm"] for c in comparisons]
    ours = [[t + d for t, d in zip(theirs, c["differences"], strict=True)] for c in comparisons]
    limits = _limits([*theirs, *(score for scores in ours for score in scores)])
    with drawn(width_of(len(names)), 2.75 * rows_of_panels(len(names)) + 0.35) as figure:
        found = panels(figure, names, sharey=True)
        for axes, comparison, scores in zip(found, comparisons, ours, strict=True):
            _slopes(axes, theirs, scores, metrics["higher_is_better"])
            _bar(axes, float(np.mean(theirs)), comparison, limits)
            axes.set(xlim=(-0.25, 3.05), ylim=limits)
            axes.set_xticks([0, 1, 2], ["reference", "arm", "difference"], fontsize=9)
            axes.grid(axis="x", visible=False)
        for axes in found[::4]:
            axes.set_ylabel(f"Test {headline}")
        handles = [
            Line2D(
                [],
                [],
                color=BETTER,
                linewidth=1.6,
                label=f"better than the reference, {metrics['reference']}",
            ),
            Line2D([], [], color=WORSE, linewidth=1.6, linestyle=(0, (4, 2)), label="not better"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
        listed = "; ".join(
            f"{c['arm']} {signed(c['difference'])}, interval {interval(c)}, better on {c['better']} of {c['n']}"
            for c in comparisons
        )
        return to_svg(
            figure, "splits", f"Test {headline} split by split", f"Against {metrics['reference']}: {listed}."
        )


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    room = 0.12 * ((high - low) or 1e-3)
    return low - room, high + room


def _slopes(axes: Axes, theirs: Sequence[float], ours: Sequence[float], higher_is_better: bool) -> None:
    alpha = max(0.25, min(0.8, 8 / len(ours)))
    for before, after in zip(theirs, ours, strict=True):
        better = after > before if higher_is_better else after < before
        axes.plot(
            [0, 1], [before, after], color=BETTER if better else WORSE, linewidth=1.3, alpha=alpha,
            linestyle="-" if better else (0, (4, 2)), marker="o" if better else "x", markersize=3.5,
        )  # fmt: skip


def _bar(axes: Axes, origin: float, comparison: Mapping[str, Any], limits: tuple[float, float]) -> None:
    """The interval, its zero at the mean of the arm compared against."""
    axes.plot([0, 2.3], [origin, origin], color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.plot([2], [origin + comparison["difference"]], "o", color=INK, markersize=6)
    axes.annotate(
        signed(comparison["difference"]), (2.16, origin + comparison["difference"]), va="center", fontsize=9, color=INK
    )  # fmt: skip
    if comparison["low"] is None:
        return
    low, high = origin + comparison["low"], origin + comparison["high"]
    axes.vlines(2, max(low, limits[0]), min(high, limits[1]), color=INK, linewidth=2)
    for end, edge, beyond, arrow in (
        (low, limits[0], low < limits[0], "v"),
        (high, limits[1], high > limits[1], "^"),
    ):
        axes.plot(
            [2], [edge if beyond else end], arrow if beyond else "_", color=INK, markersize=8, clip_on=False
        )


def _table(metrics: Metrics, headline: str) -> Table:
    """Whichever way is narrower: few splits across, or many down."""
    splits = range(metrics["splits"])
    columns = [arm["test"][metrics["headline"]] for arm in metrics["arms"]]
    caption = f"Test {headline} of every split."
    if len(splits) <= _ACROSS:
        rows = [
            [arm["name"], *map(number, scores)] for arm, scores in zip(metrics["arms"], columns, strict=True)
        ]
        return Table(["Arm", *map(str, splits)], rows, caption)
    rows = [[str(split), *(number(scores[split]) for scores in columns)] for split in splits]
    return Table(["Split", *(arm["name"] for arm in metrics["arms"])], rows, caption)
