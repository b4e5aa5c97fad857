"""Figures of attributions: columns of a table with their Lorenz curve, and maps over images."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps, image

from rightreasons.report._style import INK, MUTED, Look, drawn, to_svg
from rightreasons.report._words import number

_SHOWN = 14
_DIVERGING = "RdBu_r"


def importance_figure(
    shares: Mapping[str, np.ndarray], features: Sequence[str], styles: Mapping[str, Look]
) -> str:
    """Share of each column in the global attribution, mean over splits, one panel for each arm.

    Args:
        shares: for each arm (splits, columns); every row adds up to one.
        features: names of the columns.
        styles: of the arms.
    """
    means = {name: values.mean(0) for name, values in shares.items()}
    order = np.argsort(-np.mean(list(means.values()), axis=0))[:_SHOWN]
    rest = len(features) - len(order)
    with drawn(9.2, 0.9 + 0.25 * (len(order) + 1)) as figure:
        panels = figure.subplots(1, len(means), sharey=True, sharex=True, squeeze=False)[0]
        for axes, (name, mean) in zip(panels, means.items(), strict=True):
            values = [*(100 * mean[order]), 100 * (1 - mean[order].sum())]
            look, rows = styles[name], np.arange(len(values))
            axes.barh(rows[:-1], values[:-1], color=look.colour, height=0.62)
            axes.barh(rows[-1:], values[-1:], color=look.colour, height=0.62, alpha=0.35)
            axes.set_title(name, color=look.colour)
            axes.set_xlabel("Share of |attribution|, %")
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(
            range(len(order) + 1), [*(features[i] for i in order), f"other {rest} together"], color=INK
        )
        panels[0].set_ylim(len(order) + 0.5, -0.6)
        top = "; ".join(
            f"{name}: " + ", ".join([str(features[int(i)]) for i in np.argsort(-mean)[:3]])
            for name, mean in means.items()
        )
        return to_svg(
            figure, "importance", "Global attributions", f"The three columns that matter most. {top}."
        )


def lorenz_figure(shares: Mapping[str, np.ndarray], styles: Mapping[str, Look]) -> str:
    """How much of the attribution the least important columns hold: the further from the diagonal, the sparser."""
    with drawn(4.6, 3.7) as figure:
        axes = figure.subplots()
        ginis = {}
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
        axes.text(79, 81, "all columns alike", color=MUTED, fontsize=9, ha="right", va="bottom")
        for name, values in shares.items():
            cumulated = np.cumsum(np.sort(values, axis=1), axis=1).mean(0)
            y = np.concatenate([[0.0], 100 * cumulated])
            x = np.linspace(0, 100, len(y))
            p = values.shape[1]
            ranks = 2 * np.arange(1, p + 1) - p - 1
            ginis[name] = float((np.sort(values, axis=1) * ranks).sum(1).mean() / p)
            look = styles[name]
            axes.plot(
                x,
                y,
                color=look.colour,
                linestyle=look.dash,
                linewidth=2,
                label=f"{name} ({number(ginis[name], 2)})",
            )
        axes.set(
            xlabel="Columns from least to most important, %", ylabel="Their share of |attribution|, %",
            xlim=(0, 100), ylim=(0, 100),
        )  # fmt: skip
        axes.legend(
            loc="upper left", title="Gini coefficient", alignment="left", fontsize=9, title_fontsize=9
        )
        listed = ", ".join(f"{name} {number(gini, 2)}" for name, gini in ginis.items())
        return to_svg(
            figure, "lorenz", "Lorenz curves of the global attributions", f"Gini coefficients: {listed}."
        )


@dataclass(frozen=True)
class Cell:
    """One picture of the table of maps."""

    source: str
    alt: str
    note: str = ""
    wrong: bool = False


def input_row(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[Cell]:
    """The images themselves."""
    cells = []
    for x, label in zip(arrays["inputs"], arrays["y"], strict=False):
        name = classes[int(label)]
        cells.append(Cell(_png(_grey(x, darkest=0.0)), f"Input, class {name}", name))
    return cells


def map_row(
    arm: str, arrays: Mapping[str, np.ndarray], classes: Sequence[str], multiclass: bool
) -> list[Cell]:
    """Maps over the images: red for, blue against the explained class; each on its own scale."""
    cells = []
    for x, phi, label, outputs in zip(
        arrays["inputs"], arrays["maps"], arrays["y"], arrays["outputs"], strict=False
    ):
        total = phi.sum(0) if phi.ndim == 3 else phi
        scale = float(np.abs(total).max()) or 1.0
        strength = np.clip(np.abs(total) / scale, 0, 1)[..., None] ** 0.7
        colour = colormaps[_DIVERGING](0.5 + 0.5 * np.clip(total / scale, -1, 1))[..., :3]
        picture = (1 - strength) * _grey(x, darkest=0.72) + strength * colour
        predicted = classes[int(np.argmax(outputs))] if multiclass else ""
        right = predicted == classes[int(label)] or not multiclass
        note = "" if right else f"taken for {predicted}"
        alt = f"{arm}: attribution of class {classes[int(label)]}" + ("" if right else f", {note}")
        cells.append(Cell(_png(picture), alt, note, wrong=not right))
    return cells


def _grey(x: np.ndarray, darkest: float) -> np.ndarray:
    """An image (channels, height, width) as RGB, bright background, ink no darker than `darkest`."""
    ink = x.mean(0) if x.ndim == 3 else x
    low, high = float(ink.min()), float(ink.max())
    ink = (ink - low) / ((high - low) or 1.0)
    return np.repeat((1 - (1 - darkest) * ink)[..., None], 3, axis=-1)


def _png(picture: np.ndarray) -> str:
    buffer = BytesIO()
    nothing: dict[str, Any] = {"Software": None}
    image.imsave(buffer, np.clip(picture, 0, 1), format="png", metadata=nothing)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
