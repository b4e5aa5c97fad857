"""Softplus in place of every ReLU-like operation during a forward pass; the model is unmodified.

A network of ReLUs has second derivative zero almost everywhere, so nothing that follows the gradient of its gradient
moves. With softplus_beta(t) = log(1 + exp(beta t)) / beta in place of every ReLU, and the same weights, it has one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core.model._guard import Model
from rightreasons.core.model._wrappers import around

Mode: TypeAlias = Literal["forward", "backward"]
Number: TypeAlias = int | float
Bound: TypeAlias = Number | Tensor | None
_LINEAR_ABOVE = 50.0  # softplus(t) - t < 2e-22 there

PIECEWISE = frozenset(
    (
        *("abs", "absolute", "sign", "sgn", "floor", "ceil", "round", "trunc", "fix", "frac", "heaviside"),
        *("max", "min", "amax", "amin", "aminmax", "maximum", "minimum", "fmax", "fmin", "cummax", "cummin"),
        *("sort", "msort", "topk", "kthvalue", "median", "nanmedian", "quantile", "nanquantile", "mode"),
        *("max_pool1d", "max_pool2d", "max_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"),
        *("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"),
        *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
        *("adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices"),
        *("adaptive_max_pool3d_with_indices", "fractional_max_pool2d", "fractional_max_pool3d"),
        *("fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices"),
        *("hardswish", "hardsigmoid", "hardshrink", "softshrink", "selu", "elu", "celu"),
        *("rnn_relu", "rnn_relu_cell", "where", "gt", "ge", "lt", "le", "greater", "less"),
    )
)
"""Operations with kinks, jumps or a choice that stay as they are; comparisons are how a ReLU is written by hand."""


class _Ramp:
    """softplus_beta in place of max(t, 0), and its derivative in place of the step."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def __call__(self, t: Tensor) -> Tensor:
        return F.softplus(t, self.beta, _LINEAR_ABOVE)

    def step(self, t: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * t)


def _relu(ramp: _Ramp, x: Tensor) -> Tensor:
    return ramp(x)


def _leaky_relu(ramp: _Ramp, x: Tensor, negative_slope: Number | Tensor = 0.01) -> Tensor:
    return negative_slope * x + (1 - negative_slope) * ramp(x)


