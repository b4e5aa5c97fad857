"""From a recipe to what is trained: data of a split, task, model, terms."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from rightreasons import attribution, data, models, priors, tasks, training
from rightreasons.core._errors import RecipeError, RightReasonsError
from rightreasons.recipes import Arm, Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._schema import AttributionName, Data, TaskName, TermOf


@dataclass(frozen=True, eq=False)
class Parts:
    """The three parts of one split, as the model sees them; `preprocessing` is None for images."""

    train: data.DataSet
    validation: data.DataSet
    test: data.DataSet
    preprocessing: data.Preprocessing | None = None


@lru_cache(maxsize=2)
def load(name: str) -> data.DataSet:
    """The named data set, read once in each process."""
    return data.load(name)


def parts(recipe: Recipe, split: int) -> Parts:
    """Data of a split; preprocessing is fitted on its training rows only.

    Raises: DataError if the split cannot be made.
    """
    return _parts(recipe.data.model_dump_json(exclude={"splits"}), recipe.seed, split)


@lru_cache(maxsize=4)
def _parts(asked_json: str, seed: int, split: int) -> Parts:
    asked = Data.model_validate_json(asked_json)
    rows = load(asked.name)
    if asked.bounds is not None:
        rows = data.rescale(rows, asked.bounds)
    chosen = data.splits(
        rows, split + 1, asked.train, asked.validation, asked.test, seed=seed, stratify=asked.stratify
    )
    index = next(islice(chosen, split, None))
    train, validation, test = (rows.rows(part) for part in index)
    if not rows.columns:
        return Parts(train, validation, test)
    fitted = data.Preprocessing.fit(train, **asked.preprocessing.model_dump())
    return Parts(fitted(train), fitted(validation), fitted(test), fitted)


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with the task that its data set asks for, if it names none."""
    if recipe.task is not None:
        return recipe
    found = load(recipe.data.name)
    if len(found.classes) == 2:
        task: dict[str, Any] = {"name": "binary"}
    elif found.classes:
        task = {"name": "multiclass", "classes": len(found.classes)}
    else:
        task = {"name": "regression"}
    return recipe.model_copy(update={"task": TaskName.model_validate(task)})


def task_of(recipe: Recipe) -> tasks.Task:
    """The task of a resolved recipe."""
    named = resolve(recipe).task
    if named is None:
        raise RecipeError("the recipe has no task. Say task: binary, multiclass or regression.")
    return tasks.build(named.name, named.fields)


def model_of(recipe: Recipe, row: Tensor, seed: int) -> nn.Module:
    """A fresh network for rows of this shape, its weights drawn from the seed."""
    task, fields = task_of(recipe), recipe.model.fields
    outputs = getattr(task, "classes", None) or getattr(task, "labels", None) or 1
    return models.seeded(
        lambda: models.build(recipe.model.name, fields, shape=tuple(row.shape), outputs=int(outputs)), seed
    )


def terms_of(arm: Arm, weight: float | None, references: Tensor) -> list[training.Term]:
    """The arm's terms at one weight."""
    return [_term(term, weight, references, i) for i, term in enumerate(arm.terms)] if weight else []


def attribution_of(named: AttributionName, references: Tensor) -> attribution.PathAttribution:
    """The method, with training rows as references where it takes any."""
    if named.name != "expected_gradients":
        return names.build("attribution", named.name, named.fields)
    kind = named.fields["references"]
    return names.build(
        "attribution", named.name, named.fields, references=references if kind == "train" else "batch"
    )


def _term(term: TermOf, weight: float, references: Tensor, position: int) -> training.Term:
    strength = weight * term.factor
    if term.regulariser is not None:
        label = f"{term.regulariser.name}_{position}"
        return names.build(
            "regulariser",
            term.regulariser.name,
            term.regulariser.fields,
            weight=strength,
            every=term.every,
            label=label,
        )
    if term.prior is None or term.attribution is None:
        raise RecipeError("a term needs a prior and an attribution, or a regulariser.")
    prior: priors.Prior = names.build("prior", term.prior.name, term.prior.fields)
    return training.Penalty(
        attribution_of(term.attribution, references),
        prior,
        weight=strength,
        rows=term.rows,
        draws=term.draws,
        every=term.every,
        label=f"{term.prior.name}_{position}",
    )


def rehearse(recipe: Recipe) -> None:
    """One step of every arm on a few rows, so that what cannot run is said before anything is trained.

    Raises: RecipeError naming the arm, or the data set, and why.
    """
    try:
        found = parts(recipe, 0)
        few = found.train.rows(torch.arange(min(8, len(found.train))))
        model, task = model_of(recipe, few.x[0], seed=0), task_of(recipe)
    except RightReasonsError as error:
        raise RecipeError(f"{recipe.name}: {_line(error)}") from error
    how = recipe.training.optimizer
    try:
        names.optimizer(how.name, how.fields)(model.parameters())
    except (ValueError, TypeError) as error:  # torch checks its own numbers
        raise RecipeError(f"{recipe.name}: training.optimizer: {_line(error)}") from error
    for arm in recipe.arms:
        try:
            terms = terms_of(arm, arm.weights[-1] if arm.weights else None, found.train.x)
            training.Objective(model, task, terms)(few.x, few.y).total.backward()
        except RightReasonsError as error:
            raise RecipeError(f"{recipe.name}: arm {arm.name!r}: {_line(error)}") from error
    try:
        method = attribution_of(recipe.explain.attribution, found.train.x)
        method(model, few.x[:2], task.explained(few.y[:2]))
    except RightReasonsError as error:
        raise RecipeError(f"{recipe.name}: explain: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
