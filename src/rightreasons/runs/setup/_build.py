"""Resolve a recipe, and build its task and model."""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from rightreasons import data, models, tasks
from rightreasons.core._errors import RecipeError
from rightreasons.core.files._disk import digest_of
from rightreasons.recipes import Recipe
from rightreasons.recipes._schema import TaskName
from rightreasons.runs.setup._datasets import rows_of


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with the task and number of splits that its data ask for, if it says none, and digests of its files.

    Raises: RecipeError if a file is not the one that the recipe's results came from.
    """
    files = digests(recipe)
    for key, digest in recipe.files.items():
        if files.get(key) != digest:
            raise RecipeError(
                f"{recipe.name}: the {key} of this run had the digest {digest} and has {files.get(key)} now, so the "
                "results would be others. Put the file back, or remove files: from the recipe to start anew."
            )
    changes: dict[str, Any] = {"files": files}
    if recipe.names_files and recipe.folder is None:  # a recipe that was never a file
        changes["folder"] = str(Path.cwd())
    if "splits" not in recipe.data.model_fields_set and "validation" in rows_of(recipe).parts:
        changes["data"] = recipe.data.model_copy(update={"splits": 1})  # all would be the same
    if recipe.task is None:
        name, fields = rows_of(recipe).task()
        changes["task"] = TaskName.model_validate({"name": name, **fields})
    return recipe.model_copy(update=changes)


def digests(recipe: Recipe) -> dict[str, str]:
    """A digest of every file of the user's own that results depend on, by what it is.

    Raises: DataError or RecipeError if there is no such file.
    """
    found = {key: digest_of(path) for key, path in files_of(recipe).items()}
    if recipe.pretrained.weights is not None:
        found["weights"] = digest_of(recipe.path_of(recipe.pretrained.weights))
    if recipe.model.is_code:
        found["model"] = digest_of(models.file_of(recipe.model.name, _code_folder(recipe)))
    for path in dict.fromkeys(path for arm in recipe.arms for path in arm.files):
        found[f"file {path}"] = digest_of(recipe.path_of(path))
    return found


def files_of(recipe: Recipe) -> dict[str, Path]:
    """Files and folders that rows are read from, as digests name them; none of a named set."""
    if recipe.data.path is None:
        return {}
    path = recipe.path_of(recipe.data.path)
    return {"data": path} | ({} if recipe.data.labels is None else {"labels": path / recipe.data.labels})


def _code_folder(recipe: Recipe) -> str:
    if recipe.code is None:
        raise RecipeError(
            f"{recipe.name}: the network {recipe.model.name!r} is code, and code that a run brings along is not run "
            "unasked. Read it first; then say --trust (in Python trust=True), and where the file is, --code DIR."
        )
    return recipe.code


def task_of(recipe: Recipe, train: data.DataSet | None = None) -> tasks.Task:
    """The task of a resolved recipe; balanced classes are weighed as the training rows say, without them alike."""
    named = resolve(recipe).task if recipe.task is None else recipe.task
    if named is None:
        raise RecipeError("the recipe has no task. Say task: binary, multiclass or regression.")
    weighed = {key: None for key, value in named.fields.items() if value == "balanced"}
    task = tasks.build(named.name, named.fields | weighed)
    return tasks.balanced(task, train.y) if weighed and train is not None else task


_WEIGHTS = ("weights", "positive_weights")
"""Fields in which tasks with classes, and with labels, hold how much each counts in the loss."""


def class_weights(task: tasks.Task) -> tuple[float, ...] | None:
    """How much each class, or label, counts in the loss; None if all count alike."""
    return next((getattr(task, name) for name in _WEIGHTS if getattr(task, name, None) is not None), None)


def weighed(task: tasks.Task, saved: Mapping[str, np.ndarray]) -> tasks.Task:
    """The task with the class weights that a network was trained with, as its predictions file holds them."""
    if "class_weights" not in saved or not (is_dataclass(task) and not isinstance(task, type)):
        return task
    name = next(each for each in _WEIGHTS if hasattr(task, each))
    return replace(task, **{name: tuple(saved["class_weights"].tolist())})


@dataclass(frozen=True)
class Form:
    """What a network has to fit: the shape of a row, the numbers the task needs, the words that integers stand for."""

    shape: tuple[int, ...]
    outputs: int
    vocabulary: int | None = None

    @classmethod
    def of(cls, rows: data.DataSet, task: tasks.Task) -> "Form":
        """The form of these rows, as the model sees them."""
        outputs = getattr(task, "classes", None) or getattr(task, "labels", None) or 1
        return cls(tuple(rows.x.shape[1:]), int(outputs), len(rows.vocabulary) or None)


def model_of(recipe: Recipe, form: Form, seed: int) -> nn.Module:
    """A network of this form, its weights drawn from the seed, or from a file where the recipe names one."""
    own = _code_folder(recipe) if recipe.model.is_code else None
    model = models.seeded(
        lambda: models.build(
            recipe.model.name,
            recipe.model.fields,
            shape=form.shape,
            outputs=form.outputs,
            vocabulary=form.vocabulary,
            folder=own,
        ),
        seed,
    )
    start = recipe.pretrained
    if start.weights is not None:
        models.load_weights(model, recipe.path_of(start.weights), start.skip)
    if start.freeze:
        models.freeze(model, start.freeze)
    return model
