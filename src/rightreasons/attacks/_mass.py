"""Attacks that move the mass of a map: away from its centre, or into a region."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, Goal
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import Reduce, mass_centre


def shares(maps: Float[Tensor, "N *F"], reduce: Reduce) -> Float[Tensor, "N *S"]:
    """Each position's share of a map's mass, |a_p| / sum |a|; zeros for an all-zero map."""
    mass = (maps if reduce is None else reduce(maps)).abs()
    total = mass.flatten(1).sum(1).reshape(-1, *(1,) * (mass.dim() - 1))
    return mass / torch.where(total > 0, total, 1.0)


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MassCentre(AttributionAttack):
    """Move the centre of mass of the map [ghorbani2019].

        climb    ||C(x') - C0||^2,   C = sum_p p |a_p| / sum |a|,   C0 the clean centre on the true model
        measure  ||C(x') - C0||, in positions (pixels); larger is stronger

    The published code truncates C0 to whole pixels, or takes it from the surrogate; here it is the centre. From the
    input itself the climb has gradient zero, so starts are random.

    Args:
        eps: radius in units of the inputs, a number or a tensor (*F).
        norm: see `PGD`, like `steps`, `step_size`, `restarts`, `bounds` and `mask`.
        random_start: must be True.
        surrogate: how ReLUs are smoothed where directions are computed; None: not at all.
        judge_every: the true model is consulted after every so many steps, and after the last.
        repair: a step from where the label is lost goes back towards it.
        reduce: maps to one value for each position; by default the sum over channels of absolute values.

    Raises:
        InputError: a number is out of range; random_start=False.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(4, 6)
        >>> result = MassCentre(eps=0.5, steps=5)(model, x, model(x).argmax(1), attribution=rr.Gradient())
        >>> bool((result.after >= result.before).all())
        True
    """

    lower_is_stronger: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.random_start:
            raise InputError(
                "MassCentre(random_start=False) has gradient zero at its start. Use random_start=True."
            )

    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        centre = mass_centre(clean, reduce=self.reduce)

        def climb(maps: Tensor, rows: Tensor) -> Tensor:
            return (mass_centre(maps, reduce=self.reduce) - centre[rows]).square().sum(1)

        def measure(maps: Tensor, rows: Tensor) -> Tensor:
            return torch.linalg.vector_norm(mass_centre(maps, reduce=self.reduce) - centre[rows], dim=1)

        return Goal(climb, measure)


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TargetRegion(AttributionAttack):
    """Move attribution into a region that the user names [ghorbani2019].

        climb = measure   sum_{p in M} |a_p| / sum |a|; larger is stronger

    Args:
        region: M, a bool tensor of the shape of one map's positions (*S), or (B, *S).
        eps: and the other arguments: see `MassCentre`.

    Raises:
        InputError: the region is empty or everything; a number is out of range.
        ShapeError: the region does not fit the maps.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x, region = torch.randn(4, 6), torch.arange(6) < 2
        >>> attack = TargetRegion(region=region, eps=0.5, steps=5)
        >>> attack(model, x, model(x).argmax(1), attribution=rr.Gradient()).lower_is_stronger
        False
    """

    lower_is_stronger: ClassVar[bool] = False

    region: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        region = self.region.bool()
        if not bool(region.any()) or bool(region.all()):
            raise InputError("region must hold some positions, and not all: nothing could be moved into it.")

    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        region = for_rows(self.region, shares(clean, self.reduce), "region").bool()

        def measure(maps: Tensor, rows: Tensor) -> Tensor:
            return (shares(maps, self.reduce) * region[rows]).flatten(1).sum(1)

        return Goal(measure, measure)


def for_rows(value: Tensor, maps: Float[Tensor, "B *S"], what: str) -> Tensor:
    """`value`, of the shape of one map or of all of them, for every row.

    Raises:
        ShapeError: it is neither.
    """
    if value.shape == maps.shape[1:]:
        value = value[None]
    if value.shape != maps.shape and value.shape != (1, *maps.shape[1:]):
        raise ShapeError(
            f"{what} of shape {tuple(value.shape)} fits neither one map {tuple(maps.shape[1:])} nor all maps "
            f"{tuple(maps.shape)} (after channels are reduced)."
        )
    return value.to(maps.device).expand(maps.shape)
