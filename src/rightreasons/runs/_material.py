"""From a recipe to what is trained: task, model, terms."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rightreasons import data, models, tasks, training
from rightreasons.core._errors import RecipeError, RightReasonsError
from rightreasons.recipes import Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._schema import TaskName
from rightreasons.runs._files import digest_of
from rightreasons.runs._rows import parts, require_splits, rows_of
from rightreasons.runs._terms import attribution_of, terms_of


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with the task that its data set asks for, if it names none, and digests of the files it uses.

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
    if recipe.task is None:
        name, fields = rows_of(recipe).task()
        changes["task"] = TaskName.model_validate({"name": name, **fields})
    return recipe.model_copy(update=changes)


def digests(recipe: Recipe) -> dict[str, str]:
    """A digest of every file of the user's own that results depend on, by what it is.

    Raises: DataError or RecipeError if there is no such file.
    """
    found = {}
    if recipe.data.path is not None:
        found["data"] = digest_of(recipe.path_of(recipe.data.path))
    if recipe.pretrained.weights is not None:
        found["weights"] = digest_of(recipe.path_of(recipe.pretrained.weights))
    if recipe.model.is_code:
        found["model"] = digest_of(models.file_of(recipe.model.name, _code_folder(recipe)))
    for path in dict.fromkeys(path for arm in recipe.arms for path in arm.files):
        found[f"file {path}"] = digest_of(recipe.path_of(path))
    return found


def _code_folder(recipe: Recipe) -> str:
    if recipe.code is None:
        raise RecipeError(
            f"{recipe.name}: the network {recipe.model.name!r} is code, and code that a run brings along is not run "
            "unasked. Read it first; then say --trust (in Python trust=True), and where the file is, --code DIR."
        )
    return recipe.code


def task_of(recipe: Recipe) -> tasks.Task:
    """The task of a resolved recipe."""
    named = resolve(recipe).task if recipe.task is None else recipe.task
    if named is None:
        raise RecipeError("the recipe has no task. Say task: binary, multiclass or regression.")
    return tasks.build(named.name, named.fields)


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


def rehearse(recipe: Recipe) -> None:
    """One step of every arm on a few rows, so that what cannot run is said before anything is trained.

    Raises: RecipeError naming the arm, or the data set, and why.
    """
    try:
        require_splits(recipe)
        found, task = parts(recipe, 0), task_of(recipe)
        few = found.train.rows(torch.arange(min(8, len(found.train))))
        model = model_of(recipe, Form.of(found.train, task), seed=0)
    except RightReasonsError as error:
        raise RecipeError(f"{recipe.name}: {_line(error)}") from error
    how = recipe.training.optimizer
    try:
        names.optimizer(how.name, how.fields)(model.parameters())
    except (ValueError, TypeError) as error:  # torch checks its own numbers
        raise RecipeError(f"{recipe.name}: training.optimizer: {_line(error)}") from error
    for arm in recipe.arms:
        try:
            terms = terms_of(recipe, arm, arm.weights[-1] if arm.weights else None, split=0)
            guidance = None if terms.guidance is None else terms.guidance[: len(few)]
            training.Objective(model, task, terms.terms)(few.x, few.y, guidance=guidance).total.backward()
        except RightReasonsError as error:
            raise RecipeError(f"{recipe.name}: arm {arm.name!r}: {_line(error)}") from error
    try:
        method = attribution_of(recipe.explain.attribution, found.train.x)
        maps = method(model, few.x[:2], task.explained(few.y[:2]))
        _require_on_inputs(maps, few.x)
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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
