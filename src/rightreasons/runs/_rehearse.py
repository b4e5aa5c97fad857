"""What cannot run is said before anything is trained."""

from typing import Any

import torch
from torch import Tensor

from rightreasons.core._errors import RecipeError, RightReasonsError
from rightreasons.recipes import Recipe
from rightreasons.recipes._extras import require
from rightreasons.runs import _material as material
from rightreasons.runs._rows import index_of, parts, require_splits, rows_of
from rightreasons.runs._terms import attribution_of
from rightreasons.runs._ways import way_of


def rehearse(recipe: Recipe, devices: int = 1) -> None:
    """One step of every arm on a few rows, trained as the recipe says, and one explanation.

    Raises: RecipeError naming the arm, or the data set, and why.
    """
    try:
        if "tensorboard" in recipe.loggers:
            require("tensorboard", "tensorboard")
        require_splits(recipe)
        found = parts(recipe, 0)
        _require_balance(recipe)
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


def _require_balance(recipe: Recipe) -> None:
    """Balanced weights exist on every split."""
    if recipe.task is not None and "balanced" in recipe.task.fields.values():
        for split in range(recipe.data.splits):
            material.task_of(recipe, rows_of(recipe).rows(index_of(recipe, split).train))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
