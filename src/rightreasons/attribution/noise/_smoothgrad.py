"""SmoothGrad, SmoothGrad-Squared and VarGrad."""

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._path import PathAttribution, PathSum, Piece, Points, Sums
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, as_tuple, matching_rows, span
from rightreasons.core._score import Output
from rightreasons.core.model._function import ScoreFunction

SAMPLES_TO_EXPLAIN = 25
Reduce = Literal["mean", "mean_square", "variance"]


class _NoisySum(PathSum):
    """Gradients at x + scale * noise. Leaves: what is explained.

    Args:
        noise: standard normal, (1, n, *F) shared by the rows or (B, n, *F), for each input.
        sigma: for each input, in its units, or None where it is a multiple of the row's range.
        relative: multiple of the row's range.
    """

    def __init__(
        self,
        function: ScoreFunction,
        noise: tuple[Tensor, ...],
        sigma: tuple[Tensor, ...],
        relative: bool,
        reduce: Reduce,
    ) -> None:
        super().__init__(function, draws=noise[0].shape[1], leaves=function.points)
        self.noise, self.sigma, self.relative, self.reduce = noise, sigma, relative, reduce

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        points = []
        for x, noise, sigma in zip(leaves, self.noise, self.sigma, strict=True):
            rows = x[piece.rows]
            scale = sigma if sigma.shape[0] == 1 else sigma[piece.rows]
            if self.relative:
                scale = scale * span(rows)
            drawn = (noise if noise.shape[0] == 1 else noise[piece.rows])[:, piece.draws]
            points.append(rows.unsqueeze(1) + scale.unsqueeze(1) * drawn.to(x))
        return tuple(points), None

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        exact = [g.to(torch.float64) for g in gradients]  # the mean square minus the squared mean cancels
        return (*(g.sum(1) for g in exact), *(g.square().sum(1) for g in exact))

    def _moments(self, sums: Sums) -> list[tuple[Tensor, Tensor]]:
        half, n = len(sums) // 2, self.draws
        return [(first / n, second / n) for first, second in zip(sums[:half], sums[half:], strict=True)]

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        maps = [self._reduced(mean, square) for mean, square in self._moments(sums)]
        return tuple(phi.to(x.dtype) for phi, x in zip(maps, self.leaves, strict=True))

    def _reduced(self, mean: Tensor, square: Tensor) -> Tensor:
        if self.reduce == "mean":
            return mean
        if self.reduce == "mean_square":
            return square
        return (square - mean.square()).clamp(min=0) * self.draws / (self.draws - 1)

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        if self.reduce != "mean":
            return None, None
        if self.draws == 1:
            return None, tuple(torch.full_like(x[rows], torch.nan) for x in self.leaves)
        return None, tuple(
            ((square - mean.square()).clamp(min=0) / (self.draws - 1)).sqrt().to(x.dtype)
            for (mean, square), x in zip(self._moments(sums), self.leaves, strict=True)
        )


@final
@checked
@dataclass(frozen=True, repr=False, eq=False)
class SmoothGrad(PathAttribution):
    """Mean gradient in a Gaussian neighbourhood of the input [smilkov2017].

        phi_i(x) = E_e [ d f(x + s e) / d x_i ],  e ~ N(0, 1),  s = sigma * (max x - min x)

    `relative=True` (the paper's scale) multiplies sigma by the range of each row of each input; a row that is constant
    then gets no noise. `relative=False` takes sigma in the units of the input: use it where features have different
    units, with one sigma for each. With `at`, noise is added to the activation.
    `reduce="mean_square"` is SmoothGrad-squared [hooker2019] and "variance" is VarGrad [adebayo2018].
    Explaining, all rows share one set of draws, so that a row's map does not depend on its batch; held by a `Penalty`,
    every row has its own. Cost: `samples` forward and backward passes a row.

    Args:
        sigma: standard deviation of the noise: a number, or, absolute, a tensor (*F), (1, *F) or (B, *F) per input.
        samples: draws for each row; None: 25 to explain, 1 in training (2 for "variance").
        relative: sigma is a multiple of each row's range.
        reduce: what is made of the gradients: mean, mean_square or variance.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: sigma or samples is not sigma is a tensor but relative, or reduce is unknown.
        ShapeError: sigma has not the shape of a row.

    Example:
        >>> import torch, rightreasons as rr
        >>> method = rr.SmoothGrad(sigma=0.1, samples=8)
        >>> method(lambda x: (3 * x).sum(1), torch.tensor([[1.0, 3.0]]))
        tensor([[3., 3.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        random=True,
        note="Linear with reduce='mean' only.",
    )
    advice: ClassVar[Advice] = Advice(
        "gradients of neighbouring inputs disagree and their mean is what you want",
        "features have no common unit and you know no deviation for each",
    )

    sigma: int | float | Inputs = 0.15
    samples: Count | None = None
    relative: bool = True
    reduce: Reduce = "mean"
    output: Output = "logit"
    at: str | None = None

    def __post_init__(self) -> None:
        _check_sigma(self.sigma, self.relative)
        if self.reduce not in get_args(Reduce):
            raise InputError(f"reduce must be one of {', '.join(get_args(Reduce))}; got {self.reduce!r}.")
        if self.reduce == "variance" and self.samples == 1:
            raise InputError("the variance of one sample does not exist: samples must be at least 2.")

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        fewest = 2 if self.reduce == "variance" else 1
        samples = self.samples or (fewest if call.training else SAMPLES_TO_EXPLAIN)
        sets = function.batch if call.training else 1
        # float32 whatever the inputs are, so that the draws of a seed do not depend on their precision.
        noise = tuple(
            torch.randn(sets, samples, *x.shape[1:], generator=call.generator, dtype=torch.float32).to(
                x.device
            )
            for x in function.points
        )
        sigma = matching_rows(self.sigma, function.points, what="sigma")
        return _NoisySum(function, noise, sigma, self.relative, self.reduce)


def _check_sigma(sigma: int | float | Inputs, relative: bool) -> None:
    if isinstance(sigma, int | float):
        usable = sigma > 0 and isfinite(sigma)
    else:
        if relative:
            raise InputError(
                "a sigma for each feature is in the units of the input: pass relative=False with it."
            )
        usable = all(bool((part > 0).all() and part.isfinite().all()) for part in as_tuple(sigma))
    if not usable:
        raise InputError(
            f"sigma is the standard deviation of the noise, positive and finite; got {sigma!r}. "
            "Without noise SmoothGrad is rr.Gradient()."
        )
