"""Choice of the weight: validation scores at every weight."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rightreasons.report._blocks import Figure, Section, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import INK, MUTED, Look, drawn, panels, rows_of_panels, to_svg, width_of


def section(source: Source) -> Section | None:
    """None if there was nothing to choose."""
    if all(len(trials) == 1 for trials in source.metrics["weights"].values()):
        return None
    return Section(
        "weights",
        "How the weight was chosen",
        [
            Text(_rule(source)),
            Figure(
                weights_figure(source.metrics, source.styles, source.headline),
                f"Validation {source.headline} of every trial. Thin lines are splits, the large mark on each is the "
                "trial that was taken; the thick line is the mean over splits. The dashed line is the mean of "
                f"{source.metrics['reference']}. 3× means: taken on three splits.",
            ),
            *(Text(line, note=True) for line in remarks(source.metrics)),
        ],
    )


def remarks(metrics: Mapping[str, Any]) -> list[str]:
    """What to change: weights at the edge of what was tried, and fits that have learned nothing."""
    found = []
    for arm in metrics["arms"]:
        trials = metrics["weights"][arm["name"]]
        of = f"of {metrics['splits']} splits"
        taken = [chosen["trial"] for chosen in arm["chosen"]]
        if trials[0]["weight"] is not None and len(trials) > 1:
            for place, edge, more in ((0, "smallest", "smaller"), (len(trials) - 1, "largest", "larger")):
                if place in taken:
                    found.append(
                        f"{arm['name']}: the {edge} weight that was tried, {trials[place]['weight']:g}, was taken on "
                        f"{taken.count(place)} {of}; {more} ones may do better."
                    )
        flat = [f"{t['weight']:g}" for t in trials if t.get("flat") and t["weight"] is not None]
        if flat:
            found.append(
                f"{arm['name']}: fits at the weight{'s' * (len(flat) > 1)} {', '.join(flat)} say nearly the same of "
                "every row: the penalty leaves nothing of the network."
            )
    return found


def _rule(source: Source) -> str:
    select, headline = source.recipe.select, source.headline
    if select.rule == "largest_within":
        rule = f"the largest weight whose validation {headline} is within {select.within:g} of the arm’s best"
    else:
        rule = f"the weight with the best validation {headline}"
    return f"On each split, {rule}. Arms without a weight choose among as many initialisations. Test rows play no part."


def weights_figure(metrics: Mapping[str, Any], styles: Mapping[str, Look], headline: str) -> str:
    """A panel for each arm: score of every split at every weight, which were taken, and the mean."""
    names = [arm["name"] for arm in metrics["arms"]]
    level = _mean([s for trial in metrics["weights"][metrics["reference"]] for s in trial["scores"]])
    with drawn(width_of(len(names)), 2.35 * rows_of_panels(len(names)) + 0.3) as figure:
        found = panels(figure, names, sharey=True)
        for axes, arm in zip(found, metrics["arms"], strict=True):
            axes.axhline(
                level, color=styles[metrics["reference"]].colour, linewidth=1.2, linestyle=(0, (4, 2))
            )
            _curve(axes, arm, metrics["weights"][arm["name"]], styles[arm["name"]])
        for axes in found[::4]:
            axes.set_ylabel(f"Validation {headline}")
        return to_svg(figure, "weights", "Choice of the weight", _described(metrics, headline))


def _curve(axes: Axes, arm: Mapping[str, Any], trials: list[dict[str, Any]], look: Look) -> None:
    weighted = trials[0]["weight"] is not None
    x = np.array([t["weight"] if weighted else i + 1 for i, t in enumerate(trials)], dtype=float)
    scores = np.array([[np.nan if s is None else s for s in t["scores"]] for t in trials])
    taken = [chosen["trial"] for chosen in arm["chosen"]]
    axes.plot(x, scores, color=look.colour, alpha=0.3, linewidth=0.9)
    axes.scatter(
        x[taken], scores[taken, range(len(taken))], s=16, color=look.colour, alpha=0.6, marker=look.marker,
        linewidths=0,
    )  # fmt: skip
    means = np.array([_mean(t["scores"]) for t in trials])
    axes.plot(x, means, color=look.colour, linewidth=2.2)
    for i, mean in enumerate(means):
        count = taken.count(i)
        top = np.nanmax(scores[i]) if np.isfinite(scores[i]).any() else mean
        axes.annotate(
            f"{count}×", (x[i], top), (0, 5), textcoords="offset points", ha="center", fontsize=9,
            color=INK if count else MUTED, fontweight="bold" if count else "normal",
        )  # fmt: skip
    axes.set_xscale("log" if weighted else "linear")
    axes.set_xticks(x, [f"{value:g}" for value in x])
    axes.minorticks_off()
    axes.margins(x=0.14, y=0.12)
    axes.set_xlabel("Weight" if weighted else "Initialisation")


def _mean(scores: list[float | None]) -> float:
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else float("nan")


def _described(metrics: Mapping[str, Any], headline: str) -> str:
    parts = []
    for arm in metrics["arms"]:
        trials = metrics["weights"][arm["name"]]
        taken = [chosen["trial"] for chosen in arm["chosen"]]
        listed = ", ".join(
            f"{'initialisation ' + str(i + 1) if t['weight'] is None else format(t['weight'], 'g')} "
            f"({_mean(t['scores']):.3f}, taken {taken.count(i)} times)"
            for i, t in enumerate(trials)
        )
        parts.append(f"{arm['name']}: {listed}")
    return f"Mean validation {headline} at each weight. {'; '.join(parts)}."
