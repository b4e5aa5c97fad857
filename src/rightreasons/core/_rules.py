"""Rules of layer-wise relevance propagation, as data: how a linear layer shares relevance among its inputs.

A layer z_k = sum_j x_j w_jk + b_k gives each of its inputs the part of the relevance R_k that its term has in z_k, or
in a sum of modified terms. A rule is the list of those sums. [bach2015], [montavon2019]
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, final

import torch
from torch import Tensor

from rightreasons.core._errors import InputError

STABILIZER = 1e-9
"""Added to the size of every denominator that is not the business of an `Epsilon` rule."""


class Share(NamedTuple):
    """A sum of modified terms, and how much of the relevance is shared in proportion to it.

    Attributes:
        parts: modified inputs and weights of every sum of terms: x' and w' for sum_j x'_j w'_jk.
        bias: modified bias, whose part of the relevance is lost; None for none.
        of: this multiple of the relevance, or 0 where the outputs' mask is false.
        where: mask of the outputs this share is for; None for all.
        epsilon: added to the size of the sum.
    """

    parts: tuple[tuple[Tensor, Tensor], ...]
    bias: Tensor | None
    of: int | float = 1.0
    where: Tensor | None = None
    epsilon: int | float = STABILIZER


class Rule(ABC):
    """A frozen value: how a linear layer shares relevance."""

    @abstractmethod
    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        """The sums in proportion to which relevance is shared; `z` are the layer's outputs."""


def _positive(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clamp(min=0)


def _negative(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clamp(max=0)


def _check(name: str, value: int | float, low: int) -> None:
    if not (isfinite(value) and value >= low):
        raise InputError(f"{name} must be a finite number, at least {low}; got {value!r}.")


@final
@dataclass(frozen=True)
class Epsilon(Rule):
    """R_j = sum_k x_j w_jk / (z_k + epsilon sign z_k) R_k [bach2015].

    Conserves relevance up to what epsilon and the bias take. With epsilon -> 0 and ReLUs: gradient times input.
    """

    epsilon: int | float = 1e-6

    def __post_init__(self) -> None:
        _check("epsilon", self.epsilon, 0)

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        return (Share(((x, weight),), bias, epsilon=self.epsilon),)


@final
@dataclass(frozen=True)
class Gamma(Rule):
    """Terms of the output's own sign count 1 + gamma times [montavon2019].

        R_j = sum_k (x_j w_jk)~ / (sum_j (x_j w_jk)~ + b~_k) R_k,  t~ = t + gamma max(t, 0) where z_k > 0,
                                                                   t~ = t + gamma min(t, 0) where z_k < 0

    On non-negative inputs and active ReLUs that is w + gamma max(w, 0), as published, where the bias counts as a
    weight. Captum's GammaRule leaves the bias as it is and favours positive terms of negative outputs, too: without
    biases, on non-negative inputs and outputs, the two are the same.
    """

    gamma: int | float = 0.25

    def __post_init__(self) -> None:
        _check("gamma", self.gamma, 0)

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        up, down = weight + self.gamma * weight.clamp(min=0), weight + self.gamma * weight.clamp(max=0)
        above, below = x.clamp(min=0), x.clamp(max=0)
        high = None if bias is None else bias + self.gamma * bias.clamp(min=0)
        low = None if bias is None else bias + self.gamma * bias.clamp(max=0)
        return (
            Share(((above, up), (below, down)), high, where=z > 0),
            Share(((above, down), (below, up)), low, where=z < 0),
        )


@final
@dataclass(frozen=True)
class AlphaBeta(Rule):
    """alpha times in proportion to the positive terms, minus beta times to the negative ones [bach2015].

    alpha - beta = 1 conserves relevance, up to the biases, where both kinds of terms exist.
    """

    alpha: int | float = 2
    beta: int | float = 1

    def __post_init__(self) -> None:
        _check("alpha", self.alpha, 1)
        _check("beta", self.beta, 0)
        if abs(self.alpha - self.beta - 1) > 1e-9:
            raise InputError(
                f"alpha - beta must be 1, or relevance is not conserved; got {self.alpha} - {self.beta}."
            )

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        above, below, up, down = x.clamp(min=0), x.clamp(max=0), weight.clamp(min=0), weight.clamp(max=0)
        positive = Share(((above, up), (below, down)), _positive(bias), of=self.alpha)
        if self.beta == 0:
            return (positive,)
        return positive, Share(((above, down), (below, up)), _negative(bias), of=-self.beta)


@final
@dataclass(frozen=True)
class ZPlus(Rule):
    """In proportion to the positive terms only: `AlphaBeta(1, 0)` [montavon2017]. Not class-discriminative in depth."""

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        return AlphaBeta(1, 0).shares(x, weight, bias, z)


@final
@dataclass(frozen=True)
class ZBox(Rule):
    """For a layer whose inputs lie in a box, as pixels do; conserves relevance [montavon2017].

        R_j = sum_k (x_j w_jk - low max(w_jk, 0) - high min(w_jk, 0)) / (sum_j ...) R_k

    Args:
        low: smallest value an input can have, in its units.
        high: largest value.
    """

    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise InputError(f"a box has finite ends, low < high; got {self.low!r} and {self.high!r}.")

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        low, high = torch.full_like(x, self.low), torch.full_like(x, self.high)
        return (Share(((x, weight), (low, -weight.clamp(min=0)), (high, -weight.clamp(max=0))), None),)


@final
@dataclass(frozen=True)
class Flat(Rule):
    """The same to every input a layer's output can see, whatever their values; conserves relevance [lapuschkin2019]."""

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        return (Share(((torch.ones_like(x), torch.ones_like(weight)),), None),)
