"""Calibration of predicted probabilities (reliability diagrams)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rightreasons.report._blocks import Figure, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import MUTED, Look, drawn, rows_of_panels, to_svg, width_of
from rightreasons.report._words import mean, number
from rightreasons.report.sections import _residuals, _risk

_BINS = 10
_DRAWS = 50
"""Simulated sets of labels, for the error that a perfectly calibrated network would show."""


def section(source: Source) -> Section | None:
    """None for a task whose outputs are no probabilities, values or risks."""
    if source.task in ("binary", "multiclass", "multilabel"):
        return _classes(source)
    return {"regression": _residuals.section, "survival": _risk.section}.get(source.task, _nothing)(source)


def _nothing(source: Source) -> None:
    return None


@dataclass(frozen=True)
class Forecast:
    """Probabilities, and whether what they are of came true: one entry for each row (or row and label).

    Attributes:
        p: probability of what is forecast, (n,).
        true: whether it came true, (n,).
        brier: mean squared error of the probabilities, over all classes.
    """

    p: np.ndarray
    true: np.ndarray
    brier: float


def forecast(task: str, outputs: np.ndarray, y: np.ndarray) -> Forecast:
    """What outputs of a classification say, as probabilities.

    Binary: the probability of the second class. Multi-class: that of the predicted class. Multi-label: that of every
    label. Brier score: mean (p - y)^2; of several classes, summed over classes.

    >>> forecast("binary", np.zeros(2), np.array([0, 1])).brier
    0.25
    """
    z = outputs.astype(np.float64)
    if task == "multiclass":
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        one_hot = np.eye(p.shape[1])[y.astype(np.int64)]
        return Forecast(p.max(1), p.argmax(1) == y, float(((p - one_hot) ** 2).sum(1).mean()))
    p = 1 / (1 + np.exp(-z.reshape(-1).clip(-500, 500)))
    true = y.reshape(-1) == 1
    return Forecast(p, true, float(((p - true) ** 2).mean()))


def calibration_error(p: np.ndarray, true: np.ndarray) -> float:
    """Expected calibration error [naeini2015]: mean distance between probability and frequency over ten equal bins.

    sum_b n_b / n |mean of p in b - share that came true in b|

    >>> calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    share, forecast, came_true = bins(p, true)
    return float((share * np.abs(forecast - came_true)).sum())


