"""Global importance of columns or words, and its concentration."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rightreasons.report._blocks import Figure, Folded, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import (
    INK,
    MANY,
    MUTED,
    Look,
    drawn,
    entry,
    heat,
    panels,
    rows_of_panels,
    to_svg,
)
from rightreasons.report._words import number, percent_form, shorten

_SHOWN = 14

Shares = Mapping[str, np.ndarray]


def section(source: Source) -> Section | None:
    """None for images and sequences: their maps are shown instead."""
    if not source.features or not source.explained_arms:
        return None
    what = {"table": "column", "text": "word"}.get(source.kind, "input")
    shares = {
        arm["name"]: np.stack(
            [share(source.maps(arm, split)["importance"]) for split in range(source.metrics["splits"])]
        )
        for arm in source.explained_arms
    }
    explained = f"Explained: {source.output}."
    parts = {
        "table": " Parts of one original column are added up first.",
        "text": " Occurrences of a word in a text are added up first.",
    }.get(source.kind, "")
    blocks = [
        Text(source.explained),
        Figure(
            importance_figure(shares, source.features, source.styles, what),
            f"Global attribution: mean magnitude over {source.rows_explained}, as a share of the total, mean over "
            f"splits.{parts} {explained}",
        ),
        Figure(
            lorenz_figure(shares, source.styles, what),
            "Lorenz curve of the global attribution, mean over splits. The further a curve lies below the diagonal, "
            f"the fewer {what}s hold most of the attribution. {explained}",
            narrow=len(shares) <= MANY,
        ),
    ]
    columns = source.metrics["data"]["columns"]
    if any(columns.values()):
        meanings = Table(
            ["Column", "Meaning"],
            list(columns.items()),
            "The columns of the data.",
            frozenset({1}),
            code=True,
        )
        blocks.append(Folded("What the columns mean", [meanings]))
    return Section("importance", "What the networks rely on", blocks)


def share(importance: np.ndarray) -> np.ndarray:
    """As parts of one; all zero if nothing matters."""
    flat = importance.reshape(-1)
    total = float(flat.sum())
    return flat / total if total else flat


def importance_figure(
    shares: Shares, features: Sequence[str], styles: Mapping[str, Look], what: str = "column"
) -> str:
    """Share of each column in the global attribution, mean over splits, one panel or column for each arm.

    Args:
        shares: for each arm (splits, columns); every row adds up to one.
        features: names of the columns.
        styles: of the arms.
        what: a feature is.
    """
    means = {name: values.mean(0) for name, values in shares.items()}
    order = np.argsort(-np.mean(list(means.values()), axis=0), kind="stable")[:_SHOWN]
    values = np.array([[*mean[order], 1 - mean[order].sum()] for mean in means.values()]).T * 100
    labels = [shorten(str(features[i]), 24) for i in order]
    rest = len(features) - len(order)
    if rest:
        labels.append(f"other {rest} together")
    else:
        values = values[:-1]
    top = "; ".join(
        f"{name}: " + ", ".join(str(features[int(i)]) for i in np.argsort(-mean)[:3])
        for name, mean in means.items()
    )
    draw = _bars if len(means) <= MANY else _numbers
    height = 0.9 + 0.25 * len(labels) + (0.9 if len(means) > MANY else 0)
    with drawn(9.2, height) as figure:
        axes = figure.subplots(1, 1 if draw is _numbers else len(means), sharey=True, squeeze=False)
        draw(list(axes[0]), values, labels, list(means), styles, min(rest, 1))
        description = f"The three {what}s that matter most. {top}."
        return to_svg(figure, "importance", "Global attributions", description)


def _bars(
    axes: Sequence[Axes],
    values: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str],
    styles: Mapping[str, Look],
    rest: int,
) -> None:
    """Bars; the columns that are named set the axis, and what the others hold together is a number."""
    rows = np.arange(len(labels))
    named = len(labels) - rest
    end = 1.08 * float(values[:named].max()) or 1.0
    for panel, name, own in zip(axes, names, values.T, strict=True):
        panel.barh(rows[:named], own[:named], color=styles[name].colour, height=0.62)
        for row in rows[named:]:
            panel.text(0.01 * end, row, f"{own[row]:.0f} %", va="center", color=MUTED, fontsize=9)
        panel.set_title(shorten(name, 100 // len(names)), color=styles[name].colour)
        panel.set(xlabel="Share, %", xlim=(0, end))
        panel.grid(axis="y", visible=False)
    axes[0].set_yticks(rows, labels, color=INK)
    axes[0].set_ylim(len(labels) - 0.5, -0.6)


def _numbers(
    axes: Sequence[Axes],
    values: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str],
    styles: Mapping[str, Look],
    rest: int,
) -> None:
    form = percent_form(float(values[: len(values) - rest].max()))
    heat(axes[0], values, labels, [shorten(name, 24) for name in names], form, uncoloured=rest)
    axes[0].set_xlabel("Share of |attribution|, %")


def lorenz_figure(shares: Shares, styles: Mapping[str, Look], what: str = "column") -> str:
    """How much of the attribution the least important columns hold: the further from the diagonal, the sparser."""
    ginis = {name: _gini(values) for name, values in shares.items()}
    listed = ", ".join(f"{name} {number(gini, 2)}" for name, gini in ginis.items())
    several = len(shares) > MANY
    with drawn(*((9.2, 2.3 * rows_of_panels(len(shares))) if several else (4.6, 3.9))) as figure:
        if several:
            found = panels(
                figure, [f"{shorten(name, 30)} ({number(ginis[name], 2)})" for name in shares], sharey=True
            )
        else:
            found = [figure.subplots()] * len(shares)
        for axes, (name, values) in zip(found, shares.items(), strict=True):
            if several or name == next(iter(shares)):
                axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
            _lorenz(axes, values, styles[name], f"{name} ({number(ginis[name], 2)})")
            axes.set(xlim=(0, 100), ylim=(0, 100))
        for axes in found[-4:] if several else found[:1]:
            axes.set_xlabel(f"{what[0].upper()}{what[1:]}s, least important first, %")
        for axes in found[::4] if several else found[:1]:
            axes.set_ylabel("Share of |attribution|, %")
        if not several:
            found[0].legend(
                loc="upper left", title="Gini coefficient", alignment="left", fontsize=9, title_fontsize=9
            )
        return to_svg(
            figure, "lorenz", "Lorenz curves of the global attributions", f"Gini coefficients: {listed}."
        )


def _lorenz(axes: Axes, values: np.ndarray, look: Look, label: str) -> None:
    cumulated = np.cumsum(np.sort(values, axis=1), axis=1).mean(0)
    y = np.concatenate([[0.0], 100 * cumulated])
    axes.plot(
        np.linspace(0, 100, len(y)),
        y,
        color=look.colour,
        linestyle=look.dash,
        linewidth=2,
        label=entry(label),
    )


def _gini(values: np.ndarray) -> float:
    p = values.shape[1]
    ranks = 2 * np.arange(1, p + 1) - p - 1
    return float((np.sort(values, axis=1) * ranks).sum(1).mean() / p)
