"""Remove biases and shifts, so that the output of a network is proportional to its input."""

import copy
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from rightreasons.core._called import called
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs
from rightreasons.core.model._autograd_graph import is_linear, operations
from rightreasons.core.model._guard import explaining

Kinds: TypeAlias = tuple[type[nn.Module], ...]

_WITH_BIAS: Kinds = (nn.Linear, _ConvNd)
_HOMOGENEOUS: Kinds = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Identity, nn.Flatten, nn.Unflatten, nn.Embedding),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, nn.LPPool1d, nn.LPPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d, nn.CircularPad1d, nn.CircularPad2d),
    *(nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.Fold, nn.Unfold),
    *(nn.Sequential, nn.ModuleList, nn.ModuleDict),
)
_PIECEWISE_LINEAR = (
    "Relu",
    "LeakyRelu",
    "PreluKernel",
    "MaxPool2DWithIndices",
    "MaxPool3DWithIndices",
    "Max",
    "Amax",
)
_NEAR = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Relative rounding of an output that passed many layers."""


class Scale(nn.Module):
    """Each channel times a number of its own: what is left of batch-norm without its shift.

    Args:
        weight: of shape (C,).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (B, C, ...)."""
        return x * self.weight.reshape(-1, *(1,) * (x.dim() - 2))


@checked
def homogenize(model: nn.Module, inputs: Inputs | None = None) -> nn.Module:
    """A copy of a network for which f(a x) = a f(x) for every a >= 0 [hesse2021].

    Biases of linear and convolutional layers are taken out; batch-norm becomes the scale it has in eval mode, without
    its shift. ReLUs, max-pooling and all that is linear stay. The copy is another function: train it, or train it on,
    before its maps mean anything. `XGradient` explains it completely with a single gradient.

    Cost: a copy of the model; with `inputs`, three forward passes.

    Args:
        model: is left as found.
        inputs: some inputs, to verify f(a x) = a f(x) at them: layers of PyTorch are known, what a module of your own
            does in its forward pass can only be tried.

    Returns:
        The copy, with parameters of its own.

    Raises:
        InputError: a layer is not homogeneous and cannot be made so (GELU, ReLU6, LayerNorm, attention, recurrence,
            ...), a module of another kind has parameters of its own, or what was verified does not hold.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        >>> x = torch.rand(3, 4)
        >>> free = rr.homogenize(model, x)
        >>> torch.allclose(free(2 * x), 2 * free(x), atol=1e-6), model[0].bias is None, free[0].bias is None
        (True, False, True)
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"what is made homogeneous is an nn.Module; got {type(model).__name__}.")
    _refuse(model)
    twin = copy.deepcopy(model)
    scales: dict[nn.Module, Scale] = {}
    for parent in list(twin.modules()):
        if isinstance(parent, _WITH_BIAS):
            parent.register_parameter("bias", None)
        for name, child in parent._modules.items():
            if isinstance(child, _BatchNorm):
                parent._modules[name] = scales.setdefault(child, _scale(child))
    twin = _scale(twin) if isinstance(twin, _BatchNorm) else twin
    if inputs is not None:
        _verify(twin, inputs)
    return twin


def _scale(norm: _BatchNorm) -> Scale:
    if norm.running_var is None:
        raise InputError("a batch-norm without running statistics has no scale of its own to keep.")
    weight = (norm.running_var + norm.eps).rsqrt()
    return Scale((weight if norm.weight is None else weight * norm.weight).detach().clone())


def _refuse(model: nn.Module) -> None:
    names = [
        f"{name or 'the model'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not _is_usable(module)
    ]
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise InputError(
            f"not homogeneous, and no bias to take out would make it so: {', '.join(names[:5])}{more}. Build the "
            "network of linear and convolutional layers, batch-norm, (leaky) ReLUs and pooling, without parameters "
            "of other kinds, or explain it with rr.IntegratedGradients()."
        )


def _is_usable(module: nn.Module) -> bool:
    if isinstance(module, (*_WITH_BIAS, _BatchNorm, *_HOMOGENEOUS, Scale)):
        return True
    if isinstance(module, (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)):
        return module.value == 0
    if type(module).__module__.startswith("torch.nn.modules"):
        return False
    return all(parameter is None for parameter in module._parameters.values())


def _verify(model: nn.Module, inputs: Inputs) -> None:
    check_inputs(inputs)
    with explaining(model, second_order=False) as network:
        leaves = tuple(part.detach().clone().requires_grad_() for part in as_tuple(inputs))
        once = called(network, tuple(leaf * 1 for leaf in leaves), {})
        with torch.no_grad():
            errors = [
                float((called(network, tuple(a * x for x in leaves), {}) - a * once).abs().max())
                for a in (0.0, 0.5, 3.0)
            ]
        size = float(once.detach().abs().max())
        if max(errors) > _NEAR.get(once.dtype, 5e-2) * size:
            kinds = {
                operation.kind
                for operation in operations(once.sum(), leaves)
                if not is_linear(operation) and operation.kind not in _PIECEWISE_LINEAR
            }
            suspects = f" It runs {', '.join(sorted(kinds))}." if kinds else ""
            raise InputError(
                f"f(a x) is not a f(x): off by {max(errors):.3g} where outputs are up to {size:.3g}. Something outside "
                f"the layers adds a constant, saturates, normalises or multiplies.{suspects}"
            )
