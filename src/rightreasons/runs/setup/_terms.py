"""Build the terms of an arm's loss on the data of one split."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rightreasons import attribution, data, priors, training
from rightreasons.core._errors import RecipeError
from rightreasons.recipes import Arm, Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._arms import AttributionName, TermOf
from rightreasons.recipes._data_priors import Belief, Known, Wrong
from rightreasons.runs.setup._datasets import Parts, index_of, masks_of, parts, precise, rows_of
from rightreasons.runs.setup._plan import seed_of


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of one fit, with what the optimizer is told of those that learn.

    Args:
        terms: next to the task's loss.
        guidance: of the training rows, where a prior needs any.
        options: learning rate and weight decay of terms that learn; None: none does.
    """

    terms: list[training.Term]
    guidance: Tensor | None = None
    options: Mapping[str, float] | None = None


def terms_of(recipe: Recipe, arm: Arm, weight: float | None, split: int) -> Terms:
    """The arm's terms at one weight, on the training rows of a split.

    Raises: RecipeError if they do not fit the data, or need two kinds of guidance.
    """
    if not arm.terms or weight is None:
        return Terms([])
    found = parts(recipe, split)
    terms = [_term(recipe, term, weight, found, i, split) for i, term in enumerate(arm.terms)]
    options = _options(arm)
    guided = [term for term in arm.terms if term.guidance is not None]
    if not guided:
        return Terms(terms, options=options)
    if any((term.guidance, term.on) != (guided[0].guidance, guided[0].on) for term in guided):
        raise RecipeError("the terms of one arm share their guidance: say the same masks in each of them.")
    return Terms(terms, _guidance(recipe, guided[0], found, split), options)


def _options(arm: Arm) -> Mapping[str, float] | None:
    """Of the prior that learns; several would need optimizers of their own.

    Raises: RecipeError for two that differ.
    """
    learned = [
        names.build("prior", term.prior.name, term.prior.fields).options
        for term in arm.terms
        if term.prior is not None and term.prior.name == "learned"
    ]
    if any(each != learned[0] for each in learned):
        raise RecipeError(
            "learned priors of one arm share lr and weight_decay. Say the same in each of them."
        )
    return learned[0] if learned else None


def attribution_of(named: AttributionName, references: Tensor) -> attribution.Attribution:
    """The method, with training rows as references where it takes any."""
    kind = named.fields.get("references", "none")
    if kind == "none":
        return names.build("attribution", named.name, named.fields)
    return names.build(
        "attribution", named.name, named.fields, references=references if kind == "train" else "batch"
    )


def _term(
    recipe: Recipe, term: TermOf, weight: float, found: Parts, position: int, split: int
) -> training.Term:
    strength = _strength(term, weight * term.factor)
    if term.regulariser is not None:
        label = f"{term.regulariser.name}_{position}"
        fields = term.regulariser.fields
        return names.build(
            "regulariser", term.regulariser.name, fields, weight=strength, every=term.every, label=label
        )
    if term.prior is None or term.attribution is None:
        raise RecipeError("a term needs a prior and an attribution, or a regulariser.")
    return training.Penalty(
        attribution_of(term.attribution, precise(found.train.x, recipe)),
        _prior(recipe, term, found.train, split),
        weight=strength,
        rows=term.rows,
        draws=term.draws,
        every=term.every,
        label=f"{term.prior.name}_{position}",
    )


def _strength(term: TermOf, weight: float) -> training.Weight:
    fields = term.schedule.fields
    if term.schedule.name == "ramp":
        return training.Ramp(**(fields | {"end": weight, "start": weight * fields["start"]}))
    return training.Auto(ratio=weight, **fields) if term.schedule.name == "auto" else weight


def _prior(recipe: Recipe, term: TermOf, train: data.DataSet, split: int) -> priors.Prior:
    name, fields = (term.prior.name, term.prior.fields) if term.prior else ("", {})
    if term.on == "columns" and not train.columns:
        raise RecipeError("on: columns is for tables, and the data are none. Leave it out.")
    made = names.build("prior", name, fields)
    if isinstance(made, Belief):
        groups, features = train.groups, train.feature_names
        if term.on == "columns":
            groups, features = {key: (i,) for i, key in enumerate(groups)}, tuple(groups)
        known = Known(groups, features, recipe.path_of("."), partial(_training_rows, recipe, split))
        made = made.prior(known, _wrong(recipe, term, split))
    return priors.Grouped(made, train.groups) if term.on == "columns" else made


def _training_rows(recipe: Recipe, split: int) -> data.DataSet:
    return rows_of(recipe).rows(index_of(recipe, split).train)


def _wrong(recipe: Recipe, term: TermOf, split: int) -> Wrong | None:
    """The control of a term: the same for every trial of a split, another for each split."""
    if term.control is None:
        return None
    seed = seed_of(recipe.seed, "control", term.control, split)
    return Wrong(term.control, torch.Generator().manual_seed(seed))


def _guidance(recipe: Recipe, term: TermOf, found: Parts, split: int) -> Tensor:
    """Guidance of the training rows, along features or columns as the prior sees them."""
    asked = term.guidance
    if asked is None:
        raise RecipeError("there is no guidance.")
    masks = masks_of(recipe, asked)[index_of(recipe, split).train]
    if found.preprocessing is not None:
        masks = _along_columns(masks, rows_of(recipe), found.train, term.on == "columns")
    wrong = _wrong(recipe, term, split)
    return masks if wrong is None else _elsewhere(masks, wrong.generator)


def _along_columns(masks: Tensor, raw: data.DataSet, seen: data.DataSet, on_columns: bool) -> Tensor:
    """Columns of the raw table as the columns, or features, that the prior sees."""
    position = {name: i for i, name in enumerate(raw.feature_names)}
    if masks.shape[1] == 1:
        return masks
    if on_columns:
        return masks[:, [position[name] for name in seen.groups]]
    return masks[:, [position[column.source or column.name] for column in seen.columns]]


def _elsewhere(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Each mask at a random place: pictures are shifted around their edges, other masks shuffled."""
    size = tuple(masks.shape[-2:]) if masks.ndim == 4 else (masks.shape[-1],)
    moved = []
    for mask in masks:
        if len(size) == 2:
            by = [int(torch.randint(1, max(n, 2), (), generator=generator)) for n in size]
            moved.append(mask.roll(by, dims=(-2, -1)))
        else:
            moved.append(mask[..., torch.randperm(size[0], generator=generator)])
    return torch.stack(moved)
