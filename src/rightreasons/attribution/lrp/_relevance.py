"""Functions whose backward propagates relevance instead of gradients.

What autograd carries from output to input is, inside, the relevance of every tensor. Layers share it by their rule;
sums, means and averages in proportion to their terms; activations, and everything that only moves numbers, pass it on.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from rightreasons.attribution.lrp._rules import STABILIZER, Rule, Share
from rightreasons.core.model._autograd_graph import Operation, Reach, moves
from rightreasons.core.model._function_mode import Call, Intercept, finished
from rightreasons.core.model._grad import vector_jacobian

_PASSING = """
    relu relu6 leaky_relu rrelu prelu elu selu celu gelu silu mish softplus softsign tanh sigmoid hardtanh
    hardsigmoid hardswish hardshrink softshrink tanhshrink threshold clamp clip clamp_min clamp_max neg negative
""".split()
_AVERAGING = """
    mean sum avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
""".split()
_ADDING = ["add", "radd", "sub", "rsub", "subtract"]
_SCALING = ["mul", "rmul", "multiply", "div", "truediv", "true_divide", "divide"]
_CONVOLUTIONS = [f"conv{n}d" for n in (1, 2, 3)]
_TRANSPOSED = [f"conv_transpose{n}d" for n in (1, 2, 3)]
_SETTINGS = {
    "linear": ("weight", "bias"),
    **dict.fromkeys(_CONVOLUTIONS, ("weight", "bias", "stride", "padding", "dilation", "groups")),
    **dict.fromkeys(
        _TRANSPOSED, ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    ),
    "batch_norm": ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
}
_OURS = ("_LayerBackward", "_ProportionalBackward", "_PassBackward")
_WINNER_TAKES_ALL = (
    *(
        "MaxPool2DWithIndices",
        "MaxPool3DWithIndices",
        "AdaptiveMaxPool2D",
        "AdaptiveMaxPool3D",
        "Max",
        "Amax",
    ),
    *("UpsampleNearest1D", "UpsampleNearest2D", "UpsampleNearest3D"),
)

Linear: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(input, weight, bias) -> output of a layer."""


class Layer(NamedTuple):
    """A linear layer as it was called.

    Attributes:
        run: the layer as a function of input, weight and bias.
        weight: its weight.
        bias: its bias, if any.
        outputs: dimension of the weight that counts output channels; None where it cannot be scaled by channel.
    """

    run: Linear
    weight: Tensor
    bias: Tensor | None
    outputs: int | None


