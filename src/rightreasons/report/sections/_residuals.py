"""Residuals of regressions: predicted against true values."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rightreasons.report._blocks import Figure, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import INK, MUTED, Look, drawn, to_svg, width_of
from rightreasons.report._words import mean, number, quantity

_POINTS = 300
_BINS = 8

Pairs = list[tuple[np.ndarray, np.ndarray]]


def section(source: Source) -> Section:
    """Diagram, residuals and a table of errors."""
    found = {arm["name"]: _pairs(source, arm) for arm in source.arms}
    return Section(
        "calibration",
        "Predicted and true values",
        [
            Text(
                f"{source.label or 'The label'}, true and predicted. On the diagonal, what was predicted came "
                "true. Below it, what is left: true minus predicted."
            ),
            Figure(
                residual_figure(found, source.styles),
                f"At most {_POINTS} test rows of all splits for each arm, evenly taken. The thick line is the mean of "
                f"all test rows in {_BINS} bins of equal count; away from zero, predictions of that size are "
                "systematically off.",
            ),
            _table(found),
        ],
    )


def _pairs(source: Source, arm: Mapping[str, Any]) -> Pairs:
    saved = [source.predictions(arm, split) for split in range(source.metrics["splits"])]
    return [
        (e["outputs"].reshape(-1).astype(np.float64), e["y"].reshape(-1).astype(np.float64)) for e in saved
    ]


def residual_figure(found: Mapping[str, Pairs], styles: Mapping[str, Look]) -> str:
    """For each arm predicted against true, and residuals below."""
    names, columns = list(found), min(4, len(found))
    lines = -(-len(names) // columns)
    with drawn(width_of(len(names)), 3.6 * lines) as figure:
        parts = figure.subfigures(lines, 1, squeeze=False)[:, 0]
        every = np.concatenate([np.concatenate(pair) for pairs in found.values() for pair in pairs])
        limits = (float(every.min()), float(every.max()))
        for line, part in enumerate(parts):
            own = names[line * columns : (line + 1) * columns]
            grid = part.subplots(2, columns, height_ratios=(3, 2), squeeze=False, sharex=True, sharey="row")
            for column, name in enumerate(own):
                predicted, true = (np.concatenate(each) for each in zip(*found[name], strict=True))
                _scatter(grid[0, column], predicted, true, styles[name], limits)
                _left_over(grid[1, column], predicted, true - predicted, styles[name])
                grid[0, column].set_title(fill(name, 24))
            for column in range(len(own), columns):
                grid[0, column].remove()
                grid[1, column].remove()
            grid[0, 0].set_ylabel("True")
            grid[1, 0].set_ylabel("True − predicted")
        listed = "; ".join(
            f"{name}: root mean squared error {quantity(_measures(pairs)[0])}"
            for name, pairs in found.items()
        )
        return to_svg(
            figure, "calibration", "Predicted and true values", f"Test rows of all splits. {listed}."
        )


def _scatter(
    axes: Axes, predicted: np.ndarray, true: np.ndarray, look: Look, limits: tuple[float, float]
) -> None:
    few = np.unique(np.linspace(0, len(true) - 1, _POINTS).astype(int))
    axes.plot(limits, limits, color=MUTED, linewidth=1)
    axes.scatter(
        predicted[few], true[few], s=9, color=look.colour, alpha=0.45, linewidths=0, marker=look.marker
    )


def _left_over(axes: Axes, predicted: np.ndarray, residual: np.ndarray, look: Look) -> None:
    few = np.unique(np.linspace(0, len(residual) - 1, _POINTS).astype(int))
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.scatter(
        predicted[few], residual[few], s=9, color=look.colour, alpha=0.45, linewidths=0, marker=look.marker
    )
    groups = np.array_split(np.argsort(predicted), min(_BINS, len(predicted)))
    axes.plot(
        [predicted[g].mean() for g in groups], [residual[g].mean() for g in groups], color=INK, linewidth=2
    )
    axes.set_xlabel("Predicted")


def _measures(pairs: Pairs) -> tuple[float, float, float, float | None]:
    """Root mean squared and mean absolute error, mean residual, slope of true on predicted; means over splits."""
    rows = []
    for predicted, true in pairs:
        left, spread = true - predicted, predicted - predicted.mean()
        slope = float((spread * true).sum() / (spread**2).sum()) if spread.any() else None
        rows.append((float(np.sqrt((left**2).mean())), float(np.abs(left).mean()), float(left.mean()), slope))
    rmse, absolute, bias, slopes = zip(*rows, strict=True)
    return mean(rmse), mean(absolute), mean(bias), None if None in slopes else mean(slopes)


def _table(found: Mapping[str, Pairs]) -> Table:
    rows = []
    for name, pairs in found.items():
        rmse, absolute, bias, slope = _measures(pairs)
        rows.append([name, quantity(rmse), quantity(absolute), quantity(bias), number(slope, 2)])
    return Table(
        ["Arm", "Root mean squared error", "Mean absolute error", "Mean of true − predicted", "Slope"],
        rows,
        "On test rows, in units of the label, means over splits. Slope: of true on predicted values; 1 is calibrated, "
        "below 1 predictions are too far apart, above 1 too close together.",
    )
