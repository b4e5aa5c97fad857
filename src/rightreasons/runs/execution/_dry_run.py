"""Dry run: reject invalid arms before training."""

import math
from typing import Any

import torch
from torch import Tensor

from rightreasons import data, tasks
from rightreasons.core._errors import DataError, RecipeError, RightReasonsError
from rightreasons.core._extras import require
from rightreasons.recipes import Recipe
from rightreasons.runs.execution._trainers import way_of
from rightreasons.runs.results._annotation_tests import require_elsewhere
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import parts, rows_of, splits_of
from rightreasons.runs.setup._terms import attribution_of

_COARSEST = 0.01  # standard deviations of the label


def rehearse(recipe: Recipe, devices: int = 1) -> None:
    """One step of every arm on a few rows, trained as the recipe says, and one explanation.

    Raises: RecipeError naming the arm, or the data set, and why.
    """
    try:
        if "tensorboard" in recipe.loggers:
            require("tensorboard", "tensorboard")
        _require_labels(recipe)
        found = parts(recipe, 0)
        require_elsewhere(recipe, found.train)
        task = material.task_of(recipe, found.train)
        model = material.model_of(recipe, material.Form.of(found.train, task), seed=0)
    except RightReasonsError as error:
        raise RecipeError(f"{recipe.name}: {_line(error)}") from error
    for arm in recipe.arms:
        try:
            way_of(arm).rehearse(recipe, found, task, devices)
        except (
            RightReasonsError,
            ValueError,
            TypeError,
        ) as error:  # torch checks its optimisers' numbers itself
            raise RecipeError(f"{recipe.name}: arm {arm.name!r}: {_line(error)}") from error
    try:
        method = attribution_of(recipe.explain.attribution, found.train.x)
        two = found.train.rows(torch.arange(2))
        _require_on_inputs(method(model, two.x, task.explained(two.y)), two.x)
    except RightReasonsError as error:
        raise RecipeError(f"{recipe.name}: explain: {_line(error)}") from error


def _require_on_inputs(maps: Any, x: Tensor) -> None:
    """Raise unless maps of a table or of pictures have their shape, or one channel."""
    got = list(maps.shape[1:]) if isinstance(maps, Tensor) else [0]
    shown = x.is_floating_point() and x.ndim in (2, 4)
    if shown and (got[1:] != list(x.shape[2:]) or got[0] not in (1, x.shape[1])):
        raise RecipeError(
            f"maps must be of the inputs' shape {tuple(x.shape[1:])} to be shown on them, or have one channel; got "
            f"{tuple(got)}. Leave out at, or upsample the map."
        )


def _require_labels(recipe: Recipe) -> None:
    """On every split, labels that something can be learned from, and by which it can be judged."""
    rows, task = rows_of(recipe), material.task_of(recipe)
    if isinstance(task, tasks.Regression):
        _require_fine(rows.y.double())
    balanced = recipe.task is not None and "balanced" in recipe.task.fields.values()
    for number, split in enumerate(splits_of(recipe)):
        for name, part in zip(data.Split._fields, split, strict=True):
            _require_judged(task, rows.rows(part), f"{name} rows of split {number}")
        if balanced:
            material.task_of(recipe, rows.rows(split.train))


def _require_fine(y: Tensor) -> None:
    """Raise unless single precision, in which every model answers, tells labels apart where they lie."""
    far, spread = float(y.abs().max()), float(y.std(correction=0))
    step = far * torch.finfo(torch.float32).eps
    if step > _COARSEST * spread:
        raise DataError(
            f"labels lie as far from 0 as {far:.10g} and have a standard deviation of {spread:.4g}; predictions are in "
            f"single precision, whose steps are about {step:.4g} there. Give the label as a difference from an origin "
            f"near {float(y.mean()):.4g}, or in smaller units (logarithms)."
        )


def _require_judged(task: tasks.Task, rows: data.DataSet, which: str) -> None:
    """Raise unless the headline metric exists for these labels: it does for any outputs, or for none."""
    outputs = torch.randn(
        len(rows), material.Form.of(rows, task).outputs, generator=torch.Generator().manual_seed(0)
    )
    if len(rows) and math.isfinite(task.metrics(outputs, rows.y)[task.headline]):
        return
    raise DataError(
        f"the {len(rows)} {which} have no {task.headline}, whatever is predicted: there are none, their labels are all "
        "alike, or (survival) no two times can be compared. Use more rows there (data.train, validation, test), keep "
        "data.stratify, or move rows in the column that names the parts."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
