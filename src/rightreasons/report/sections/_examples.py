"""Maps of the same test rows for every arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rightreasons.report._blocks import Cell, Passage, Pictures, Scale, Section, Text, Word
from rightreasons.report._run_view import Arrays, Source
from rightreasons.report._words import number
from rightreasons.report.figures import _maps as _pictures

_TEXTS, _WORDS = 4, 80
_STRIP = 150
"""Width of the picture of a sequence, in pixels."""


def section(source: Source) -> Section | None:
    """None where inputs have no picture, or no examples were asked for."""
    if source.kind not in ("images", "sequences", "text") or not source.recipe.explain.examples:
        return None
    found = [(arm["name"], source.maps(arm)) for arm in source.arms]
    blocks = _passages(source, found) if source.kind == "text" else _pictures_of(source, found)
    what = {"images": "images", "sequences": "sequences", "text": "texts"}[source.kind]
    first = Text(f"{source.explained} The same test {what} of the first split for every arm.")
    return Section("maps", "What the networks look at", [first, *blocks])


def note_of(source: Source, arrays: Arrays, row: int) -> tuple[str, bool]:
    """What a network made of an example, and whether it was wrong; nothing to say if it was right."""
    outputs, y = arrays["outputs"][row], arrays["y"][row]
    names = source.outputs
    if source.task == "multiclass" or (source.task == "binary" and names):
        predicted = int(np.argmax(outputs)) if source.task == "multiclass" else int(np.ravel(outputs)[0] > 0)
        wrong = predicted != int(y)
        return (f"taken for {names[predicted]}" if wrong else ""), wrong
    if source.task == "regression":
        return f"predicted {number(float(np.ravel(outputs)[0]))}", False
    if source.task == "survival":
        return f"log-hazard {number(float(np.ravel(outputs)[0]), 2)}", False
    return "", False


def label_of(source: Source, arrays: Arrays, row: int) -> str:
    """The true label of an example, in words."""
    y, names = arrays["y"][row], source.outputs
    if source.task in ("multiclass", "binary") and names:
        return names[int(y)]
    if source.task == "multilabel":
        return ", ".join(name for name, value in zip(names, y, strict=True) if value == 1) or "no label"
    if source.task == "survival":
        return f"{'event' if y[1] == 1 else 'ended'} at {y[0]:.3g}"
    return number(float(np.ravel(y)[0]))


def explained_of(source: Source, arrays: Arrays, row: int) -> str:
    """Which output the map of an example explains."""
    if "target" in arrays and source.outputs:
        return f"“{source.outputs[int(arrays['target'][row])]}”"
    return f"“{source.outputs[1]}”" if source.outputs else "the predicted value"


def _pictures_of(source: Source, found: Sequence[tuple[str, Arrays]]) -> list[Any]:
    arrays = found[0][1]
    size = (76, 76) if source.kind == "images" else (_STRIP, strip_height(arrays["inputs"].shape[1]))
    labels = [label_of(source, arrays, row) for row in range(len(arrays["inputs"]))]
    several = "target" in arrays and source.task == "multilabel"
    rows = [
        (
            "Test input",
            [
                Cell(
                    _pictures.of_input(x),
                    f"Input, label {labels[i]}",
                    f"{labels[i]}; explained: {explained_of(source, arrays, i)}" if several else labels[i],
                )
                for i, x in enumerate(arrays["inputs"])
            ],
        )
    ]
    rows += [(name, map_row(source, name, own)) for name, own in found]
    return [
        *Pictures(rows, "Attribution maps of the same test inputs for every arm.", size=size).in_parts(),
        Scale("against what is explained", "for it"),
        Text(
            "Each map has its own scale, symmetric about zero, so colours compare places within a map and not "
            "strengths between maps. Faint grey is the input."
            + (" Each channel is a line, time runs to the right." if source.kind == "sequences" else ""),
            note=True,
        ),
    ]


def strip_height(channels: int) -> int:
    """Height of the picture of a sequence: a line for each channel, none too thin to see."""
    return int(np.clip(12 * channels, 20, 90))


def map_row(source: Source, arm: str, arrays: Arrays) -> list[Cell]:
    """Maps of an arm over the inputs."""
    cells = []
    for row, (x, phi) in enumerate(zip(arrays["inputs"], arrays["maps"], strict=False)):
        note, wrong = note_of(source, arrays, row)
        alt = f"{arm}: attribution of {explained_of(source, arrays, row)}, label {label_of(source, arrays, row)}"
        cells.append(Cell(_pictures.of_map(phi, x), alt + (f", {note}" if note else ""), note, wrong))
    return cells


def _passages(source: Source, found: Sequence[tuple[str, Arrays]]) -> list[Any]:
    vocabulary = source.metrics["data"]["vocabulary"]
    first = found[0][1]
    blocks: list[Any] = [
        Passage(
            f"Text {row + 1}, label {label_of(source, first, row)}; explained: {explained_of(source, first, row)}",
            [(_heading(source, name, arrays, row), words(arrays, row, vocabulary)) for name, arrays in found],
        )
        for row in range(min(_TEXTS, len(first["inputs"])))
    ]
    return [
        Scale("against what is explained (dotted line below)", "for it (solid line below)"),
        *blocks,
        Text(
            f"Colours are relative to the strongest word of each text and arm. Texts are cut after {_WORDS} words.",
            note=True,
        ),
    ]


def _heading(source: Source, name: str, arrays: Arrays, row: int) -> str:
    note, _ = note_of(source, arrays, row)
    return f"{name} ({note})" if note else name


def words(arrays: Mapping[str, np.ndarray], row: int, vocabulary: Sequence[str]) -> list[Word]:
    """The words of an example, padding left out, with their attribution as a share of the strongest."""
    numbers, phi = arrays["inputs"][row], arrays["maps"][row]
    if phi.shape != numbers.shape:
        return [Word(vocabulary[int(i)], 0.0) for i in numbers[:_WORDS] if i]
    most = float(np.abs(phi).max()) or 1.0
    pairs = [(int(i), float(value) / most) for i, value in zip(numbers, phi, strict=True) if i]
    return [Word(vocabulary[i], value) for i, value in pairs[:_WORDS]]
