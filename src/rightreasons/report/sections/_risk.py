"""Survival by predicted risk (Kaplan-Meier curves)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rightreasons.report._blocks import Figure, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import drawn, panels, rows_of_panels, to_svg, width_of
from rightreasons.report._words import number

_GROUPS = ("low third", "middle third", "high third")
_LOOKS = (("#0072b2", "-"), ("#4a5560", (0, (5, 1.5))), ("#b84a00", (0, (1.5, 1))))

Groups = list[tuple[np.ndarray, np.ndarray]]


def section(source: Source) -> Section:
    """Kaplan-Meier curves of thirds of predicted risk, and a table."""
    found = {arm["name"]: _groups(source, arm) for arm in source.arms}
    return Section(
        "calibration",
        "Do predicted risks come true?",
        [
            Text(
                f"The test rows of each split in thirds of predicted risk, and how long{_time(source)} they went "
                "without the event. "
                "The further apart the curves, the better the network tells who is at risk."
            ),
            Figure(
                survival_figure(found),
                "Kaplan-Meier estimates, the same third of all splits together; ticks on a curve are rows whose "
                "observation ended there. A log-hazard ranks rows, it promises no probability, so there is none to "
                "check against.",
            ),
            _table(found),
        ],
    )


def _time(source: Source) -> str:
    return f" ({source.label})" if source.label else ""


def _groups(source: Source, arm: Mapping[str, Any]) -> Groups:
    """Times and events of each third, made within a split: risks of two networks have no common zero."""
    members: list[list[np.ndarray]] = [[], [], []]
    for split in range(source.metrics["splits"]):
        saved = source.predictions(arm, split)
        order = np.argsort(saved["outputs"].reshape(-1), kind="stable")
        for group, rows in zip(members, np.array_split(order, 3), strict=True):
            group.append(saved["y"][rows])
    together = [np.concatenate(group) for group in members]
    return [(each[:, 0].astype(np.float64), each[:, 1] == 1) for each in together]


def kaplan_meier(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct event times, and the share without the event after each [kaplan1958]: prod (1 - d_k / n_k).

    >>> kaplan_meier(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))[1].round(3).tolist()
    [0.667, 0.0]
    """
    times = np.unique(time[event])
    at_risk = np.array([(time >= t).sum() for t in times])
    events = np.array([(event & (time == t)).sum() for t in times])
    return times, np.cumprod(1 - events / at_risk) if len(times) else np.zeros(0)


def at(times: np.ndarray, survival: np.ndarray, when: np.ndarray | float) -> np.ndarray:
    """Value of the step function at these times."""
    return np.asarray(np.concatenate([[1.0], survival])[np.searchsorted(times, when, side="right")])


def survival_figure(found: Mapping[str, Groups]) -> str:
    """A panel for each arm with a curve for each third."""
    names = list(found)
    with drawn(max(width_of(len(names)), 6.9), 2.5 * rows_of_panels(len(names)) + 0.4) as figure:
        axes = panels(figure, names, sharey=True)
        for panel, groups in zip(axes, found.values(), strict=True):
            for (colour, dash), label, group in zip(_LOOKS, _GROUPS, groups, strict=True):
                _curve(panel, *group, colour, dash, label)
            panel.set(ylim=(-0.02, 1.04), xlim=(0, None), xlabel="Time")
        for panel in axes[::4]:
            panel.set_ylabel("Without the event")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, [f"{label} of predicted risk" for label in labels], loc="outside upper left", ncols=3
        )
        when = horizon(found)
        listed = "; ".join(
            f"{name}: " + ", ".join(number(value, 2) for value in _at_horizon(groups, when))
            for name, groups in found.items()
        )
        return to_svg(
            figure,
            "calibration",
            "Survival of thirds of predicted risk",
            f"Share without the event at time {when:.3g}, low, middle and high third: {listed}.",
        )


def _curve(axes: Axes, time: np.ndarray, event: np.ndarray, colour: str, dash: Any, label: str) -> None:
    times, survival = kaplan_meier(time, event)
    end = float(time.max())
    x, y = (
        np.concatenate([[0.0], times, [end]]),
        np.concatenate([[1.0], survival, survival[-1:] if len(survival) else [1.0]]),
    )
    axes.step(x, y, where="post", color=colour, linestyle=dash, linewidth=1.8, label=label)
    ended = time[~event]
    axes.plot(ended, at(times, survival, ended), "|", color=colour, markersize=4, alpha=0.6)


def horizon(found: Mapping[str, Groups]) -> float:
    """Median of all observed times: the same rows, so the same for every arm."""
    groups = next(iter(found.values()))
    return float(np.median(np.concatenate([time for time, _ in groups])))


def _at_horizon(groups: Groups, when: float) -> list[float]:
    return [float(at(*kaplan_meier(*group), when)) for group in groups]


def _table(found: Mapping[str, Groups]) -> Table:
    when = horizon(found)
    rows = []
    for name, groups in found.items():
        shares = _at_horizon(groups, when)
        counts = [f"{int(event.sum())} of {len(event)}" for _, event in groups]
        rows.append([name, *(number(share) for share in shares), number(shares[0] - shares[2]), *counts])
    columns = [f"{group[0].upper()}{group[1:]}" for group in _GROUPS]
    return Table(
        ["Arm", *columns, "Low − high", *(f"Events, {group}" for group in _GROUPS)],
        rows,
        f"Share without the event at time {when:.3g}, the median observed time, by third of predicted risk; and events "
        "among the test rows of each third, splits together.",
    )
