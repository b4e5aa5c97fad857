"""Scores of arms with intervals, under noise, and learning curves."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rightreasons.report._blocks import Figure, Folded, Section, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import (
    INK,
    MANY,
    MUTED,
    Look,
    drawn,
    entry,
    legend,
    panels,
    rows_of_panels,
    to_svg,
)
from rightreasons.report._words import number, outcome_title, shorten, signed
from rightreasons.report.sections._tables import arms_table, comparisons_table, noise_tables

Metrics = Mapping[str, Any]


def arms_figure(metrics: Metrics, styles: Mapping[str, Look], headline: str) -> str:
    """Scores of every split, and the paired differences from the reference with their corrected intervals.

    Without comparisons there are no differences to show: then each arm has its own interval.
    """
    arms = metrics["arms"]
    clean = {c["arm"]: c for c in metrics["comparisons"] if c["outcome"] == "test"}
    with drawn(9.2, 1.0 + 0.5 * len(arms)) as figure:
        panels_of = figure.subplots(1, 2 if clean else 1, sharey=True, squeeze=False)[0]
        _scores_panel(panels_of[0], metrics, styles, intervals=not clean)
        panels_of[0].set(title=f"Test {headline}, each split and mean")
        if clean:
            _differences_panel(panels_of[1], metrics, styles, clean)
        for axes in panels_of:
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_locator(MaxNLocator(5 if clean else 10))
        described = "; ".join(
            f"{arm['name']} {number(float(np.mean(arm['test'][metrics['headline']])))}" for arm in arms
        )
        title = f"Test {headline} of each arm"
        return to_svg(figure, "arms", title, f"Mean over {metrics['splits']} splits: {described}.")


def _scores_panel(axes: Axes, metrics: Metrics, styles: Mapping[str, Look], intervals: bool) -> None:
    names = [arm["name"] for arm in metrics["arms"]]
    for row, arm in enumerate(metrics["arms"]):
        look, scores = styles[arm["name"]], arm["test"][metrics["headline"]]
        _dots(axes, row, scores, look)
        if intervals and arm["interval"]["low"] is not None:
            axes.hlines(
                row, arm["interval"]["low"], arm["interval"]["high"], color=look.colour, linewidth=1.8
            )
        _label(axes, row, sum(scores) / len(scores), number(sum(scores) / len(scores)))
    axes.set_yticks(range(len(names)), [fill(name, 30) for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set(color=styles[name].colour, fontweight="bold", multialignment="left")
    axes.set_ylim(len(names) - 0.45, -0.55)


def _differences_panel(
    axes: Axes, metrics: Metrics, styles: Mapping[str, Look], clean: Mapping[str, Mapping[str, Any]]
) -> None:
    limits = _limits(clean.values())
    axes.axvline(0, color=INK, linewidth=1)
    axes.set(title=shorten(f"Difference from {metrics['reference']}", 52), xlim=limits)
    for row, arm in enumerate(metrics["arms"]):
        if arm["name"] in clean:
            _interval(axes, row, clean[arm["name"]], styles[arm["name"]], limits)
        elif arm["name"] == metrics["reference"]:
            axes.text(
                0, row, "compared against", va="center", ha="left", color=MUTED, fontsize=9, bbox=_WHITE
            )


_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 2}


def _dots(axes: Axes, row: int, values: Sequence[float], look: Look) -> None:
    spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(values, row + spread, s=18, color=look.colour, alpha=0.4, linewidths=0, marker=look.marker)
    axes.scatter([float(np.mean(values))], [row], s=70, color=look.colour, marker=look.marker, zorder=3)


def _label(axes: Axes, row: int, x: float, text: str) -> None:
    axes.annotate(
        text,
        (x, row),
        (0, -8),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=9,
        color=INK,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
    )


def _limits(comparisons: Any) -> tuple[float, float]:
    """Wide enough for every split; for the intervals too, unless they would make all else a point."""
    listed = list(comparisons)
    points = [d for c in listed for d in c["differences"]] or [0.0]
    reach = max(max(abs(p) for p in points), 1e-3)
    ends = [abs(e) for c in listed for e in (c["low"], c["high"]) if e is not None]
    reach = max([reach, *(e for e in ends if e <= 5 * reach)])
    return (-1.15 * reach, 1.15 * reach)


def _interval(
    axes: Axes, row: int, comparison: Mapping[str, Any], look: Look, limits: tuple[float, float]
) -> None:
    _dots(axes, row, comparison["differences"], look)
    low, high, mean = comparison["low"], comparison["high"], comparison["difference"]
    if low is not None:
        axes.hlines(row, max(low, limits[0]), min(high, limits[1]), color=look.colour, linewidth=2.2)
        for end, edge, marker in ((low, limits[0], "<"), (high, limits[1], ">")):
            if (end < edge) if marker == "<" else (end > edge):
                axes.plot([edge], [row], marker=marker, color=look.colour, markersize=8, clip_on=False)
            else:
                axes.plot([end], [row], marker="|", color=look.colour, markersize=9, markeredgewidth=2)
    _label(axes, row, mean, signed(mean))


def noise_figure(metrics: Metrics, styles: Mapping[str, Look], headline: str) -> str:
    """Score against the level of each kind of noise: mean over splits, and every split as a thin line."""
    kinds = list(metrics["arms"][0]["noise"])
    if len(metrics["arms"]) > MANY:
        return _noise_by_arm(metrics, styles, headline, kinds)
    with drawn(9.2, 3.7) as figure:
        found = panels(figure, [outcome_title(kind) for kind in kinds], sharey=True)
        for axes, kind in zip(found, kinds, strict=True):
            for arm in metrics["arms"]:
                _noise_line(axes, arm, kind, styles[arm["name"]])
            axes.set_xlabel(_UNITS[kind])
        found[0].set_ylabel(f"Test {headline}")
        legend(figure, found[0])
        return to_svg(figure, "noise", f"Test {headline} under noise", _noise_words(metrics, kinds))


def _noise_by_arm(metrics: Metrics, styles: Mapping[str, Look], headline: str, kinds: Sequence[str]) -> str:
    """One panel for each arm and kind, the arm compared against in every one."""
    places = [(arm, kind) for arm in metrics["arms"] for kind in kinds]
    reference = next(arm for arm in metrics["arms"] if arm["name"] == metrics["reference"])
    columns = 2 * len(kinds) if len(kinds) < 3 else len(kinds)
    with drawn(9.2, 2.2 * rows_of_panels(len(places), columns)) as figure:
        titles = [f"{arm['name']}: {outcome_title(kind).lower()}" for arm, kind in places]
        found = panels(figure, titles, columns, sharey=True)
        for axes, (arm, kind) in zip(found, places, strict=True):
            _noise_line(axes, reference, kind, styles[reference["name"]], thin=False)
            _noise_line(axes, arm, kind, styles[arm["name"]])
        return to_svg(figure, "noise", f"Test {headline} under noise", _noise_words(metrics, kinds))


def _noise_line(axes: Axes, arm: Mapping[str, Any], kind: str, look: Look, thin: bool = True) -> None:
    levels = arm["noise"][kind]
    x, y = [level["level"] for level in levels], np.array([level["scores"] for level in levels])
    if thin:
        axes.plot(x, y, color=look.colour, alpha=0.25, linewidth=0.9)
    axes.plot(
        x,
        y.mean(1),
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markersize=5,
        linewidth=2,
        label=entry(arm["name"]),
    )


_UNITS = {
    "gaussian": "Standard deviation of the noise (pixel range = 1)",
    "salt_and_pepper": "Share of pixels set to black or white",
}


def _noise_words(metrics: Metrics, kinds: Sequence[str]) -> str:
    parts = []
    for kind in kinds:
        levels = metrics["arms"][0]["noise"][kind]
        worst = levels[-1]["level"]
        scores = ", ".join(
            f"{arm['name']} {number(float(np.mean(arm['noise'][kind][-1]['scores'])))}"
            for arm in metrics["arms"]
        )
        parts.append(f"{outcome_title(kind)} at level {worst:g}: {scores}.")
    return " ".join(parts)


def curves_figure(
    metrics: Metrics, history: Sequence[Mapping[str, Any]], styles: Mapping[str, Look], headline: str
) -> str:
    """Loss on training rows and score on validation rows, epoch by epoch, of the chosen fits."""
    by_fit: dict[str, list[Mapping[str, Any]]] = {}
    for record in history:
        by_fit.setdefault(record["id"], []).append(record)

    def of(arm: Mapping[str, Any]) -> tuple[list[list[Any]], list[list[Any]]]:
        fits = [by_fit[c["id"]] for c in arm["chosen"] if c["id"] in by_fit]
        loss = [[r["task"] for r in fit] for fit in fits]
        return loss, [[r["validation"][metrics["headline"]] for r in fit] for fit in fits]

    titles = ("Task loss, training rows", f"{headline[0].upper()}{headline[1:]}, validation rows")
    several = len(metrics["arms"]) > MANY
    names = [arm["name"] for arm in metrics["arms"]]
    with drawn(9.2, 2.1 * rows_of_panels(2 * len(names)) + 0.4 if several else 3.6) as figure:
        if several:
            found = panels(figure, [f"{name}: {what}" for name in names for what in _SHORT])
            _alike(found[0::2])
            _alike(found[1::2])
        else:
            found = panels(figure, titles) * len(names)
        for i, arm in enumerate(metrics["arms"]):
            for axes, fits in zip(found[2 * i : 2 * i + 2], of(arm), strict=True):
                _curve(axes, fits, styles[arm["name"]], arm["name"])
        for axes in found[-4:] if several else found[:2]:
            axes.set_xlabel("Epoch")
        for axes in found:
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if not several:
            legend(figure, found[0])
        return to_svg(
            figure,
            "curves",
            "Learning curves",
            f"Training loss and validation {headline} by epoch, mean over splits of the chosen fits, for each arm.",
        )


_SHORT = ("training loss", "validation")


def _alike(axes: Sequence[Axes]) -> None:
    """One scale for all."""
    for other in axes[1:]:
        other.sharey(axes[0])


def _curve(axes: Axes, fits: Sequence[Sequence[float | None]], look: Look, label: str) -> None:
    if not any(fits):  # a peer has no epochs
        return
    length = max(len(fit) for fit in fits)
    rows = np.full((len(fits), length), np.nan)
    for row, fit in zip(rows, fits, strict=True):
        row[: len(fit)] = [np.nan if value is None else value for value in fit]
    x = np.arange(1, length + 1)
    if len(fits) > 2:
        low, high = np.nanquantile(rows, (0.25, 0.75), axis=0)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.1, linewidth=0)
    axes.plot(
        x, np.nanmean(rows, 0), color=look.colour, linestyle=look.dash, linewidth=1.9, label=entry(label)
    )


def arms_section(source: Source) -> Section:
    """Scores of the arms, and their differences."""
    metrics, splits = source.metrics, source.metrics["splits"]
    arrows = "; arrows: they reach further than the figure." if splits < 10 else "."
    note = (
        f" Lines on the right are intervals of the mean difference{arrows}" if metrics["comparisons"] else ""
    )
    blocks: list[Any] = [
        Figure(
            arms_figure(metrics, source.styles, source.headline),
            f"Small marks are splits, large marks their mean.{note}",
        ),
        arms_table(metrics, source.confidence),
    ]
    if metrics["comparisons"]:
        blocks.append(comparisons_table(metrics, source.confidence))
    return Section("arms", "Scores of the arms", blocks)


def noise_section(source: Source) -> Section | None:
    """None if no noise was asked for."""
    if not source.arms[0]["noise"]:
        return None
    tables = noise_tables(source.metrics, source.headline)
    return Section(
        "noise",
        "Under noise",
        [
            Text(
                "Trained on clean inputs only; the noise is added to the test inputs, the same noise for every arm of "
                "a split, and was not looked at when weights were chosen."
            ),
            Figure(
                noise_figure(source.metrics, source.styles, source.headline),
                "Thick lines are means over splits, thin lines the splits.",
            ),
            Folded("Scores at every level", tables),
        ],
    )


def curves_section(source: Source) -> Section:
    """Learning curves."""
    bands = "; bands hold the middle half of the splits" if source.metrics["splits"] > 2 else ""
    figure = curves_figure(source.metrics, source.run.history(), source.styles, source.headline)
    return Section(
        "curves",
        "Learning curves",
        [
            Figure(
                figure,
                f"Chosen fits, mean over splits{bands}. The epoch with the best validation {source.headline} is the "
                "one that is kept.",
            )
        ],
    )
