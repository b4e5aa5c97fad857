"""Attacks on explanations by name, for where values cannot be written: the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks import L1, L2, AttributionAttack, Linf, MassCentre, Norm, RankCorrelation, TopK
from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import InputError

Make = Callable[..., AttributionAttack]

_ATTACKS: Mapping[str, Make] = {
    "top-k": lambda k, window, **ball: TopK(k=k, **ball),
    "lens": lambda k, window, **ball: TopK(k=k, window=window, **ball),
    "lens-diverse": lambda k, window, **ball: TopK(k=k, window=window, diverse=True, **ball),
    "centre": lambda k, window, **ball: MassCentre(**ball),
    "rank": lambda k, window, **ball: RankCorrelation(**ball),
}
_OF_SPACE = ("lens", "lens-diverse", "centre")
_NORMS: Mapping[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}
_POINTS = 5
_JUDGED_EVERY = 10


def attack_names(space: bool = True) -> tuple[str, ...]:
    """Names of the attacks.

    Args:
        space: whether the maps have positions with neighbours.
    """
    return tuple(name for name in _ATTACKS if space or name not in _OF_SPACE)


def attack_of(
    name: str, *, k: int | float = 0.1, window: int = 1, norm: str = "linf", space: bool = True, **ball: Any
) -> AttributionAttack:
    """The attack of that name.

    Args:
        name: one of `attack_names`.
        k: positions that count, or their share, where the attack has them.
        window: radius of its windows, where it has them.
        norm: "linf", "l2" or "l1".
        space: whether the maps have positions with neighbours.
        ball: the other fields: eps, steps, restarts, bounds, mask, ...

    Raises: InputError for an unknown name, an attack on places where maps have none, or a field out of range.

    >>> attack_of("lens", eps=0.1, norm="l2")
    TopK(eps=0.1, norm=L2(), k=0.1, window=1)
    """
    if name not in attack_names(space):
        why = " A table's columns have no neighbours and no centre." if name in _ATTACKS else ""
        raise InputError(f"There is no attack {name!r} here.{why} {did_you_mean(name, attack_names(space))}")
    if norm not in _NORMS:
        raise InputError(f"There is no norm {norm!r}. {did_you_mean(norm, _NORMS)}")
    return _ATTACKS[name](k, window, norm=_NORMS[norm], **ball)


def cheaper(attack: AttributionAttack, method: Any) -> tuple[AttributionAttack, Callable[..., Any] | None]:
    """The attack and a direction for methods that average over points: few points climb as well as many.

    Measured on integrated gradients: benchmarks/attack_evaluations.py.
    """
    for field in ("steps", "samples"):
        points = getattr(method, field, None)
        if isinstance(points, int) and points > _POINTS:
            return replace(attack, judge_every=_JUDGED_EVERY), replace(method, **{field: _POINTS})
    return attack, None


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