class Relevance(Intercept):
    """Runs a model with its own values, whose backward pass carries relevance.

    Args:
        leaves: what is explained.
        rule: called once for each call of a linear layer, with whether the layer reads what is explained: its rule.
        merge_norms: batch-norm directly behind a linear layer is taken as part of that layer.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "linear": "_linear",
        "matmul": "_matmul",
        "mm": "_matmul",
        "batch_norm": "_batch_norm",
        "interpolate": "_interpolate",
        **dict.fromkeys((*_CONVOLUTIONS, *_TRANSPOSED), "_convolution"),
        **dict.fromkeys(_PASSING, "_passing"),
        **dict.fromkeys(_AVERAGING, "_averaging"),
        **dict.fromkeys(_ADDING, "_adding"),
        **dict.fromkeys(_SCALING, "_scaling"),
    }

    def __init__(self, leaves: Sequence[Tensor], rule: Callable[[bool], Rule], *, merge_norms: bool) -> None:
        super().__init__()
        self.reaches = Reach(leaves)
        self.behind_layers = Reach((), through=("_LayerBackward",))
        self.rule, self.merge_norms = rule, merge_norms
        self.made: dict[int, tuple[Any, int, Tensor, Layer, Rule]] = {}

    def _linear(self, call: Call) -> Tensor:
        named = _named(call)
        return self._layer(call, Layer(F.linear, named["weight"], named.get("bias"), 0))

    def _convolution(self, call: Call) -> Tensor:
        named = _named(call)
        weight, bias = named.pop("weight"), named.pop("bias", None)
        function = getattr(F, call.name)

        def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return function(x, weight, bias, **named)

        plain = call.name in _CONVOLUTIONS
        outputs = 0 if plain else 1 if named.get("groups", 1) == 1 else None
        return self._layer(call, Layer(run, weight, bias, outputs))

    def _matmul(self, call: Call) -> Any:
        other = call.rest[0] if call.rest else next(iter(call.kwargs.values()))
        return self._layer(call, Layer(lambda x, w, _: x @ w, other, None, None))

    def _layer(self, call: Call, layer: Layer) -> Any:
        if not self.reaches(call.x) or self.reaches(layer.weight) or self.reaches(layer.bias):
            return call.as_it_is()
        return self._through(call.x, layer, self.rule(not self.behind_layers(call.x)))

    def _through(self, x: Tensor, layer: Layer, rule: Rule) -> Tensor:
        z = _Layer.apply(x, layer, rule)
        # Weakly: what this remembers must not keep activations alive.
        self.made[id(z)] = (weakref.ref(z), z._version, x, layer, rule)
        return z

    def _batch_norm(self, call: Call) -> Any:
        named = _named(call)
        if not self.reaches(call.x) or named.get("training") or named.get("running_mean") is None:
            return call.as_it_is()
        scale = (named["running_var"] + named.get("eps", 1e-5)).rsqrt()
        scale = scale if named.get("weight") is None else scale * named["weight"]
        shift = -named["running_mean"] * scale
        shift = shift if named.get("bias") is None else shift + named["bias"]
        reference, version, x, layer, rule = self.made.get(id(call.x), (lambda: None, 0, None, None, None))
        direct = reference() is call.x and call.x._version == version
        if self.merge_norms and direct and x is not None and layer is not None and rule is not None:
            merged = _merged(layer, scale.detach(), shift.detach())
            if merged is not None:
                return self._through(x, merged, rule)
        return self._layer(call, Layer(_by_channel, scale.detach(), shift.detach(), None))

    def _passing(self, call: Call) -> Any:
        if not self.reaches(call.x) or any(map(self.reaches, call.others)):
            return call.as_it_is()
        _, after, overwrites = call.values()
        return finished(call, _Pass.apply(call.x, after), overwrites)

    def _averaging(self, call: Call) -> Any:
        if not self.reaches(call.x):
            return call.as_it_is()
        return _Proportional.apply(call.on, call.x.detach(), call.x)

    def _interpolate(self, call: Call) -> Any:
        mode = call.kwargs.get("mode", call.rest[2] if len(call.rest) > 2 else "nearest")
        return call.as_it_is() if mode.startswith("nearest") else self._averaging(call)

    def _adding(self, call: Call) -> Any:
        other = call.rest[0] if call.rest else call.kwargs.get("other")
        both = [isinstance(part, Tensor) and self.reaches(part) for part in (call.x, other)]
        if not any(both):
            return call.as_it_is()
        before, after, overwrites = call.values()
        if all(both) and isinstance(other, Tensor):
            settings = {key: value for key, value in call.kwargs.items() if key != "other"}
            add = partial(_out_of_place(call.name), **settings)
            result = _Proportional.apply(add, before, other.detach(), call.x, other)
        else:
            result = _Pass.apply(call.x if both[0] else other, after)
        return finished(call, result, overwrites)

    def _scaling(self, call: Call) -> Any:
        other = call.rest[0] if call.rest else call.kwargs.get("other")
        if isinstance(other, Tensor) and self.reaches(other):
            if call.name not in ("mul", "multiply") or self.reaches(call.x):
                return call.as_it_is()
            _, after, overwrites = call.values()
            return finished(call, _Pass.apply(other, after), overwrites)
        if not self.reaches(call.x):
            return call.as_it_is()
        _, after, overwrites = call.values()
        return finished(call, _Pass.apply(call.x, after), overwrites)


def is_understood(operation: Operation) -> bool:
    """Whether relevance passes an operation on the tape as it should."""
    return moves(operation) or operation.name in _OURS or operation.kind in _WINNER_TAKES_ALL


def _out_of_place(name: str) -> Callable[..., Tensor]:
    return {"sub": torch.sub, "subtract": torch.sub, "rsub": torch.rsub}.get(name, torch.add)


def _named(call: Call) -> dict[str, Any]:
    return dict(zip(_SETTINGS[call.name], call.rest, strict=False)) | call.kwargs


def _by_channel(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    shape = (-1, *(1,) * (x.dim() - 2))
    scaled = x * weight.reshape(shape)
    return scaled if bias is None else scaled + bias.reshape(shape)


def _merged(layer: Layer, scale: Tensor, shift: Tensor) -> Layer | None:
    """The layer with a batch-norm behind it as one layer."""
    if layer.outputs is None:
        return None
    shape = [1] * layer.weight.dim()
    shape[layer.outputs] = -1
    bias = shift if layer.bias is None else shift + layer.bias.detach() * scale
    return layer._replace(weight=layer.weight.detach() * scale.reshape(shape), bias=bias)


def _quotient(relevance: Tensor, z: Tensor, epsilon: int | float) -> Tensor:
    """R / (z + epsilon sign z), and 0 where that is R / 0."""
    denominator = z + torch.where(z < 0, -epsilon, epsilon).to(z)
    usable = denominator != 0
    return torch.where(usable, relevance, 0.0) / torch.where(usable, denominator, 1.0)


class _Pass(torch.autograd.Function):
    """A value that was computed already; relevance is passed on, and summed over what was broadcast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        ctx.shape = x.shape
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        return cotangents[0].sum_to_size(ctx.shape), None


