"""Guided backpropagation and deconvnet: gradients with modified ReLU backward rules."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution._blockwise import Blockwise, Part, as_leaves, blocks
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._score import Output
from rightreasons.core.model._autograd_graph import Operation, Reach, is_linear, operations
from rightreasons.core.model._function import Block, ScoreFunction
from rightreasons.core.model._function_mode import Call, Intercept
from rightreasons.core.model._grad import score_gradients

Gradients: TypeAlias = tuple[Tensor | None, ...]
ReluRule: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(gradient of its input, gradient of its output) of a ReLU -> what it passes back instead."""

INSTEAD = "Use rr.Gradient() or rr.SmoothGrad() in training, whose maps are derivatives."

# Activations made for the same purpose as a ReLU, for which neither paper says what to do.
_UNDEFINED = frozenset(
    (
        "LeakyRelu",
        "PreluKernel",
        "RreluWithNoise",
        "Elu",
        "Celu",
        "Gelu",
        "Silu",
        "Mish",
        "Hardswish",
        "Softplus",
        "Glu",
    )
)


class _Compared(Intercept):
    """Notes comparisons of what was computed from the leaves: how a ReLU is made by hand, or a step.

    Like every `Intercept` it also sees to it that what is done in place on a part of a tensor is on the tape.
    """

    answers: ClassVar[Mapping[str, str]] = dict.fromkeys(
        "gt ge lt le greater greater_equal less less_equal sign sgn signbit heaviside fmax".split(), "_note"
    )

    def __init__(self, leaves: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.reaches = Reach(leaves)
        self.found = ""

    def _note(self, call: Call) -> Any:
        if any(map(self.reaches, (call.x, *call.others))):
            self.found = call.name
        return call.as_it_is()


def relu_gradients(
    function: ScoreFunction, points: tuple[Tensor, ...], block: Block, rule: ReluRule, method: str
) -> tuple[Tensor, ...]:
    """Gradients of the scores in which every ReLU on the way passes back what `rule` says.

    The rule hangs on the tape of this one forward pass, so functional, in-place and re-used ReLUs are all found, and
    nothing is left on the model.

    Raises:
        InputError: there is no ReLU, so that the map would be the gradient.
        DifferentiabilityError: an operation on the way might be a ReLU, or is a kin of it without a rule.
    """
    leaves = as_leaves(points)
    with _Compared(leaves) as compared:
        scores = function.scores(leaves, block)
    if compared.found:
        raise DifferentiabilityError(
            f"{method} has to see every ReLU, and a comparison of activations ({compared.found}) may be one made by "
            "hand. Write it with torch.relu, or use rr.Gradient() or rr.SmoothGrad()."
        )
    count = 0
    for operation in operations(scores, leaves):
        _refuse(operation, method)
        if _is_relu(operation):
            operation.node.register_hook(_passing_back(rule, operation.inputs[0]))
            count += 1
    if count == 0 and scores.requires_grad:
        raise InputError(
            f"no ReLU lies between what is explained and the output, so {method} would be the plain gradient under "
            "another name. Use rr.Gradient()."
        )
    return score_gradients(scores, leaves)


def _passing_back(rule: ReluRule, position: int) -> Callable[[Gradients, Gradients], Gradients | None]:
    def hook(inputs: Gradients, outputs: Gradients) -> Gradients | None:
        inwards, outwards = inputs[position], outputs[0]
        if inwards is None or outwards is None:
            return None
        return (*inputs[:position], rule(inwards, outwards), *inputs[position + 1 :])

    return hook


def _is_relu(operation: Operation) -> bool:
    if operation.kind == "Relu":
        return True
    low = {"Threshold": "threshold", "Hardtanh": "min_val", "Clamp": "min", "ClampMin": "min"}.get(
        operation.kind
    )
    if low is not None:
        return _is_zero(operation.saved(low))
    if operation.kind == "Maximum" and len(operation.inputs) == 1:
        return _is_zero(operation.saved("other" if operation.inputs == (0,) else "self"))
    return False


def _is_zero(value: Any) -> bool:
    return not value.any() if isinstance(value, Tensor) else value == 0 and value is not None


def _refuse(operation: Operation, method: str) -> None:
    if operation.is_custom and not is_linear(operation):
        raise DifferentiabilityError(
            f"{method} has to see every ReLU, and a custom function ({operation.name}) may hide one. "
            "Write it with PyTorch's own functions, or use rr.Gradient() or rr.SmoothGrad()."
        )
    if operation.kind in _UNDEFINED:
        raise DifferentiabilityError(
            f"{method} is defined by what happens at ReLUs; this model has {operation.kind} ({operation.name}), for "
            "which no rule was published, and a rule of our own would bear the wrong name. Use rr.SmoothGrad()."
        )


class ThroughRelus(Blockwise):
    """A value whose map is the gradient with another rule at every ReLU.

    Attributes:
        called: the method's name in messages.
    """

    called: ClassVar[str]
    instead: ClassVar[str] = INSTEAD
    output: Output

    @staticmethod
    @abstractmethod
    def passed_back(inwards: Tensor, outwards: Tensor) -> Tensor:
        """What a ReLU passes back, given the gradients of its input and of its output."""

    @property
    def explains(self) -> Output:
        return self.output

    def pieces(self, function: ScoreFunction, chunk: int) -> Iterator[Part]:
        for block, points in blocks(function, chunk):
            maps = relu_gradients(function, points, block, self.passed_back, self.called)
            yield Part(maps, len(points[0]))


@final
@checked
@dataclass(frozen=True, repr=False)
class GuidedBackprop(ThroughRelus):
    """Gradient in which every ReLU passes back only what is positive [springenberg2015].

        R_in = max(R_out, 0) * 1[z > 0]  at every ReLU z -> max(z, 0)

    Sharp pictures that say little about the class: measured to be nearly the same whatever output is asked for, and
    invariant to the weights of the upper layers [nielsen2022], [adebayo2018]. A control rather than an explanation.
    ReLU6, clamps, thresholds and maxima at 0 count as ReLUs; sigmoid, tanh and softmax keep their derivative; other
    rectifiers (leaky, ELU, GELU, SiLU, ...) are refused, and so are comparisons of activations (x * (x > 0)).
    Cost: one forward and one backward pass.

    Args:
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: no ReLU lies on the way.
        DifferentiabilityError: with `create_graph=True`; or the model has an operation that may hide a ReLU.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.GuidedBackprop()(lambda x: x.relu() @ torch.tensor([2.0, -3.0]), torch.tensor([[1.0, 1.0]]))
        tensor([[2., 0.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=False,
        note="Hardly depends on the output that is asked for.",
    )
    advice: ClassVar[Advice] = Advice(
        "you need a sharp picture of the edges a network reads",
        "the question is why this class: the map hardly depends on it",
    )
    called = "guided backpropagation"

    output: Output = "logit"
    at: str | None = None

    @staticmethod
    def passed_back(inwards: Tensor, outwards: Tensor) -> Tensor:
        return inwards.relu()


@final
@checked
@dataclass(frozen=True, repr=False)
class Deconvnet(ThroughRelus):
    """Gradient in which every ReLU rectifies what is passed back, and nothing else [zeiler2014].

        R_in = max(R_out, 0)  at every ReLU, open or not

    Which operations count as ReLUs is as for `GuidedBackprop`. Cost: one forward and one backward pass.

    Args:
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: no ReLU lies on the way.
        DifferentiabilityError: with `create_graph=True`; or the model has an operation that may hide a ReLU.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.Deconvnet()(lambda x: x.relu() @ torch.tensor([2.0, -3.0]), torch.tensor([[-1.0, 1.0]]))
        tensor([[2., 0.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=False,
        note="Hardly depends on the input, nor on the output that is asked for.",
    )
    advice: ClassVar[Advice] = Advice(
        "you reproduce older work",
        "anything else: it hardly depends on the input's own activations",
    )
    called = "the deconvolutional network"

    output: Output = "logit"
    at: str | None = None

    @staticmethod
    def passed_back(inwards: Tensor, outwards: Tensor) -> Tensor:
        return outwards.relu()
