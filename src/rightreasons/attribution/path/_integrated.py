"""Integrated gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call, Explanation
from rightreasons.attribution.path._path import (
    PathAttribution,
    PathSum,
    Piece,
    Points,
    Sums,
)
from rightreasons.attribution.path._quadrature import GaussLegendre, Quadrature
from rightreasons.attribution.path._references import baselines
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, row_totals
from rightreasons.core._score import Output, Target
from rightreasons.core.model._function import Block, ScoreFunction
from rightreasons.core.model._guard import Model


class _StraightLine(PathSum):
    """sum_j w_j grad f(b + a_j (x - b)), times x - b. Leaves: x of every input, then b of every input."""

    def __init__(
        self,
        function: ScoreFunction,
        baseline: tuple[Tensor, ...],
        rule: Quadrature,
        steps: int,
        multiply_by_inputs: bool,
    ) -> None:
        super().__init__(function, draws=steps, leaves=(*function.points, *baseline))
        self.nodes, self.weights = rule(steps)
        self.multiply_by_inputs = multiply_by_inputs

    def _ends(self, leaves: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
        half = len(leaves) // 2
        return list(zip(leaves[:half], leaves[half:], strict=True))

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        points = []
        for x, base in self._ends(leaves):
            alpha = _over_draws(self.nodes[piece.draws], x)
            start = base[piece.rows].unsqueeze(1)
            points.append(start + alpha * (x[piece.rows].unsqueeze(1) - start))
        return tuple(points), piece

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        return tuple((_over_draws(self.weights[carried.draws], g[:, 0]) * g).sum(1) for g in gradients)

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        if not self.multiply_by_inputs:
            return sums
        ends = self._ends(self.leaves)
        return tuple((x[rows] - base[rows]) * g for (x, base), g in zip(ends, sums, strict=True))

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        if not self.multiply_by_inputs:
            return None, None
        ends = self._ends(self.leaves)
        starts = tuple(base[rows] for _, base in ends)
        at_baseline = self.function.scores(starts, Block(rows.start, rows.stop))
        total = row_totals(self.combine(sums, rows))
        return scores - at_baseline - total, None


def _over_draws(values: Tensor, like: Tensor) -> Tensor:
    """(m,) as (1, m, 1, ...), to multiply (b, m, *F), where `like` is (b, *F)."""
    return values.to(device=like.device, dtype=like.dtype).reshape(1, -1, *(1,) * (like.dim() - 1))


@final
@checked
@dataclass(frozen=True, repr=False, eq=False)
class IntegratedGradients(PathAttribution):
    """Average gradient on the straight line from a baseline b, times the displacement [sundararajan2017].

        phi_i(x) = (x_i - b_i) * integral_0^1 d f(b + a (x - b)) / d x_i da

    The integral is a quadrature with `steps` points. Complete up to the quadrature error, which
    `explain(...).gap` reports: sum_i phi_i = f(x) - f(b). Cost: `steps` forward and backward passes a row.

    Args:
        baseline: a number, or a tensor of shape (*F), (1, *F) or (B, *F), one for each input; with `at`, model inputs.
        steps: points on the line.
        rule: `GaussLegendre()`, `Midpoint()`, `Trapezoid()`, `Left()` or `Right()`.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.
        multiply_by_inputs: False leaves out the factor x_i - b_i: the mean gradient on the line, a slope, not complete.

    Raises:
        InputError: `steps` is not or `rule` is no quadrature.

    Example:
        >>> import torch, rightreasons as rr
        >>> maps = rr.IntegratedGradients(steps=8)(lambda x: (x**2).sum(1), torch.tensor([[1.0, 3.0]]))
        >>> maps.round(decimals=4)
        tensor([[1., 9.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        needs_baseline=True,
        note="Complete up to the quadrature error, which `explain(...).gap` reports.",
    )
    advice: ClassVar[Advice] = Advice(
        "one baseline means absent and the map has to add up",
        "no single baseline is neutral",
    )

    baseline: int | float | Inputs = 0.0
    steps: Count = 50
    rule: Quadrature = GaussLegendre()
    output: Output = "logit"
    at: str | None = None
    multiply_by_inputs: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Quadrature):
            raise InputError(f"rule must be a quadrature such as rr.GaussLegendre(); got {self.rule!r}.")

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        baseline = self.baseline if call.baseline is None else call.baseline
        start = baselines(function, baseline)
        return _StraightLine(function, start, self.rule, self.steps, self.multiply_by_inputs)

    def __call__(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        baseline: int | float | Inputs | None = None,
        generator: torch.Generator | None = None,
        create_graph: bool = False,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """As `PathAttribution.__call__`; `baseline` replaces the field, and may carry a graph of its own."""
        call = Call(generator, create_graph, chunk, model_kwargs, baseline=baseline)
        return self._maps(model, inputs, target, call)

    def explain(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        baseline: int | float | Inputs | None = None,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """As `PathAttribution.explain`, with the completeness gap of the quadrature."""
        call = Call(generator, chunk=chunk, model_kwargs=model_kwargs, baseline=baseline)
        return self._explanation(model, inputs, target, call)
