"""Gradient (saliency), and input times gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._path import PathAttribution, PathSum, Piece, Points, Sums
from rightreasons.core._checked import checked
from rightreasons.core._score import Output
from rightreasons.core.model._function import ScoreFunction


class GradientSum(PathSum):
    """The gradient at what is explained, times it if asked to."""

    def __init__(self, function: ScoreFunction, times_input: bool) -> None:
        super().__init__(function, draws=1, leaves=function.points)
        self.times_input = times_input

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        return tuple(x[piece.rows].unsqueeze(1) for x in leaves), None

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        return tuple(g.squeeze(1) for g in gradients)

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        if not self.times_input:
            return sums
        return tuple(x[rows] * g for x, g in zip(self.leaves, sums, strict=True))


@final
@checked
@dataclass(frozen=True, repr=False)
class Gradient(PathAttribution):
    """Derivative of the explained output with respect to every input feature [simonyan2014].

        phi_i(x) = d f(x) / d x_i

    Implementation invariant; neither complete nor sensitive (a saturated feature has gradient zero).
    Cost: one forward and one backward pass.

    Args:
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.Gradient()(lambda x: (x**2).sum(1), torch.tensor([[1.0, 3.0]]))
        tensor([[2., 6.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
    )
    advice: ClassVar[Advice] = Advice(
        "you ask what would change the output right here",
        "the output is saturated, or a map has to add up",
    )

    output: Output = "logit"
    at: str | None = None

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return GradientSum(function, times_input=False)


@final
@checked
@dataclass(frozen=True, repr=False)
class InputTimesGradient(PathAttribution):
    """Gradient times input [shrikumar2016].

        phi_i(x) = x_i * d f(x) / d x_i

    Complete only where f is positively homogeneous (piecewise linear without biases). Cost: one forward and one
    backward pass.

    Args:
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.InputTimesGradient()(lambda x: (x**2).sum(1), torch.tensor([[1.0, 3.0]]))
        tensor([[ 2., 18.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        note="Complete without biases on piecewise linear networks: sums to f(x).",
    )
    advice: ClassVar[Advice] = Advice(
        "you need a quick look, and zero means absent",
        "the network has biases and the map has to add up",
    )

    output: Output = "logit"
    at: str | None = None

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return GradientSum(function, times_input=True)
