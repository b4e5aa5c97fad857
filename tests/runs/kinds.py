"""A small data set of every kind that recipes know, each with something to find, and a recipe for each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from rightreasons import data, runs
from rightreasons.data import Column, DataSet
from rightreasons.recipes import parse
from tests.runs.cases import finished

ROWS = 120


def _table(generator: torch.Generator) -> tuple[torch.Tensor, tuple[Column, ...]]:
    x = torch.randn(ROWS, 6, generator=generator)
    return x, tuple(Column(f"lab {i}", f"value {i}, mmol/L") for i in range(6))


def regression(generator: torch.Generator) -> DataSet:
    x, columns = _table(generator)
    return DataSet("a-regression", x, 3 + 2 * x[:, 0] - x[:, 1], columns=columns)


def survival(generator: torch.Generator) -> DataSet:
    x, columns = _table(generator)
    time = (-x[:, 0] + 0.3 * torch.randn(ROWS, generator=generator)).exp()
    event = (torch.rand(ROWS, generator=generator) < 0.7).float()
    return DataSet("a-survival", x, torch.stack([time, event], 1), columns=columns, labels=("time", "event"))


def multiclass_table(generator: torch.Generator) -> DataSet:
    x, columns = _table(generator)
    return DataSet("three-classes", x, x[:, :3].argmax(1), columns=columns, classes=("low", "mid", "high"))


def multilabel(generator: torch.Generator) -> DataSet:
    x, columns = _table(generator)
    return DataSet(
        "three-labels", x, (x[:, :3] > 0.3).to(torch.int64), columns=columns, labels=("red", "green", "blue")
    )


def sequences(generator: torch.Generator) -> DataSet:
    y = torch.arange(ROWS) % 3
    x = 0.3 * torch.randn(ROWS, 2, 24, generator=generator)
    for row, label in enumerate(y.tolist()):
        x[row, 0, 8 * label : 8 * label + 4] += 2
    return DataSet("bumps", x, y, classes=("early", "middle", "late"))


WORDS = ("", "good", "bad", "film", "the", "a", "plot", "was", "and", "dull", "bright", "it")


def text(generator: torch.Generator) -> DataSet:
    y = torch.arange(ROWS) % 2
    x = torch.randint(3, len(WORDS), (ROWS, 10), generator=generator)
    x[torch.arange(ROWS), torch.randint(0, 6, (ROWS,), generator=generator)] = 2 - y
    x[:, 8:] = 0
    return DataSet("reviews", x, y, classes=("against", "for"), vocabulary=WORDS)


def unnamed(generator: torch.Generator) -> DataSet:
    x = torch.randn(ROWS, 6, generator=generator)
    return DataSet("unnamed", x, (x[:, 0] > 0).to(torch.int64), classes=("no", "yes"))


_MAKE: dict[str, Callable[[torch.Generator], DataSet]] = {
    "regression": regression, "survival": survival, "multiclass-table": multiclass_table, "multilabel": multilabel,
    "sequences": sequences, "text": text, "unnamed": unnamed,
}  # fmt: skip
NAMES = tuple(_MAKE)
_NETWORKS = {
    "sequences": "{name: gru, width: 8, hidden: 8}",
    "text": "{name: gru, width: 8, hidden: 8}",
}
_AT = {"text": ", at: positions.embedding"}
_RECIPE = """
name: a-{kind}
data: {{name: kind-{kind}, train: 60, validation: 30, test: 30, splits: 2}}
model: {model}
training: {{epochs: 12, optimizer: {{name: adam, lr: 0.02}}}}
explain: {{rows: 24, examples: 6, attribution: {{name: expected_gradients, samples: 8{at}}}}}
arms:
  - {{name: Plain}}
  - name: Small attributions
    terms: [{{prior: l1, attribution: {{name: expected_gradients, samples: 1{at}}}}}]
    weights: [0.01]
"""


@contextmanager
def known() -> Iterator[None]:
    """The named data sets, and these."""
    load, names = data.load, data.names()

    def loaded(name: str) -> DataSet:
        kind = name.removeprefix("kind-")
        return _MAKE[kind](torch.Generator().manual_seed(0)) if kind in _MAKE else load(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rightreasons.data.load", loaded)
        patch.setattr("rightreasons.data.names", lambda: (*names, *(f"kind-{kind}" for kind in _MAKE)))
        yield


def run_of(kind: str, folder: Path) -> runs.RunDirectory:
    """A finished run on the data set of that kind."""
    model = _NETWORKS.get(kind, "{name: mlp, hidden: [8]}")
    with known():
        return finished(
            folder,
            parse(_RECIPE.format(kind=kind, model=model, at=_AT.get(kind, ""))),
        )
