"""Quadrature rules on [0, 1]: nodes and weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from rightreasons.core._checked import checked

MOST_BY_MATRIX = 200
"""Nodes of Gauss-Legendre that are eigenvalues of a matrix; of more, memory and time would be squared and cubed."""
EDGE = 30
"""Outermost nodes, for which the expansion does not converge."""
EXPANSION = 20
"""Terms of it, each smaller than a tenth of the last."""


class Quadrature(ABC):
    """A rule for the integral over [0, 1]: `rule(steps)` gives nodes and weights, float64, on the CPU.

    `order` is the p of its error O(steps^-p) on smooth integrands; infinity for spectral convergence.
    """

    order: ClassVar[float]

    @abstractmethod
    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        """Nodes and weights; the weights sum to 1."""


@final
@checked
@dataclass(frozen=True)
class GaussLegendre(Quadrature):
    """Exact for polynomials of degree 2 steps - 1; nodes inside (0, 1). Cost: O(steps) for many.

    >>> nodes, weights = GaussLegendre()(2)
    >>> bool(((weights * nodes**3).sum() - 1 / 4).abs() < 1e-15)
    True
    """

    order: ClassVar[float] = inf

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        nodes, weights = _gauss_legendre(steps)
        return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@final
@checked
@dataclass(frozen=True)
class Midpoint(Quadrature):
    """Nodes (j + 1/2) / steps, equal weights."""

    order: ClassVar[float] = 2

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return (_counts(steps) + 0.5) / steps, _equal(steps)


@final
@checked
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
@checked
@dataclass(frozen=True)
class Left(Quadrature):
    """Nodes j / steps from 0: the left Riemann sum."""

    order: ClassVar[float] = 1

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return _counts(steps) / steps, _equal(steps)


@final
@checked
@dataclass(frozen=True)
class Right(Quadrature):
    """Nodes (j + 1) / steps up to 1: the right Riemann sum, as most published attack code uses it."""

    order: ClassVar[float] = 1

    def __call__(self, steps: int) -> tuple[Float64[Tensor, "steps"], Float64[Tensor, "steps"]]:
        return (_counts(steps) + 1) / steps, _equal(steps)


@lru_cache(maxsize=64)
def _gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1]; beyond `MOST_BY_MATRIX` without a matrix of steps x steps [hale2013]."""
    if steps <= MOST_BY_MATRIX:
        return np.polynomial.legendre.leggauss(steps)
    count = (steps + 1) // 2
    # Angles of the nodes in [0, 1), outermost first: Newton's method from Tricomi's formula, whose error is n^-4.
    guess = np.pi * (4 * np.arange(1, count + 1) - 1) / (4 * steps + 2)
    angle = guess + (steps - 1) / (8 * steps**3 * np.tan(guess))
    edge, inner = np.split(angle, [EDGE])
    slopes = []
    for part, legendre in ((edge, _legendre_near_edge), (inner, _legendre_inside)):
        for _ in range(3):
            value, slope = legendre(steps, part)
            part -= value / slope
        slopes.append(legendre(steps, part)[1])
    half = np.cos(np.concatenate([edge, inner]))
    weights = 2 / np.concatenate(slopes) ** 2
    if steps % 2:
        half[-1] = 0.0
    mirrored = slice(None, None, -1) if steps % 2 == 0 else slice(-2, None, -1)
    return np.concatenate([-half, half[mirrored]]), np.concatenate([weights, weights[mirrored]])


def _legendre_near_edge(n: int, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P_n(cos angle) and its derivative by the angle, by the recurrence in n."""
    x, before, value = np.cos(angle), np.ones_like(angle), np.cos(angle)
    for k in range(2, n + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return value, n * (x * value - before) / np.sin(angle)


def _legendre_inside(n: int, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by Stieltjes' expansion, to rounding for all but the outermost nodes, in O(1) a node."""
    k = np.arange(1, n + 1)
    size = 4 / np.pi * np.exp(-np.log1p(0.5 / k).sum())
    sine, cosine = np.sin(angle), np.cos(angle)
    value, slope = np.zeros_like(angle), np.zeros_like(angle)
    for m in range(EXPANSION):
        phase = (n + m + 0.5) * angle - (m + 0.5) * np.pi / 2
        term = size / (2 * sine) ** (m + 0.5)
        value += term * np.cos(phase)
        slope -= term * ((n + m + 0.5) * np.sin(phase) + (m + 0.5) * np.cos(phase) * cosine / sine)
        size *= (m + 0.5) ** 2 / ((m + 1) * (n + m + 1.5))
    return value, slope


def _counts(steps: int) -> Tensor:
    return torch.arange(steps, dtype=torch.float64)


def _equal(steps: int) -> Tensor:
    return torch.full((steps,), 1 / steps, dtype=torch.float64)
