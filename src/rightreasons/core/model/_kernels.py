"""Layers whose double backward skips zero or unused terms.

PyTorch's own double backward of a convolutional ReLU network does two needless things. The gradient of a ReLU or a
max-pooling does not depend smoothly on its input, but autograd returns *tensors of zeros* for it, and a whole backward
pass of zeros, weight gradients included, follows through the forward graph. And a convolution's weight gradient in
the second pass is computed as a convolution with a kernel the size of the image, instead of by the weight-gradient
kernel. With the layers below one draw on six 3x3 convolutions costs what the arithmetic says, see
`benchmarks/engines.py`. Values and gradients are those of the layers they stand for, to rounding, to any order.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_aten = torch.ops.aten
_only = threading.local()


@contextmanager
def toward(points: Sequence[Tensor]) -> Iterator[None]:
    """A backward pass inside wants gradients of `points` only, so convolutions leave those of their weights out.

    PyTorch tells its own kernels which gradients nobody asked for, but not functions written in Python. On devices
    whose backward runs in another thread this has no effect but time.
    """
    before = getattr(_only, "points", None)
    _only.points = tuple(points)
    try:
        yield
    finally:
        _only.points = before


class SecondOrderKernels(TorchFunctionMode):
    """While a model runs inside, its ReLUs, 2-d max-poolings, convolutions and attention are those of this file.

    Whatever they do not cover (autocast, padding by name, tensor subclasses, unbatched images) stays with PyTorch.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        ours = _REPLACED.get(func)
        if ours is not None:
            result = ours(*args, **(kwargs or {}))
            if result is not None:
                return result
        return func(*args, **(kwargs or {}))


def _plain(*tensors: Tensor | None) -> bool:
    return all(t is None or type(t) in (Tensor, nn.Parameter) for t in tensors)


class _ReLU(torch.autograd.Function):
    """max(x, 0), whose gradient is a constant mask."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.relu(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return _aten.threshold_backward(cotangents[0], y.detach(), 0)


class _ReLUInPlace(torch.autograd.Function):
    """The same, written over its input."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.relu_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_dirty(inputs[0])
        ctx.save_for_backward(output)

    backward = _ReLU.backward


def _relu(input: Tensor, inplace: bool = False) -> Tensor | None:
    if not _plain(input) or not input.requires_grad or (inplace and input._is_view()):
        return None
    return (_ReLUInPlace if inplace else _ReLU).apply(input)


def _relu_in_place(input: Tensor) -> Tensor | None:
    return _relu(input, inplace=True)


class _MaxPool2d(torch.autograd.Function):
    """The largest value of each window, whose gradient goes to a constant place."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, settings: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        return _aten.max_pool2d_with_indices(x, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.settings = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        x, places = ctx.saved_tensors
        return _aten.max_pool2d_with_indices_backward(cotangents[0], x.detach(), *ctx.settings, places), None


def _max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    if not _plain(input) or not input.requires_grad or return_indices:
        return None
    settings = (
        _numbers(kernel_size, 2),
        _numbers(stride, 2) if stride is not None else [],
        _numbers(padding, 2),
        _numbers(dilation, 2),
        ceil_mode,
    )
    return _MaxPool2d.apply(input, settings)[0]


def _numbers(value: Any, dimensions: int) -> list[int]:
    return [value] * dimensions if isinstance(value, int) else list(value)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """x * scale + shift: what batch-norm is in eval mode."""
    usable = _plain(input, running_mean, running_var, weight, bias) and not torch.is_autocast_enabled(
        input.device.type
    )
    if training or running_mean is None or running_var is None or not usable:
        return None
    scale = (running_var + eps).rsqrt()
    if weight is not None:
        scale = weight * scale
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    channels = (1, -1, *(1,) * (input.dim() - 2))
    return torch.addcmul(shift.reshape(channels), input, scale.reshape(channels))


class _Convolution(torch.autograd.Function):
    """A convolution whose backward is a `_ConvolutionBackward`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]) -> Tensor:
        return _aten.convolution(x, weight, bias, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.settings = inputs[3]
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        g, needed = cotangents[0], ctx.needs_input_grad
        to_x = _ConvolutionBackward.apply(g, x.detach(), weight, ctx.settings) if needed[0] else None
        if _unwanted(weight):
            return to_x, None, None, None
        mask = (False, needed[1], needed[2])
        _, to_weight, to_bias = _aten.convolution_backward(
            g, x, weight, [weight.shape[0]], *ctx.settings, mask
        )
        return to_x, to_weight, to_bias, None


class _ConvolutionBackward(torch.autograd.Function):
    """(cotangent, weight) -> gradient of the input: bilinear, so x gives its shape only."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, x: Tensor, weight: Tensor, settings: tuple[Any, ...]) -> Tensor:
        return _aten.convolution_backward(g, x, weight, None, *settings, (True, False, False))[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.settings = inputs[3]
        ctx.save_for_backward(inputs[0], inputs[2])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        g, weight = ctx.saved_tensors
        gg, to_g, to_weight = cotangents[0], None, None
        if ctx.needs_input_grad[0]:
            to_g = _aten.convolution(gg, weight, None, *ctx.settings)
        if ctx.needs_input_grad[2]:
            mask = (False, True, False)
            to_weight = _aten.convolution_backward(g, gg, weight, None, *ctx.settings, mask)[1]
        return to_g, None, to_weight, None


def _unwanted(weight: Tensor) -> bool:
    """A leaf cannot be on the way to the points; a weight made from them, or one of them, can."""
    points = getattr(_only, "points", None)
    return points is not None and weight.is_leaf and not any(weight is point for point in points)


def _convolution(dimensions: int) -> Callable[..., Tensor | None]:
    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor | None:
        usable = _plain(input, weight, bias) and input.dim() == dimensions + 2
        if not usable or isinstance(padding, str) or torch.is_autocast_enabled(input.device.type):
            return None
        sizes = [_numbers(value, dimensions) for value in (stride, padding, dilation)]
        settings = (*sizes, False, [0] * dimensions, groups)
        return _Convolution.apply(input, weight, bias, settings)

    return convolution


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """By matrix products: the fused kernels have no double backward, and are chosen for the whole process."""
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)
    attended, _ = _aten._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return attended


# The function itself, which calls attention where the mode cannot see it: inside a function it was asked about.
_multi_head_attention = FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda _: False, "scaled_dot_product_attention": _attention},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)
_multi_head_attention.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__


_REPLACED: dict[Any, Callable[..., Tensor | None]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.relu_: _relu_in_place,
    Tensor.relu_: _relu_in_place,
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.batch_norm: _batch_norm,
    F.conv1d: _convolution(1),
    F.conv2d: _convolution(2),
    F.conv3d: _convolution(3),
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head_attention,
}
