"""Controls of a belief: the same arm with random knowledge of the same size."""

from collections.abc import Mapping

from rightreasons.core._errors import RecipeError
from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes import _names
from rightreasons.recipes._arms import Arm, TermOf
from rightreasons.recipes._schema import Recipe

_SHRINKING: Mapping[str, tuple[str, dict[str, str]]] = {
    "weight_l1": ("L1 of all weights", {"name": "weight_l1"}),
    "first_layer_l1": ("L1 of the first layer", {"name": "weight_l1", "layers": "first"}),
    "group_lasso": ("group lasso of the first layer", {"name": "sparse_group_lasso", "layers": "first"}),
}
"""Penalties on weights that shrink as a learned prior does, without attributions: names in results, and the term."""


def expand(recipe: Recipe) -> Recipe:
    """The recipe in which every arm with `controls` is followed by those controls as arms of their own.

    They have the arm's weights and terms; what a term's prior knows is random, drawn anew for each split. Those of a
    learned prior that only shrink weights have terms of their own, and as many weights, see `_shrinking`.

    Raises: RecipeError for an arm that knows nothing, or a kind of control that it does not have.
    """
    if not any(arm.controls for arm in recipe.arms):
        return recipe
    arms = [
        each for arm in recipe.arms for each in (arm.model_copy(update={"controls": False}), *_controls(arm))
    ]
    content = recipe.model_dump() | {"arms": [arm.model_dump() for arm in arms]}
    made = Recipe.model_validate(content)
    return made.model_copy(
        update={"code": recipe.code, "data": recipe.data}
    )  # which knows what was said of it


def _controls(arm: Arm) -> list[Arm]:
    if not arm.controls:
        return []
    known = _kinds(arm)
    if not known:
        raise RecipeError(
            f"arm {arm.name!r} has no prior that knows something, such as a mask, a graph or groups, so it has no "
            "controls. Leave them out."
        )
    kinds = _usual(arm) if arm.controls is True else list(arm.controls or ())
    for kind in kinds:
        if kind not in known:
            raise RecipeError(f"arm {arm.name!r} has no control {kind!r}. {did_you_mean(kind, known)}")
    return [
        _shrinking(arm, kind)
        if kind in _SHRINKING
        else arm.model_copy(
            update={
                "name": f"{arm.name}: {known[kind]}",
                "description": f"Control of “{arm.name}”: {known[kind]}, of the same size, new for each split.",
                "controls": False,
                "terms": [_with(term, kind) for term in arm.terms],
            }
        )
        for kind in kinds
    ]


def _kinds(arm: Arm) -> dict[str, str]:
    """Kinds of control that a term of the arm has, and what results call them."""
    known = {kind: title for term in arm.terms for kind, title in _of(term).items()}
    return known | ({kind: title for kind, (title, _) in _SHRINKING.items()} if _learns(arm) else {})


def _usual(arm: Arm) -> list[str]:
    """What `controls: true` means: every kind that is usual for one of its priors."""
    usual = [kind for term in arm.terms if term.prior for kind in _names.usual_controls(term.prior.name)]
    return list(dict.fromkeys([*usual, *(_SHRINKING if _learns(arm) else ())]))


def _learns(arm: Arm) -> bool:
    return any(term.prior is not None and term.prior.name == "learned" for term in arm.terms)


def _shrinking(arm: Arm, kind: str) -> Arm:
    """A penalty on weights, tried as often as the arm: around twice the task's gradient, in steps of four.

    On two moons and on survival the best of them lay between the task's gradient and ten times that.
    """
    title, regulariser = _SHRINKING[kind]
    count = len(arm.weights)
    return Arm.model_validate(
        {
            "name": f"{arm.name}: {title}",
            "description": f"Control of “{arm.name}”: {title}, which knows nothing of columns. Weights are multiples "
            "of the task's gradient at the first step.",
            "terms": [{"regulariser": regulariser, "schedule": "auto"}],
            "weights": [2.0 * 4.0 ** (i - (count - 1) / 2) for i in range(count)],
            "model": arm.model,
        }
    )


def _of(term: TermOf) -> Mapping[str, str]:
    return {} if term.prior is None else _names.controls(term.prior.name)


def _with(term: TermOf, kind: str) -> TermOf:
    return term.model_copy(update={"control": kind}) if kind in _of(term) else term
