"""Attributions per class: mean maps, importance of columns, words for and against."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rightreasons.report._blocks import Cell, Figure, Pictures, Scale, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import drawn, heat, to_svg
from rightreasons.report._words import percent_form, shorten
from rightreasons.report.figures import _maps as _pictures
from rightreasons.report.sections._examples import strip_height

_COLUMNS, _OF_EACH, _WORDS, _CLASSES = 12, 2, 6, 20


def section(source: Source) -> Section | None:
    """None where no output or label is a class, or where a table has one output: its columns are ranked once."""
    if not source.explained_arms or "class_maps" not in source.maps(source.explained_arms[0]):
        return None
    if source.kind == "numbers" or (source.kind == "table" and len(source.outputs) <= 2):
        return None
    shown = {"images": _images, "sequences": _images, "text": _texts}.get(source.kind, _columns)(source)
    only = "label" if source.task == "multilabel" else "class"
    several = len(source.outputs) > 2 or source.task == "multilabel"
    what = (
        f"Maps of the rows of each {only}, explaining the output of that {only}, mean over rows and splits."
        if several
        else f"Maps of the rows of each class, all explaining {source.output}, mean over rows and splits."
    )
    rest = len(source.outputs) - _CLASSES
    more = f" The first {_CLASSES} of {len(source.outputs)} are shown." if rest > 0 else ""
    title = "Label by label" if source.task == "multilabel" else "Class by class"
    return Section("classes", title, [Text(what + more), *shown])


def mean_maps(source: Source, arm: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean map of each class over the rows of all splits, and how many rows that is."""
    saved = [source.maps(arm, split) for split in range(source.metrics["splits"])]
    counts = np.stack([each["class_counts"] for each in saved])
    maps = np.stack([each["class_maps"] for each in saved])
    weights = (counts / np.maximum(counts.sum(0), 1)).reshape(*counts.shape, *[1] * (maps.ndim - 2))
    return (maps * weights).sum(0), counts.sum(0)


def _images(source: Source) -> list[Any]:
    rows = []
    shape = (1, 1)
    for arm in source.explained_arms:
        maps, counts = mean_maps(source, arm)
        shape = maps.shape[1:]
        cells = [
            Cell(
                _pictures.of_map(each),
                f"{arm['name']}: mean map of class {name}, {count} rows",
                f"{count} rows" if arm is source.explained_arms[0] else "",
            )
            for each, name, count in zip(maps, source.outputs, counts, strict=False)
        ]
        rows.append((arm["name"], cells))
    size = (64, 64) if source.kind == "images" else (150, strip_height(shape[0]))
    return [
        *Pictures(
            rows, "Mean attribution map of each class for every arm.", source.outputs[:_CLASSES], size=size
        ).in_parts(),
        Scale("against what is explained", "for it"),
        Text("Each map has its own scale, symmetric about zero.", note=True),
    ]


def _texts(source: Source) -> list[Any]:
    vocabulary = np.array(source.metrics["data"]["vocabulary"])
    rows = []
    for arm in source.explained_arms:
        maps, _ = mean_maps(source, arm)
        rows.append([arm["name"], *(_strongest(each, vocabulary) for each in maps)])
    names = source.outputs[:_CLASSES]
    caption = (
        f"The {_WORDS} words with the largest mean attribution in texts of each class, + for and − against what is "
        "explained, strongest first. A word counts the more, the more texts hold it."
    )
    return [Table(["Arm", *names], rows, caption, frozenset(range(1, len(names) + 1)))]


def _strongest(attribution: np.ndarray, vocabulary: np.ndarray) -> str:
    known = attribution.copy()
    known[0] = 0  # padding
    order = [i for i in np.argsort(-np.abs(known), kind="stable")[:_WORDS] if known[i]]
    return ", ".join(f"{vocabulary[i]} {'+' if known[i] > 0 else '−'}" for i in order) or "–"


def _columns(source: Source) -> list[Any]:
    """Importance of each column for each class: mean magnitude over the rows of the class."""
    found = {arm["name"]: class_shares(source, arm) for arm in source.explained_arms}
    order = _that_matter(np.mean(list(found.values()), axis=0))
    labels = [shorten(str(source.features[i]), 24) for i in order]
    names = [shorten(name, 14) for name in source.outputs[:_CLASSES]]
    across = max(1, min(3, len(found), 14 // len(names)))
    lines = -(-len(found) // across)
    with drawn(9.2, lines * (0.9 + 0.24 * len(labels))) as figure:
        grid = figure.subplots(lines, across, squeeze=False, sharey=True)
        form = percent_form(100 * max(float(shares.max()) for shares in found.values()))
        for axes, (arm, shares) in zip(grid.flat, found.items(), strict=False):
            heat(axes, 100 * shares[order], labels, names, form)
            axes.set_title(shorten(arm, 96 // across), pad=10)
        for axes in list(grid.flat)[len(found) :]:
            axes.remove()
        top = "; ".join(
            f"{arm}: "
            + ", ".join(
                f"{name} {source.features[int(own.argmax())]}"
                for name, own in zip(source.outputs, shares.T, strict=False)
            )
            for arm, shares in found.items()
        )
        svg = to_svg(figure, "classes", "Importance for each class", f"The column that matters most. {top}.")
    only = "label" if source.task == "multilabel" else "class"
    left_out = ""
    if len(order) < len(source.features):
        left_out = (
            f" {len(order)} of {len(source.features)} columns: the {_COLUMNS} that matter most over all, and the "
            f"{_OF_EACH} that matter most to each {only}."
        )
    return [
        Figure(
            svg,
            f"Share of each column in the attributions of the rows of each {only}, %. The output of that {only} is "
            f"explained.{left_out}",
        )
    ]


def _that_matter(shares: np.ndarray) -> np.ndarray:
    """Columns that matter most, over all and then to each class in turn, by what they hold in all classes."""
    total = shares.sum(1)
    chosen = list(np.argsort(-total, kind="stable")[:_COLUMNS])
    if len(shares) > _COLUMNS:
        for own in shares.T:
            chosen += [i for i in np.argsort(-own, kind="stable")[:_OF_EACH] if i not in chosen]
    return np.array(sorted(chosen, key=lambda i: -total[i]))


def class_shares(source: Source, arm: Mapping[str, Any]) -> np.ndarray:
    """Share of each column in the magnitude of the maps of each class, mean over splits, (columns, classes)."""
    count = min(len(source.outputs), _CLASSES)
    totals = np.zeros((len(source.features), count))
    for split in range(source.metrics["splits"]):
        saved = source.maps(arm, split)
        classes = saved.get("target", saved["y"])[: len(saved["maps"])]
        for k in range(count):
            totals[:, k] += np.abs(saved["maps"][classes == k]).sum(0)
    return totals / np.maximum(totals.sum(0), 1e-30)
