"""Attacks by name, as the command line needs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks import L1, L2, AttributionAttack, Linf, MassCentre, Norm, RankCorrelation, TopK
from rightreasons.attacks._ball import Bounds
from rightreasons.attacks._loop import magnitude
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.metrics import Reduce

_ATTACKS: Mapping[str, Callable[[float, int | float, int], AttributionAttack]] = {
    "top-k": lambda eps, k, window: TopK(eps=eps, k=k),
    "lens": lambda eps, k, window: TopK(eps=eps, k=k, window=window),
    "lens-diverse": lambda eps, k, window: TopK(eps=eps, k=k, window=window, diverse=True),
    "centre": lambda eps, k, window: MassCentre(eps=eps),
    "rank": lambda eps, k, window: RankCorrelation(eps=eps),
}
_OF_SPACE = ("lens", "lens-diverse", "centre")
_NORMS: Mapping[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}
_POINTS = 5
_JUDGED_EVERY = 10


@checked
def attack_names(space: bool = True) -> tuple[str, ...]:
    """Names of the attacks.

    Args:
        space: whether the maps have positions with neighbours.
    """
    return tuple(name for name in _ATTACKS if space or name not in _OF_SPACE)


@checked
def attack_of(
    name: str,
    *,
    eps: float,
    k: int | float = 0.1,
    window: int = 1,
    norm: str = "linf",
    steps: int = 50,
    restarts: int = 1,
    bounds: Bounds | None = None,
    mask: Tensor | None = None,
    reduce: Reduce = magnitude,
    space: bool = True,
) -> AttributionAttack:
    """The attack of that name.

    Args:
        name: one of `attack_names`.
        eps: radius in units of the inputs; like steps, restarts, bounds, mask and reduce a field of every attack.
        k: positions that count, or their share, where the attack has them.
        window: radius of its windows, where it has them.
        norm: "linf", "l2" or "l1".
        steps: of the search.
        restarts: independent starts of each row.
        bounds: smallest and largest valid value.
        mask: features that may change.
        reduce: maps to one value for each position.
        space: whether the maps have positions with neighbours.

    Raises: InputError for an unknown name, an attack on places where maps have none, or a field out of range.

    >>> attack_of("lens", eps=0.1, norm="l2")
    TopK(eps=0.1, norm=L2(), steps=50, k=0.1, window=1)
    """
    if name not in attack_names(space):
        why = " A table's columns have no neighbours and no centre." if name in _ATTACKS else ""
        raise InputError(f"There is no attack {name!r} here.{why} {did_you_mean(name, attack_names(space))}")
    if norm not in _NORMS:
        raise InputError(f"There is no norm {norm!r}. {did_you_mean(norm, _NORMS)}")
    return replace(
        _ATTACKS[name](eps, k, window),
        norm=_NORMS[norm],
        steps=steps,
        restarts=restarts,
        bounds=bounds,
        mask=mask,
        reduce=reduce,
    )


def cheaper(attack: AttributionAttack, method: Any) -> tuple[AttributionAttack, Callable[..., Any] | None]:
    """The attack and a direction for methods that average over points: few points climb as well as many.

    Measured on integrated gradients: benchmarks/attack_evaluations.py.
    """
    for field in ("steps", "samples"):
        points = getattr(method, field, None)
        if isinstance(points, int) and points > _POINTS:
            return replace(attack, judge_every=_JUDGED_EVERY), replace(method, **{field: _POINTS})
    return attack, None


def over_channels(maps: Float[Tensor, "B C L"]) -> Float[Tensor, "B L"]:
    """Maps of sequences to one value for each place: the sum over channels of absolute values."""
    return maps.abs().sum(1)


@final
@dataclass(frozen=True)
class ByGroup:
    """Maps (B, features) -> (B, groups): the magnitude of the sum over each group, such as one-hot features."""

    groups: tuple[tuple[int, ...], ...]

    def __call__(self, maps: Float[Tensor, "B p"]) -> Float[Tensor, "B g"]:
        """One value for each group."""
        return torch.stack([maps[:, list(group)].sum(1) for group in self.groups], 1).abs()

    def __repr__(self) -> str:
        return f"ByGroup(<{len(self.groups)}>)"
