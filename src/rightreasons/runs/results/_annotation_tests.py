"""Compare a learned prior, split by split, with external annotation.

Legend: S splits, p features.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from rightreasons import data, stats
from rightreasons.core._errors import InputError, RecipeError, RightReasonsError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._text import text_of
from rightreasons.recipes import Recipe
from rightreasons.runs.results._learned import importances

_SETS_KEPT, _FEWEST, _MOST = 20, 10, 200
_SAME = 6
"""Digits of g, as a share of the largest, in which features must differ to be ranked."""


@dataclass(frozen=True)
class Elsewhere:
    """What a recipe says of features in `explain`.

    Args:
        sets: members of each set, features of the data; empty if none were supplied.
        relevant: which of the features matter; None where that is not known.
    """

    sets: Mapping[str, Collection[str]]
    relevant: Bool[np.ndarray, " p"] | None

    @classmethod
    def of(cls, recipe: Recipe, features: Sequence[str], train: data.DataSet) -> "Elsewhere | None":
        """For these features, which may go by the columns they were made from; None where the recipe says nothing.

        Raises: RecipeError if a file cannot be read, names are none of the data's, or nothing could be tested.
        """
        asked = recipe.explain
        if asked.sets is None and not asked.relevant:
            return None
        owner = {train.feature_names[i]: name for name, made in train.groups.items() for i in made}
        try:
            sets = {} if asked.sets is None else data.read_gmt(recipe.path_of(asked.sets))
            inside = {name: _named(set(of), features, owner) for name, of in sets.items()}
            if sets:
                stats.enrichment(features[:1], features, inside)  # refuses what could not be tested
        except RightReasonsError as error:
            raise RecipeError(f"explain.sets: {error}") from error
        return cls(inside, _relevant(recipe, features, owner) if asked.relevant else None)

    def found(self, learned: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What came of holding g of several splits against it, as plain numbers.

        recovery: on each split, the probability that |g| (of sizes: g) of a feature that matters is above one's that
        does not. enrichment: of the features on top by the mean over splits, a twentieth of them and between 10 and
        200; fewer rather than some of several with the same g.
        """
        features, values_Sp = importances(learned)
        signed = learned[0].get("signed", True)
        found: dict[str, Any] = {"features": len(features)}
        if self.relevant is not None:
            sizes = [_rounded(_size(row, signed)) for row in values_Sp]
            found["relevant"] = int(self.relevant.sum())
            found["recovery"] = [stats.recovery_auc(row, self.relevant) for row in sizes]
        if self.sets:
            chosen = [features[i] for i in _top(_size(values_Sp.mean(0), signed))]
            tested = stats.enrichment(chosen, features, self.sets) if chosen else []
            found |= {"top": len(chosen), "tested": len(tested)}
            found["enrichment"] = [asdict(each) for each in tested[:_SETS_KEPT]]
        return found


def held_against(recipe: Recipe, arms: Sequence[dict[str, Any]], train: data.DataSet) -> None:
    """Add `held_against` to the summary of every arm that learned a prior, if the recipe knows more of features."""
    for arm in arms:
        if arm["learned"]:
            elsewhere = Elsewhere.of(recipe, importances(arm["learned"])[0], train)
            arm["held_against"] = elsewhere and elsewhere.found(arm["learned"])


def require_elsewhere(recipe: Recipe, train: data.DataSet) -> None:
    """Raise a RecipeError if what the recipe says of features in `explain` cannot be used."""
    terms = [term for arm in recipe.arms for term in arm.terms]
    learning = [term for term in terms if term.prior is not None and term.prior.name == "learned"]
    if not learning and (recipe.explain.sets or recipe.explain.relevant):
        raise RecipeError(
            "explain.sets and explain.relevant are what learned priors are held against, and no arm has one. Leave "
            "them out, or add a term of the prior learned."
        )
    for on in {term.on for term in learning}:
        Elsewhere.of(recipe, tuple(train.groups) if on == "columns" else train.feature_names, train)


def _relevant(recipe: Recipe, features: Sequence[str], owner: Mapping[str, str]) -> Bool[np.ndarray, " p"]:
    said = recipe.explain.relevant
    names = _lines(recipe.path_of(said)) if isinstance(said, str) else said
    known = dict.fromkeys([*features, *(owner.get(each, each) for each in features)])
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RecipeError(
            f"explain.relevant: {len(unknown)} of {len(names)} names are no column of the data. "
            f"The first is {unknown[0]!r}. {did_you_mean(unknown[0], known)}"
        )
    truth = np.isin(features, _named(set(names), features, owner))
    try:
        stats.recovery_auc(np.zeros(len(features)), truth)
    except InputError as error:
        raise RecipeError(f"explain.relevant: {error}") from error
    return truth


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in text_of(path).split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"explain.relevant: {path} cannot be read as text, one name on each line: {error}."
        ) from error


def _named(names: Collection[str], features: Sequence[str], owner: Mapping[str, str]) -> list[str]:
    """Features that are named, or made from a column that is."""
    return [each for each in features if each in names or owner.get(each) in names]


def _size(values: Float[np.ndarray, " p"], signed: bool) -> Float[np.ndarray, " p"]:
    """How much g says that a feature matters; without signs g is a size itself."""
    return np.abs(values) if signed else values


def _rounded(size: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Features with the same meta-features have the same g but for rounding."""
    largest = float(np.abs(size).max())
    return np.round(size / largest, _SAME) if largest else size


def _top(size: Float[np.ndarray, " p"]) -> list[int]:
    """Positions of the features on top, none of which is as large as one that is left out."""
    p = len(size)
    count = max(1, min(_MOST, max(_FEWEST, p // 20), p // 2))
    size = _rounded(size)
    order = np.argsort(-size, kind="stable")
    first_out = size[order[count]] if count < p else -np.inf
    return [int(i) for i in order[:count] if size[i] > first_out]
