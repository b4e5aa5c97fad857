"""DeepLIFT's rescale rule: activation functions whose backward is the slope from a baseline.

The model runs at the baseline, and what every non-linear function does is remembered; it then runs at x, with the same
functions in the same order, whose derivatives are the slopes between the two. [shrikumar2017]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rightreasons.core._errors import DifferentiabilityError
from rightreasons.core._inputs import wide
from rightreasons.core.model._autograd_graph import Reach
from rightreasons.core.model._function_mode import Call, Intercept, finished
from rightreasons.core.model._grad import score_gradients

_SCALAR = """
    relu relu6 leaky_relu rrelu prelu elu selu celu gelu silu mish softplus softsign tanh sigmoid logsigmoid
    hardtanh hardsigmoid hardswish hardshrink softshrink tanhshrink threshold clamp clip clamp_min clamp_max
    abs exp expm1 log log1p sqrt rsqrt square pow reciprocal sin cos erf
""".split()  # functions of one number
_POOLS = [f"{kind}max_pool{dimensions}d" for kind in ("", "adaptive_") for dimensions in (1, 2, 3)]
_ANSWERS = dict.fromkeys(_SCALAR, "_scalar") | dict.fromkeys(_POOLS, "_pool")
_POOL_SETTINGS = {
    False: ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    True: ("output_size", "return_indices"),
}
_NEAR = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Differences below this, of numbers around 1, are lost in rounding: the slope is then the derivative."""

RESCALED = ("_SlopeBackward", "_WinnersBackward")
"""Names on the tape of the functions put in here."""


class Seen(NamedTuple):
    """What one non-linear function did at the baseline."""

    name: str
    before: Tensor
    after: Tensor
    places: Tensor | None


class AtBaseline(Intercept):
    """Runs a model as it is and keeps, in `seen`, what its non-linear functions did, in order."""

    answers: ClassVar[Mapping[str, str]] = _ANSWERS

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []

    def _scalar(self, call: Call) -> Tensor:
        before, after, overwrites = call.values()
        self.seen.append(Seen(call.name, before, after, None))
        return finished(call, after.clone(), overwrites)

    def _pool(self, call: Call) -> Tensor:
        after, places = _pooled(call)
        self.seen.append(Seen(call.name, call.x.detach().clone(), after, places))
        return after.clone()


class Rescaled(Intercept):
    """Runs a model with its own values, and slopes from what was `seen` at the baseline as derivatives.

    Args:
        seen: at the baseline.
        leaves: what is explained.

    Raises:
        DifferentiabilityError: the model does not run the same functions here as at the baseline.
    """

    answers: ClassVar[Mapping[str, str]] = _ANSWERS

    def __init__(self, seen: list[Seen], leaves: Sequence[Tensor]) -> None:
        super().__init__()
        self.left: Iterator[Seen] = iter(seen)
        self.reaches = Reach(leaves)

    def _scalar(self, call: Call) -> Tensor:
        base = self._same(call, call.x)
        if any(map(self.reaches, call.others)):
            return call.as_it_is()  # of two numbers: the tape shows it, and it is refused
        before, after, overwrites = call.values()
        slope = _slope(call, (base.before, base.after), (before, after))
        return finished(call, _Slope.apply(call.x, after, slope), overwrites)

    def _pool(self, call: Call) -> Tensor:
        after, here = _pooled(call)
        base = self._same(call, call.x)
        largest = torch.maximum(after, base.after)
        difference = wide(call.x.detach()) - wide(base.before)
        kept = (difference, _is_far(difference, base.before), here, base.places)
        kept = (*kept, wide(largest - base.after), wide(after - largest))
        return _Winners.apply(call.x, after, int(call.name[-2]), *kept)

    def _same(self, call: Call, x: Tensor) -> Seen:
        base = next(self.left, None)
        if base is None or base.name != call.name or base.before.shape != x.shape:
            raise DifferentiabilityError(
                "DeepLift compares what every function does at x with what it did at the baseline, but the model does "
                f"not run the same functions there (found at {call.name!r}): its way depends on the data. "
                "Use rr.IntegratedGradients()."
            )
        return base


def _is_far(difference: Tensor, value: Tensor) -> Tensor:
    return difference.abs() > _NEAR[difference.dtype] * (1 + value.abs())


def _slope(call: Call, base: tuple[Tensor, Tensor], here: tuple[Tensor, Tensor]) -> Tensor:
    """Between (before, after) there and here, by the function in at least float32: halves are rounded too much."""
    function: Callable[[Tensor], Tensor] = call.on
    if here[0].dtype not in _NEAR:
        function = call.in_float32()
        base, here = ((wide(before), function(wide(before))) for before, _ in (base, here))
    difference = here[0] - base[0]
    far = _is_far(difference, here[0])
    slope = (here[1] - base[1]) / torch.where(far, difference, 1.0)
    return slope if bool(far.all()) else torch.where(far, slope, _derivative(function, here[0]))


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        return score_gradients(function(leaf.clone()), (leaf,))[0]


def _pooled(call: Call) -> tuple[Tensor, Tensor]:
    """Values, and where in its window each was found, counted through the pooled dimensions."""
    named = dict(zip(_POOL_SETTINGS["adaptive" in call.name], call.rest, strict=False)) | call.kwargs
    with torch.no_grad():
        return getattr(F, call.name)(call.x.detach(), **(named | {"return_indices": True}))


class _Slope(torch.autograd.Function):
    """A value that was computed already, with a given slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None]:
        return cotangents[0] * ctx.saved_tensors[0], None, None


class _Winners(torch.autograd.Function):
    """Max-pooling whose change from the baseline, y - y', is shared by the winners of its windows here and there.

    The winner at x gets max(y, y') - y', the one at the baseline y - max(y, y'): each has moved at least that far, so
    that slopes lie between 0 and 1. Where nothing moved, the winner at x passes on what it gets.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, dimensions: int, *kept: Tensor) -> Tensor:
        ctx.dimensions = dimensions
        ctx.save_for_backward(*kept)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        difference, far, here, there, gain, loss = ctx.saved_tensors
        g, dimensions = wide(cotangents[0]), ctx.dimensions

        def placed(values: Tensor, places: Tensor) -> Tensor:
            flat = torch.zeros_like(difference).flatten(-dimensions)
            flat = flat.scatter_add(-1, places.flatten(-dimensions), values.flatten(-dimensions))
            return flat.reshape(difference.shape)

        slopes = (placed(g * gain, here) + placed(g * loss, there)) / torch.where(far, difference, 1.0)
        return torch.where(far, slopes, placed(g, here)), *(None,) * 8
