"""Quadrature on [0, 1]: where along a path gradients are taken, and how they are weighted."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor


class Quadrature(ABC):
    """A rule for the integral over [0, 1]: `rule(steps)` gives nodes and weights, float64, on the CPU.

    `order` is the p of its error O(steps^-p) on smooth integrands; infinity for spectral convergence.
    """

    order: ClassVar[float]

    @abstractmethod
    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        """Nodes and weights; the weights sum to 1."""


@final
@dataclass(frozen=True)
class GaussLegendre(Quadrature):
    """Exact for polynomials of degree 2 steps - 1; nodes inside (0, 1).

    >>> nodes, weights = GaussLegendre()(2)
    >>> bool(((weights * nodes**3).sum() - 1 / 4).abs() < 1e-15)
    True
    """

    order: ClassVar[float] = inf

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        nodes, weights = _gauss_legendre(steps)
        return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@final
@dataclass(frozen=True)
class Midpoint(Quadrature):
    """Nodes (j + 1/2) / steps, equal weights."""

    order: ClassVar[float] = 2

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return (_counts(steps) + 0.5) / steps, _equal(steps)


@final
@dataclass(frozen=True)
class Trapezoid(Quadrature):
    """`steps` nodes from 0 to 1, both ends included, half weight at the ends; one step is the midpoint."""

    order: ClassVar[float] = 2

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        if steps == 1:
            return Midpoint()(1)
        weights = torch.full((steps,), 1 / (steps - 1), dtype=torch.float64)
        weights[0] = weights[-1] = 0.5 / (steps - 1)
        return _counts(steps) / (steps - 1), weights


@final
@dataclass(frozen=True)
class Left(Quadrature):
    """Nodes j / steps from 0: the left Riemann sum."""

    order: ClassVar[float] = 1

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return _counts(steps) / steps, _equal(steps)


@final
@dataclass(frozen=True)
class Right(Quadrature):
    """Nodes (j + 1) / steps up to 1: the right Riemann sum, as most published attack code uses it."""

    order: ClassVar[float] = 1

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return (_counts(steps) + 1) / steps, _equal(steps)


@lru_cache(maxsize=64)
def _gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(steps)


def _counts(steps: int) -> Tensor:
    return torch.arange(steps, dtype=torch.float64)


def _equal(steps: int) -> Tensor:
    return torch.full((steps,), 1 / steps, dtype=torch.float64)
