"""LRP rules as data: how a linear layer distributes relevance over its inputs.

A layer z_k = sum_j x_j w_jk + b_k gives each of its inputs the part of the relevance R_k that its term has in z_k, or
in a sum of modified terms. A rule is the list of those sums. [bach2015], [montavon2019]
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, final

import torch
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError

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
@checked
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
@checked
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
@checked
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
@checked
@dataclass(frozen=True)
class ZBox(Rule):
    """For a layer whose inputs lie in a box, as pixels do; conserves relevance [montavon2017].

        R_j = sum_k (x_j w_jk - low max(w_jk, 0) - high min(w_jk, 0)) / (sum_j ...) R_k

    Pixels that were normalised channel by channel have a box for each channel: ends (0 - mean) / std and
    (1 - mean) / std.

    Args:
        low: smallest value an input can have, in its units: a number, or one for each channel (for each feature of a
            linear layer), as a sequence or a tensor such as (C,), (C, 1, 1) or (1, C, 1, 1).
        high: largest value, alike.

    Raises:
        InputError: ends that are not finite numbers, or low is not below high.
        ShapeError: ends of different lengths, or, in use, not one number for each channel of the layer.

    Example:
        >>> mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        >>> box = ZBox((0 - mean) / std, (1 - mean) / std)
        >>> tuple(round(low, 2) for low in box.low)
        (-2.12, -2.04, -1.8)
    """

    low: int | float | Sequence[int | float] | Tensor
    high: int | float | Sequence[int | float] | Tensor

    def __post_init__(self) -> None:
        low, high = _end("low", self.low), _end("high", self.high)
        if low.numel() > 1 and high.numel() > 1 and low.numel() != high.numel():
            raise ShapeError(
                f"both ends of a box are for the same channels; got {low.numel()} values of low and {high.numel()} of "
                "high. Give one number, or one for each channel."
            )
        if not bool((low.isfinite() & high.isfinite() & (low < high)).all()):
            raise InputError(f"a box has finite ends, low < high; got {self.low!r} and {self.high!r}.")
        # As plain numbers, so that the value can be compared, hashed and printed.
        for name, value, end in (("low", self.low, low), ("high", self.high, high)):
            if not isinstance(value, int | float):
                object.__setattr__(self, name, tuple(end.tolist()))

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        low, high = (self._everywhere(name, x, weight) for name in ("low", "high"))
        return (Share(((x, weight), (low, -weight.clamp(min=0)), (high, -weight.clamp(max=0))), None),)

    def _everywhere(self, name: str, x: Tensor, weight: Tensor) -> Tensor:
        """An end of the box for every input of a layer; its channels are the last dimension of a linear layer's."""
        end = getattr(self, name)
        if not isinstance(end, tuple):
            return torch.full_like(x, end)
        axis = x.dim() - 1 if weight.dim() == 2 else 1
        if x.shape[axis] != len(end):
            raise ShapeError(
                f"ZBox has {len(end)} values of {name}, but its layer's input {tuple(x.shape)} has {x.shape[axis]} "
                "channels. Give one number, or one for each channel."
            )
        return x.new_tensor(end).reshape(-1, *(1,) * (x.dim() - 1 - axis)).expand_as(x)


def _end(name: str, value: object) -> Tensor:
    """Numbers in a row, in float64."""
    try:
        found = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} is a number, or one for each channel; got {value!r}.") from None
    if found.numel() == 0 or max(found.shape, default=1) != found.numel():
        raise ShapeError(
            f"{name} of a box is a number or one for each channel, such as a tensor of shape (C,) or (1, C, 1, 1); "
            f"got shape {tuple(found.shape)}."
        )
    return found.reshape(-1)


@final
@dataclass(frozen=True)
class Flat(Rule):
    """The same to every input a layer's output can see, whatever their values; conserves relevance [lapuschkin2019]."""

    def shares(self, x: Tensor, weight: Tensor, bias: Tensor | None, z: Tensor) -> tuple[Share, ...]:
        return (Share(((torch.ones_like(x), torch.ones_like(weight)),), None),)
