"""Attack that makes a map look like a given target map."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, Goal
from rightreasons.attacks._mass import for_rows, shares
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Manipulate(AttributionAttack):
    """Make the map look like a given one [dombrowski2019].

        climb  - ||a(x') - t||^2;   measure  ||a(x') - t|| / ||a(x) - t||, 1 for the clean map, 0 where t is reached

    with a = |map| / sum |map| and t the target's shares. The published attack weighs a term that keeps the outputs;
    here the label is kept on the true model, and the ball keeps the rest.

    Args:
        towards: t, a map of non-negative values (*S), or (B, *S), one for each position; its scale does not matter.
        eps: and the other arguments: see `MassCentre`.

    Raises:
        InputError: the target is negative, not finite or all zero; a number is out of range.
        ShapeError: the target does not fit the maps.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(4, 6)
        >>> attack = Manipulate(towards=torch.eye(6)[0], eps=0.5, steps=5)
        >>> attack(model, x, model(x).argmax(1), attribution=rr.Gradient()).before
        tensor([1., 1., 1., 1.])
    """

    towards: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        if not bool(torch.isfinite(self.towards).all()) or bool((self.towards < 0).any()):
            raise InputError(
                "towards is a map of finite, non-negative values: attacks compare shares of the mass."
            )
        if not bool(self.towards.any()):
            raise InputError("towards is all zero: a map without mass has no shares to aim at.")

    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        now = shares(clean, self.reduce)
        target = shares(for_rows(self.towards, now, "towards").to(now), None)
        apart = (now - target).flatten(1).norm(dim=1)

        def climb(maps: Tensor, rows: Tensor) -> Tensor:
            return (
                -(shares(maps, self.reduce) - target[rows]).flatten(1).square().sum(1) / apart[rows].square()
            )

        def measure(maps: Tensor, rows: Tensor) -> Tensor:
            return (shares(maps, self.reduce) - target[rows]).flatten(1).norm(dim=1) / apart[rows]

        return Goal(climb, measure)