class _Proportional(torch.autograd.Function):
    """(function, values..., tensors...): a homogeneous linear function of several tensors.

    Each entry gets the part of the relevance that its term has in the sum. The tensors carry the graph, the values the
    numbers, as a tensor may be overwritten by the very function that is computed.
    """

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *values_and_tensors: Tensor) -> Tensor:
        half = len(values_and_tensors) // 2
        ctx.function, ctx.count = function, half
        ctx.save_for_backward(*values_and_tensors[:half])
        return function(*values_and_tensors[:half])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        values = [value.detach().requires_grad_() for value in ctx.saved_tensors]
        with torch.enable_grad():
            z = ctx.function(*values)
        shares = vector_jacobian([z], values, [_quotient(cotangents[0], z.detach(), STABILIZER)])
        relevance = (None if s is None else v.detach() * s for v, s in zip(values, shares, strict=True))
        return None, *(None,) * ctx.count, *relevance


class _Layer(torch.autograd.Function):
    """A linear layer that shares relevance by its rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Layer, rule: Rule) -> Tensor:
        ctx.layer, ctx.rule = layer, rule
        ctx.save_for_backward(x)
        return layer.run(x, layer.weight, layer.bias)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None]:
        layer: Layer = ctx.layer
        x, weight = ctx.saved_tensors[0].detach(), layer.weight.detach()
        bias = None if layer.bias is None else layer.bias.detach()
        with torch.no_grad():
            shares = ctx.rule.shares(x, weight, bias, layer.run(x, weight, bias))
        total = torch.zeros_like(x)
        for share in shares:
            total = total + _shared(layer.run, share, cotangents[0])
        return total, None, None


def _shared(run: Linear, share: Share, relevance: Tensor) -> Tensor:
    inputs = [x.detach().requires_grad_() for x, _ in share.parts]
    weights = [weight for _, weight in share.parts]
    with torch.enable_grad():
        biases = [share.bias] + [None] * (len(inputs) - 1)
        z = torch.stack([run(*each) for each in zip(inputs, weights, biases, strict=True)]).sum(0)
    part = relevance if share.where is None else torch.where(share.where, relevance, 0.0)
    back = vector_jacobian([z], inputs, [_quotient(share.of * part, z.detach(), share.epsilon)])
    return torch.stack([x.detach() * s for x, s in zip(inputs, back, strict=True) if s is not None]).sum(0)
