"""Norms: projection onto a ball, steepest-ascent steps, and random starting points.

Everything is in units of the radius, u = (adversarial - x) / eps of shape (N, *F), so that features may have radii of
their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError

_SHRINK = {torch.float32: 1e-6, torch.float64: 1e-14}  # sums of squares round; a ball holds exactly


class Norm(ABC):
    """The geometry of a perturbation."""

    @abstractmethod
    def size(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N"]:
        """Norm of each row, summed in float64."""

    @abstractmethod
    def project(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        """The nearest point of the unit ball."""

    @abstractmethod
    def steepest(self, gradient: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        """The step of norm one that climbs most; zero where the gradient is."""

    @abstractmethod
    def draw(self, row: Sequence[int], generator: torch.Generator) -> Float[Tensor, "*F"]:
        """A point drawn uniformly from the unit ball, float64 on the CPU."""

    def random(self, shape: Sequence[int], generators: Sequence[torch.Generator]) -> Float[Tensor, "N *F"]:
        """One point for each row, each from its row's own generator."""
        return torch.stack([self.draw(shape[1:], generator) for generator in generators])


@final
@dataclass(frozen=True)
class Linf(Norm):
    """Largest absolute change of a feature; steps move every feature by its sign [madry2018].

    Example:
        >>> import torch
        >>> Linf().project(torch.tensor([[2.0, -0.5]]))
        tensor([[ 1.0000, -0.5000]])
    """

    def size(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N"]:
        return u.flatten(1).double().abs().amax(1)

    def project(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        return u.clamp(-1, 1)

    def steepest(self, gradient: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        return gradient.sign()

    def draw(self, row: Sequence[int], generator: torch.Generator) -> Float[Tensor, "*F"]:
        return 2 * torch.rand(*row, generator=generator, dtype=torch.float64) - 1


@final
@checked
@dataclass(frozen=True)
class L2(Norm):
    """Euclidean length of the change; steps follow the gradient [madry2018].

    Example:
        >>> import torch
        >>> L2().project(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """

    def size(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N"]:
        return u.flatten(1).double().norm(dim=1)

    def project(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        return _scaled(u, (1 - _SHRINK.get(u.dtype, 1e-6)) / self.size(u).clamp(min=1))

    def steepest(self, gradient: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        largest = gradient.flatten(1).abs().amax(1)  # squares of tiny gradients would vanish
        scaled = _scaled(gradient, 1 / largest.double().masked_fill(largest == 0, 1))
        return _scaled(scaled, 1 / self.size(scaled).clamp(min=1))

    def draw(self, row: Sequence[int], generator: torch.Generator) -> Float[Tensor, "*F"]:
        direction = torch.randn(*row, generator=generator, dtype=torch.float64)
        radius = torch.rand((), generator=generator, dtype=torch.float64) ** (1 / prod(row))
        return direction * (radius / direction.norm().clamp(min=1e-300))


@final
@checked
@dataclass(frozen=True)
class L1(Norm):
    """Sum of absolute changes; steps move the features with the largest gradients alike [tramer2019].

    Args:
        share: of the features that one step moves, at least one. The steepest step moves a single feature, which
            takes as many steps as there are features to change.

    Raises:
        InputError: share is not in (0, 1].

    Example:
        >>> import torch
        >>> L1().project(torch.tensor([[2.0, 1.5, 0.1]]))
        tensor([[0.7500, 0.2500, 0.0000]])
    """

    share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(
                f"share is the part of the features that a step moves, in (0, 1]; got {self.share}."
            )

    def size(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N"]:
        return u.flatten(1).double().abs().sum(1)

    def project(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        sizes = u.flatten(1).double().abs()
        falling = sizes.sort(1, descending=True).values
        excess = falling.cumsum(1) - 1
        counts = torch.arange(1, falling.shape[1] + 1, device=u.device)
        kept = (falling * counts > excess).sum(1, keepdim=True).clamp(min=1)
        cut = (excess.gather(1, kept - 1) / kept).clamp(min=0)
        shrunk = u.flatten(1).sign() * (sizes - cut).clamp(min=0).to(u) * (1 - _SHRINK.get(u.dtype, 1e-6))
        return shrunk.reshape(u.shape)

    def steepest(self, gradient: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        flat = gradient.flatten(1)
        count = max(1, round(self.share * flat.shape[1]))
        top = flat.abs().topk(count, dim=1).indices
        chosen = torch.zeros_like(flat).scatter(1, top, flat.gather(1, top).sign())
        moved = chosen.abs().sum(1, keepdim=True).clamp(min=1)
        return (chosen / moved).reshape(gradient.shape)

    def draw(self, row: Sequence[int], generator: torch.Generator) -> Float[Tensor, "*F"]:
        features = prod(row)
        lengths = (
            torch.rand(features + 1, generator=generator, dtype=torch.float64).clamp(min=1e-300).log().neg()
        )
        signs = torch.rand(features, generator=generator, dtype=torch.float64).sub(0.5).sign()
        return (signs * lengths[:-1] / lengths.sum()).reshape(tuple(row))


def _scaled(u: Tensor, factors: Tensor) -> Tensor:
    return u * factors.to(u).reshape(-1, *(1,) * (u.dim() - 1))
