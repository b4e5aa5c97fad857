"""Figures of scores: arms with intervals, noise, learning curves, choice of the weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rightreasons.report._style import INK, MUTED, Look, drawn, to_svg
from rightreasons.report._words import number, outcome_title, signed

Metrics = Mapping[str, Any]


def arms_figure(metrics: Metrics, styles: Mapping[str, Look], headline: str) -> str:
    """Scores of every split, and the paired differences from the reference with their corrected intervals."""
    names = [arm["name"] for arm in metrics["arms"]]
    with drawn(9.2, 1.0 + 0.58 * len(names)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
        for row, arm in enumerate(metrics["arms"]):
            look, scores = styles[arm["name"]], arm["test"][metrics["headline"]]
            _dots(left, row, scores, look)
            _label(left, row, sum(scores) / len(scores), number(sum(scores) / len(scores)))
        clean = {c["arm"]: c for c in metrics["comparisons"] if c["outcome"] == "test"}
        limits = _limits(clean.values())
        for row, name in enumerate(names):
            if name in clean:
                _interval(right, row, clean[name], styles[name], limits)
        left.set_yticks(range(len(names)), names)
        for label, name in zip(left.get_yticklabels(), names, strict=True):
            label.set_color(styles[name].colour)
            label.set_fontweight("bold")
        left.set_ylim(len(names) - 0.45, -0.55)
        left.set(title=f"Test {headline}, each split and mean")
        right.axvline(0, color=INK, linewidth=1)
        right.set(title=f"Difference from {metrics['reference'].lower()}", xlim=limits)
        right.text(0, 0, "compared against", va="center", ha="left", color=MUTED, fontsize=9, bbox=_WHITE)
        for axes in (left, right):
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_locator(MaxNLocator(5))
        described = "; ".join(
            f"{arm['name']} {number(float(np.mean(arm['test'][metrics['headline']])))}"
            for arm in metrics["arms"]
        )
        return to_svg(
            figure,
            "arms",
            f"Test {headline} of each arm",
            f"Mean over {metrics['splits']} splits: {described}.",
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
    with drawn(9.2, 3.7) as figure:
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            for arm in metrics["arms"]:
                look, levels = styles[arm["name"]], arm["noise"][kind]
                x = [level["level"] for level in levels]
                y = np.array([level["scores"] for level in levels])
                axes.plot(x, y, color=look.colour, alpha=0.25, linewidth=0.9)
                axes.plot(
                    x,
                    y.mean(1),
                    color=look.colour,
                    linestyle=look.dash,
                    marker=look.marker,
                    markersize=5,
                    linewidth=2,
                    label=arm["name"],
                )
            axes.set(title=outcome_title(kind), xlabel=_UNITS[kind])
        panels[0].set_ylabel(f"Test {headline}")
        _legend(figure, panels[0], len(metrics["arms"]))
        return to_svg(figure, "noise", f"Test {headline} under noise", _noise_words(metrics, kinds))


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


def _legend(figure: Any, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, handlelength=2.6, columnspacing=1.6
    )


def curves_figure(
    metrics: Metrics, history: Sequence[Mapping[str, Any]], styles: Mapping[str, Look], headline: str
) -> str:
    """Loss on training rows and score on validation rows, epoch by epoch, of the chosen fits."""
    by_fit: dict[str, list[Mapping[str, Any]]] = {}
    for record in history:
        by_fit.setdefault(record["id"], []).append(record)
    with drawn(9.2, 3.5) as figure:
        left, right = figure.subplots(1, 2)
        for arm in metrics["arms"]:
            look = styles[arm["name"]]
            fits = [by_fit[c["id"]] for c in arm["chosen"] if c["id"] in by_fit]
            _curve(left, [[r["task"] for r in fit] for fit in fits], look, arm["name"])
            _curve(
                right,
                [[r["validation"][metrics["headline"]] for r in fit] for fit in fits],
                look,
                arm["name"],
            )
        left.set(title="Task loss, training rows", xlabel="Epoch", ylim=(0, None))
        right.set(title=f"{headline[0].upper()}{headline[1:]}, validation rows", xlabel="Epoch")
        _legend(figure, left, len(metrics["arms"]))
        return to_svg(
            figure,
            "curves",
            "Learning curves",
            f"Training loss and validation {headline} by epoch, mean over splits of the chosen fits, for each arm.",
        )


def _curve(axes: Axes, fits: Sequence[Sequence[float | None]], look: Look, label: str) -> None:
    length = max(len(fit) for fit in fits)
    rows = np.full((len(fits), length), np.nan)
    for row, fit in zip(rows, fits, strict=True):
        row[: len(fit)] = [np.nan if value is None else value for value in fit]
    x = np.arange(1, length + 1)
    if len(fits) > 2:
        low, high = np.nanquantile(rows, (0.25, 0.75), axis=0)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.1, linewidth=0)
    axes.plot(x, np.nanmean(rows, 0), color=look.colour, linestyle=look.dash, linewidth=1.9, label=label)


def weights_figure(metrics: Metrics, styles: Mapping[str, Look], headline: str) -> str:
    """Mean validation score at each weight tried, and on how many splits it was chosen."""
    arms = [arm for arm in metrics["arms"] if metrics["weights"][arm["name"]][0]["weight"] is not None]
    with drawn(9.2, 2.9) as figure:
        panels = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
        trials = metrics["weights"][metrics["reference"]]
        level = float(np.mean([trial["mean"] for trial in trials if trial["mean"] is not None]))
        for axes, arm in zip(panels, arms, strict=True):
            look, curve = styles[arm["name"]], metrics["weights"][arm["name"]]
            x, y = [t["weight"] for t in curve], [t["mean"] for t in curve]
            axes.axhline(
                level, color=styles[metrics["reference"]].colour, linewidth=1.2, linestyle=(0, (4, 2))
            )
            axes.plot(x, y, color=look.colour, marker=look.marker, linewidth=1.9)
            for trial in curve:
                count = sum(c["weight"] == trial["weight"] for c in arm["chosen"])
                if trial["mean"] is not None:
                    axes.annotate(
                        f"{count}×", (trial["weight"], trial["mean"]), (0, 8), textcoords="offset points",
                        ha="center", fontsize=9, color=INK if count else MUTED,
                    )  # fmt: skip
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{w:g}" for w in x])
            axes.minorticks_off()
            axes.margins(x=0.12, y=0.18)
            axes.set_title(arm["name"], color=look.colour)
            axes.set_xlabel("Weight")
        panels[0].set_ylabel(f"Validation {headline}")
        return to_svg(
            figure,
            "weights",
            "Choice of the weight",
            f"Mean validation {headline} at each weight; the dashed line is {metrics['reference']}. "
            "Numbers say on how many splits a weight was chosen.",
        )