def _rrelu(
    ramp: _Ramp, x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    return _leaky_relu(ramp, x, (lower + upper) / 2)


def _prelu(ramp: _Ramp, x: Tensor, weight: Tensor) -> Tensor:
    slopes = weight if weight.numel() == 1 or x.dim() < 2 else weight.reshape(-1, *(1,) * (x.dim() - 2))
    return _leaky_relu(ramp, x, slopes)


def _clamp(ramp: _Ramp, x: Tensor, min: Bound = None, max: Bound = None) -> Tensor:
    if min is not None and max is not None:
        low, high = (torch.as_tensor(bound, dtype=x.dtype, device=x.device) for bound in (min, max))
        low = torch.minimum(low, high)  # torch's own rule for inverted bounds: the upper one wins
        return low + ramp(x - low) - ramp(x - high)
    if min is not None:
        return min + ramp(x - min)
    return x if max is None else x - ramp(x - max)


def _clamp_max(ramp: _Ramp, x: Tensor, max: Number | Tensor) -> Tensor:
    return _clamp(ramp, x, max=max)


def _hardtanh(ramp: _Ramp, x: Tensor, min_val: Number = -1.0, max_val: Number = 1.0) -> Tensor:
    return _clamp(ramp, x, min_val, max_val)


def _relu6(ramp: _Ramp, x: Tensor) -> Tensor:
    return _clamp(ramp, x, 0.0, 6.0)


def _threshold(ramp: _Ramp, x: Tensor, threshold: Number, value: Number) -> Tensor:
    return value + ramp(x - threshold) + (threshold - value) * ramp.step(x - threshold)


SMOOTHED: Mapping[str, Callable[..., Tensor]] = {
    "relu": _relu,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "rrelu": _rrelu,
    "prelu": _prelu,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp_max,
    "threshold": _threshold,
}
"""The smooth form of each operation: (ramp, x, the operation's own arguments)."""


@checked
class Smoothing(TorchFunctionMode):
    """Inside, softplus runs in place of every ReLU-like operation on floating-point tensors [dombrowski2019].

    Modules, functionals, tensor methods and in-place forms of relu, relu6, hardtanh, leaky_relu, prelu, rrelu (as in
    eval mode), clamp, clip, clamp_min, clamp_max and threshold, in everything that is called. Each is a sum of
    straight lines and ramps max(t, 0), and every ramp becomes a softplus.

    Nothing is patched: outside, and after an error, everything is as before. TorchScript is not reached.
    To smooth a model only, and not what is done with its outputs: `surrogate(model, smoothing)`.

    Args:
        beta: sharpness, > 0, in units of one over the pre-activations; may be set anew at any time (annealing).
        mode: "forward" replaces values too; "backward" keeps values exactly and replaces derivatives: the first is
            sigmoid(beta t), the second that of softplus.

    Attributes:
        unsmoothed: names of the piecewise operations that were met and are not replaced, sorted.

    Raises:
        InputError: beta is not a positive number, or mode is neither.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 3.0], requires_grad=True)
        >>> with Smoothing(beta=1.0, mode="backward"):
        ...     y = torch.relu(x)
        >>> y.tolist(), torch.autograd.grad(y.sum(), x)[0]
        ([0.0, 3.0], tensor([0.5000, 0.9526]))
    """

    def __init__(self, beta: float = 10.0, mode: Mode = "forward") -> None:
        super().__init__()
        _check(beta, mode)
        self.beta, self.mode = beta, mode
        self._met: set[str] = set()

    @property
    def unsmoothed(self) -> tuple[str, ...]:
        """Piecewise operations met and left as they are."""
        return tuple(sorted(self._met))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        overload = getattr(func, "__name__", "").partition(".")[0]
        name = overload.strip("_")
        smooth = SMOOTHED.get(name)
        if smooth is None and name not in PIECEWISE:
            return func(*args, **kwargs)
        if not any(isinstance(a, Tensor) and a.is_floating_point() for a in (*args, *kwargs.values())):
            return func(*args, **kwargs)
        if smooth is None or kwargs.get("out") is not None or (name == "rrelu" and _is_random(args, kwargs)):
            self._met.add(name)
            return func(*args, **kwargs)
        return self._replaced(smooth, func, args, dict(kwargs), overload.endswith("_"))

    def _replaced(
        self,
        smooth: Callable[..., Tensor],
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        in_place: bool,
    ) -> Tensor:
        in_place = bool(kwargs.pop("inplace", False)) or in_place
        kwargs = {name: value for name, value in kwargs.items() if name not in ("out", "generator")}
        x, rest = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
        # A copy, because what is overwritten below must not be what the backward pass reads.
        at = x.clone() if in_place else x
        result = smooth(_Ramp(self.beta), at, *rest, **kwargs)
        if self.mode == "backward":
            with torch.no_grad():
                hard = func(x.clone(), *rest, **kwargs)
            result = hard + (result - result.detach())  # exactly `hard`: what is added is zero
        return x.copy_(result) if in_place else result


def _is_random(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("training", args[3] if len(args) > 3 else False))


def _check(beta: float, mode: str) -> None:
    if not (isfinite(beta) and beta > 0):
        raise InputError(f"beta is the sharpness of softplus, a positive number; got {beta!r}.")
    if mode not in get_args(Mode):
        raise InputError(f"mode is 'forward' or 'backward'; got {mode!r}.")


@final
@checked
@dataclass(frozen=True)
class Softplus:
    """Which smooth stand-in for its ReLUs a model is given, and how it sharpens.

        beta(t) = beta * (anneal_to / beta)^t,  t from 0 at the first step to 1 at the last

    Args:
        beta: sharpness at the first step; see `Smoothing`.
        mode: "forward" or "backward".
        anneal_to: sharpness at the last step; None: constant.

    Raises:
        InputError: a sharpness is not a positive number, or mode is neither.

    Example:
        >>> Softplus(beta=10.0, anneal_to=1000.0).beta_at(0.5)
        100.0
    """

    beta: float = 10.0
    mode: Mode = "forward"
    anneal_to: float | None = None

    def __post_init__(self) -> None:
        _check(self.beta, self.mode)
        if self.anneal_to is not None:
            _check(self.anneal_to, self.mode)

    def beta_at(self, progress: float) -> float:
        """Sharpness after this share of the steps, in [0, 1]."""
        if self.anneal_to is None:
            return self.beta
        return self.beta * (self.anneal_to / self.beta) ** progress

    def smoothing(self) -> Smoothing:
        """The context, at its first sharpness."""
        return Smoothing(self.beta, self.mode)


@checked
def surrogate(model: Model, smoothing: Smoothing) -> Model:
    """`model` with its ReLUs smoothed in every call; layers, parameters and names are the model's own.

    Setting `smoothing.beta` changes the next call. Cost: one softplus for each ReLU; in "backward" mode both.

    Args:
        model: a module or callable.
        smoothing: how; collects what it does not smooth.

    Example:
        >>> import torch
        >>> relu = torch.nn.ReLU()
        >>> surrogate(relu, Smoothing(beta=1.0))(torch.zeros(1)), relu(torch.zeros(1))
        (tensor([0.6931]), tensor([0.]))
    """
    return around(model, lambda _: smoothing)
