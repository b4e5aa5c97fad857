"""Blur integrated gradients: a path from a blurred image to the image, without a baseline."""

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._gaussian import blurred, laplacian
from rightreasons.attribution.path._path import PathAttribution, PathSum, Piece, Points, Sums
from rightreasons.attribution.path._quadrature import Midpoint, Quadrature
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._inputs import row_totals
from rightreasons.core._score import Output
from rightreasons.core.model._function import Block, ScoreFunction

_POWER = 2
"""sigma = max_sigma u^2 with equal steps in u: networks notice the first pixels of blur, and hardly the last."""


class _BlurPath(PathSum):
    """Leaves: the pictures. Statistics: the maps."""

    def __init__(self, function: ScoreFunction, max_sigma: float, rule: Quadrature, steps: int) -> None:
        super().__init__(function, draws=steps, leaves=function.points)
        self.max_sigma = max_sigma
        nodes, weights = rule(steps)
        self.sigmas = max_sigma * nodes**_POWER
        self.weights = weights * _POWER * max_sigma * nodes ** (_POWER - 1)

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        sigmas = self.sigmas[piece.draws]
        points = tuple(blurred(x[piece.rows], sigmas) for x in leaves)
        # Blur is diffusion: d x(sigma) / d sigma = sigma laplacian(x(sigma)), and the path runs from blurred to sharp.
        speed = -(sigmas * self.weights[piece.draws])
        return points, tuple(laplacian(p) * speed.to(p).reshape(-1, 1, 1, 1) for p in points)

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        return tuple((g * moved).sum(1) for g, moved in zip(gradients, carried, strict=True))

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        return sums

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        most = torch.tensor([self.max_sigma], dtype=torch.float64)
        starts = tuple(blurred(x[rows], most).squeeze(1) for x in self.leaves)
        at_start = self.function.scores(starts, Block(rows.start, rows.stop))
        total = row_totals(sums)
        return scores - at_start - total, None


@final
@checked
@dataclass(frozen=True, repr=False)
class BlurIG(PathAttribution):
    """Integrated gradients on the path from the blurred to the sharp picture [xu2020].

        phi_i(x) = integral_{sigma_max}^0 d f(x_s) / d x_i * d x_{s,i} / d s ds,  x_s = x blurred with deviation s

    Nothing stands for "absent" but missing detail, so that a black object is explained like a white one. Complete to
    the blurred picture: sum_i phi_i = f(x) - f(x_{sigma_max}), up to the quadrature error, which `explain(...).gap`
    reports. Blur is by the discrete Gaussian kernel, the solution of the diffusion equation on the grid of pixels with
    borders that let nothing through [lindeberg1990]: the derivative along the path is then exact, and a large
    `max_sigma` gives each channel's mean. Cost: `steps` forward and backward passes a row.

    Args:
        max_sigma: standard deviation of the strongest blur, in pixels.
        steps: points on the path.
        rule: `Midpoint()`, `GaussLegendre()`, `Trapezoid()`, `Left()` or `Right()`.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of a layer of feature maps (B, K, h, w) which are blurred and explained instead of the input.

    Raises:
        InputError: max_sigma or steps is not or `rule` is no quadrature.
        ShapeError: what is explained is no picture (B, C, H, W).

    Example:
        >>> import torch, rightreasons as rr
        >>> x = torch.zeros(1, 1, 5, 5)
        >>> x[..., 2, 2] = 1.0
        >>> maps = rr.BlurIG()(lambda x: x[:, 0, 2, 2], x)
        >>> round(float(maps[0, 0, 2, 2]), 4)  # 1 - 1 / 25: what the centre has more than the mean
        0.96
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        note="Complete to the blurred picture, up to the quadrature error, which `explain(...).gap` reports.",
    )
    advice: ClassVar[Advice] = Advice(
        "detail in a picture is what may be absent",
        "colour or brightness itself is the evidence, or the input is no picture",
    )

    max_sigma: int | float = 50.0
    steps: Count = 50
    rule: Quadrature = Midpoint()
    output: Output = "logit"
    at: str | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.max_sigma) and self.max_sigma > 0):
            raise InputError(
                f"max_sigma is the strongest blur in pixels, positive and finite; got {self.max_sigma!r}."
            )
        if not isinstance(self.rule, Quadrature):
            raise InputError(f"rule must be a quadrature such as rr.Midpoint(); got {self.rule!r}.")

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        for part in function.points:
            if part.dim() != 4:
                raise ShapeError(
                    f"what is blurred are pictures (B, C, H, W); got {tuple(part.shape)}. For other data use "
                    "rr.IntegratedGradients(baseline=...) or rr.ExpectedGradients(references)."
                )
        return _BlurPath(function, float(self.max_sigma), self.rule, self.steps)
