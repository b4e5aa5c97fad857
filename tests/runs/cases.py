"""A recipe that runs in a second or two, and its finished run."""

from pathlib import Path

from rightreasons import runs
from rightreasons.recipes import Recipe, parse

IMAGES = """
name: tiny
title: A tiny run
description: For tests.
demo: true
data: {name: digits, train: 60, validation: 40, test: 60, splits: 2}
model: {name: mlp, hidden: [16]}
training: {epochs: 2, batch_size: 30}
noise: {gaussian: [0, 0.2], salt_and_pepper: [0.1]}
explain: {rows: 12, attribution: {name: expected_gradients, samples: 8}}
arms:
  - {name: Plain, description: the network alone}
  - {name: Smooth <b>, terms: [{prior: total_variation, rows: 0.5}], weights: [0.001, 0.01]}
  - {name: Decay, terms: [{regulariser: weight_l1}], weights: [0.1, 1]}
"""

TABLE = """
name: tiny-table
data: {name: nhefs, train: 60, validation: 40, test: 50, splits: 2}
model: {name: mlp, hidden: [8]}
training: {epochs: 3}
explain: {rows: 10, attribution: {name: expected_gradients, samples: 8}}
arms:
  - {name: Plain}
  - {name: Sparse, terms: [{prior: gini}], weights: [0.1]}
"""


def images() -> Recipe:
    return parse(IMAGES)


def table() -> Recipe:
    return parse(TABLE)


def finished(folder: Path, recipe: Recipe) -> runs.RunDirectory:
    """A finished run, made in this process."""
    return runs.run(recipe, folder / recipe.name, workers=0)
