"""X-Gradient: integrated gradients in closed form, for networks without biases."""

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._gradient import GradientSum
from rightreasons.attribution.path._path import PathAttribution, PathSum, Points, Sums
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import row_totals
from rightreasons.core._score import Output
from rightreasons.core.model._function import ScoreFunction

_NEAR = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Of a gap against the size of the terms it is the sum of."""


class _HomogeneousSum(GradientSum):
    def observe(self, points: Points, scores: Tensor, gradients: Points) -> None:
        terms = [(p * g).detach() for p, g in zip(points, gradients, strict=True)]
        size = row_totals([term.abs() for term in terms]) + scores.detach().abs()
        gap = (scores.detach() - row_totals(terms)).abs()
        if bool((gap > _NEAR.get(self.function.precision, 5e-2) * size).any()):
            raise InputError(
                "XGradient is integrated gradients where f(a x) = a f(x); here maps miss the output by up to "
                f"{float(gap.max()):.3g}: biases, shifts of batch-norm, saturation, attention or normalisation. "
                "Take out what can be with rr.homogenize(model) and train that, or use rr.IntegratedGradients()."
            )

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        return scores - row_totals(self.combine(sums, rows)), None


@final
@checked
@dataclass(frozen=True, repr=False)
class XGradient(PathAttribution):
    """Integrated gradients from the baseline 0 in one gradient, on networks without biases [hesse2021].

        phi_i(x) = x_i * d f(x) / d x_i = x_i * integral_0^1 d f(a x) / d x_i da,  where f(a x) = a f(x) for all a >= 0

    The numbers are those of `InputTimesGradient`; what is added is the promise: maps sum to f(x), which is verified in
    every call, and all axioms of integrated gradients hold. `homogenize(model)` makes such a network of another one,
    to be trained. Cheap enough to train with: as many passes as the gradient. Explains the logit; a probability is not
    homogeneous. Cost: one forward and one backward pass.

    Args:
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: the maps of some row do not sum to its output: the network is not homogeneous.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.XGradient()(lambda x: x.relu() @ torch.tensor([2.0, -3.0]), torch.tensor([[1.0, 2.0]]))
        tensor([[ 2., -6.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        note="Networks with f(a x) = a f(x); others are refused. The baseline is 0.",
    )
    advice: ClassVar[Advice] = Advice(
        "you train with a penalty and may build the network without biases",
        "the network cannot do without them, or zero is no baseline",
    )

    at: str | None = None
    output: Output = field(default="logit", init=False)

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return _HomogeneousSum(function, times_input=True)