def bins(p: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ten equal bins that is not empty: share of the entries, mean probability, share that came true."""
    place = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    count = np.bincount(place, minlength=_BINS)
    used = count > 0
    sums = [np.bincount(place, values, minlength=_BINS)[used] for values in (p, true.astype(float))]
    return count[used] / len(p), sums[0] / count[used], sums[1] / count[used]


def error_by_chance(p: np.ndarray, seed: int = 0) -> float:
    """Calibration error that a perfectly calibrated network shows on so many rows: labels drawn from its own p."""
    draw = np.random.default_rng(seed)
    return float(np.mean([calibration_error(p, draw.random(len(p)) < p) for _ in range(_DRAWS)]))


_OF = {
    "binary": "Probability of “{positive}” on test rows, against how often it came true.",
    "multiclass": "Probability of the predicted class on test rows, against how often the prediction was right.",
    "multilabel": "Probability of each label on test rows, all labels together, against how often it was there.",
}


def _classes(source: Source) -> Section:
    positive = source.outputs[1] if source.task == "binary" and len(source.outputs) > 1 else "yes"
    what = _OF[source.task].format(positive=positive)
    found = {arm["name"]: _forecasts(source, arm) for arm in source.arms}
    return Section(
        "calibration",
        "Can its probabilities be believed?",
        [
            Text(f"{what} On the diagonal, a probability of 70 % comes true seven times in ten."),
            Figure(
                reliability_figure(found, source.styles, what),
                "Above: ten equal bins of probability, splits together; bars are 95% Wilson intervals as if rows were "
                "independent, so they are too narrow where splits share rows. Below: how many test rows fall into each "
                "bin, on a scale of its own for each arm.",
            ),
            _table(source, found),
        ],
    )


def _weights(source: Source) -> str:
    """What is done about weights of classes, which overstate those that count more."""
    if not source.weighed:
        return ""
    return (
        " Classes count differently in the loss, which overstates those that count more; as in predictions, that is "
        "taken out again: probabilities are those of classes as frequent as in training."
    )


def _forecasts(source: Source, arm: Mapping[str, Any]) -> list[Forecast]:
    saved = [source.predictions(arm, split) for split in range(source.metrics["splits"])]
    return [forecast(source.task, source.unweighted(each), each["y"]) for each in saved]


def reliability_figure(
    forecasts: Mapping[str, Sequence[Forecast]], styles: Mapping[str, Look], what: str
) -> str:
    """A diagram for each arm, with how many rows each point rests on."""
    names = list(forecasts)
    columns = min(4, len(names))
    lines = rows_of_panels(len(names))
    with drawn(width_of(len(names)), 3.0 * lines + 0.2) as figure:
        parts = figure.subfigures(lines, 1, squeeze=False)[:, 0]
        for line, part in enumerate(parts):
            own = names[line * columns : (line + 1) * columns]
            grid = part.subplots(2, columns, height_ratios=(3, 1), squeeze=False)
            for column in range(len(own), columns):
                grid[0, column].remove()
                grid[1, column].remove()
            for column, name in enumerate(own):
                p = np.concatenate([each.p for each in forecasts[name]])
                true = np.concatenate([each.true for each in forecasts[name]])
                _diagram(grid[0, column], p, true, styles[name])
                _counts(grid[1, column], p, styles[name])
                grid[0, column].set_title(fill(name, 24))
            grid[0, 0].set_ylabel("Came true")
            grid[1, 0].set_ylabel("Rows")
        listed = "; ".join(
            f"{name}: expected calibration error {number(mean([calibration_error(e.p, e.true) for e in each]))}"
            for name, each in forecasts.items()
        )
        return to_svg(figure, "calibration", "Reliability diagrams", f"{what} {listed}.")


def _diagram(axes: Axes, p: np.ndarray, true: np.ndarray, look: Look) -> None:
    share, predicted, came_true = bins(p, true)
    low, high = wilson(came_true, share * len(p))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    axes.vlines(predicted, low, high, color=look.colour, linewidth=1.4, alpha=0.7)
    axes.plot(predicted, came_true, color=look.colour, marker=look.marker, markersize=4.5, linewidth=1.5)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")
    axes.tick_params(labelbottom=False)


def _counts(axes: Axes, p: np.ndarray, look: Look) -> None:
    axes.hist(p, bins=_BINS, range=(0, 1), color=look.colour, rwidth=0.85)
    axes.set(xlim=(-0.03, 1.03), xticks=(0, 0.5, 1), xlabel="Probability")
    axes.locator_params(axis="y", nbins=2)
    axes.grid(axis="x", visible=False)


def wilson(share: np.ndarray, count: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Wilson's interval of a share of independent rows [wilson1927].

    >>> low, high = wilson(np.array([0.5]), np.array([96]))
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.402, 0.598)
    """
    weight = 1 / (1 + z**2 / count)
    middle = weight * (share + z**2 / (2 * count))
    half = weight * z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half


def _table(source: Source, found: Mapping[str, Sequence[Forecast]]) -> Table:
    rows = [
        [
            name,
            number(mean([each.brier for each in forecasts])),
            number(mean([calibration_error(each.p, each.true) for each in forecasts])),
            number(mean([error_by_chance(each.p) for each in forecasts])),
        ]
        for name, forecasts in found.items()
    ]
    return Table(
        ["Arm", "Brier score", "Calibration error", "If perfectly calibrated"],
        rows,
        "Means over splits; smaller is better. Calibration error: mean distance from the diagonal over ten equal bins "
        "(expected calibration error). It is above zero for a perfectly calibrated network too, the more so the fewer "
        "rows: the last column is what it would then be, from labels drawn from the network’s own probabilities.",
    )
