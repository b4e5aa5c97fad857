"""Grad-CAM: which places of the last feature maps speak for the output."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from rightreasons.attribution._attribution import Axioms, Call
from rightreasons.attribution._path import PathAttribution, PathSum, Piece, Points, Sums
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._function import ScoreFunction
from rightreasons.core._guard import Model
from rightreasons.core._score import Output

Upsample = Literal["bilinear", "nearest"]


class _ClassActivation(PathSum):
    """Leaves: the feature maps A, (B, K, h, w). Statistics: their weights, (B, K)."""

    def __init__(self, function: ScoreFunction, relu: bool, upsample: Upsample | None) -> None:
        super().__init__(function, draws=1, leaves=function.points)
        self.relu = relu
        self.upsample: Upsample | None = upsample

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        return (leaves[0][piece.rows].unsqueeze(1),), None

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        return (gradients[0].squeeze(1).mean((2, 3)),)

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        maps = (sums[0][:, :, None, None] * self.leaves[0][rows]).sum(1, keepdim=True)
        return (upsampled(maps.relu() if self.relu else maps, self.function.inputs[0], self.upsample),)


def upsampled(maps: Tensor, inputs: Tensor, how: Upsample | None) -> Tensor:
    """(B, 1, h, w) maps at the height and width of the inputs; `how` None leaves them as they are."""
    if how is None:
        return maps
    align = False if how == "bilinear" else None
    return F.interpolate(maps, size=inputs.shape[2:], mode=how, align_corners=align)


def class_activation(
    function: ScoreFunction, layer: str, relu: bool, upsample: Upsample | None
) -> _ClassActivation:
    """The sum that makes a Grad-CAM map.

    Raises:
        ShapeError: the inputs, or the layer's output, are not pictures (B, C, H, W).
    """
    inputs, features = function.inputs, function.points[0]
    if len(inputs) != 1 or inputs[0].dim() != 4:
        got = ", ".join(str(tuple(part.shape)) for part in inputs)
        raise ShapeError(
            f"Grad-CAM maps lie over pictures: one input of shape (B, C, H, W); got {got}. "
            "Pass further inputs as model_kwargs; for other data use rr.InputTimesGradient(at=layer)."
        )
    if features.dim() != 4:
        raise ShapeError(
            f"Grad-CAM weighs feature maps (B, K, h, w); layer {layer!r} gives {tuple(features.shape)}. "
            "Name a convolutional layer, or rr.InputTimesGradient(at=layer)."
        )
    return _ClassActivation(function, relu, upsample)


def last_convolution(model: Model) -> str:
    """Name of the two-dimensional convolution that was registered last.

    Raises:
        InputError: there is none.
    """
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    names = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    if not names:
        raise InputError(
            f"{type(model).__name__} has no two-dimensional convolution with a name: say where the map is taken, "
            "layer='name' as in dict(model.named_modules())."
        )
    return names[-1]


def check_upsample(upsample: str | None) -> None:
    """Raise an `InputError` unless `upsample` is a known way to resize."""
    if upsample not in (None, "bilinear", "nearest"):
        raise InputError(f"upsample must be 'bilinear', 'nearest' or None; got {upsample!r}.")


@final
@dataclass(frozen=True, repr=False)
class GradCAM(PathAttribution):
    """Feature maps of a layer, weighted by their mean gradient [selvaraju2017].

        phi(x) = relu( sum_k w_k A_k ),  w_k = mean over places of d f / d A_k

    One map (B, 1, H, W) for a picture (B, C, H, W), resized from the layer's resolution. Differentiable in full: both
    the weights w_k and the feature maps A_k carry their graph. Cost: one forward pass, one up to the layer, and one
    backward pass down to it.

    Args:
        layer: name of the layer; None: the two-dimensional convolution registered last. In residual networks name the
            last block ("layer4"): the convolution registered last may be the one of a shortcut.
        relu: keep only what speaks for the output.
        upsample: how the map is resized to the picture: bilinear (as in the paper), nearest, or None for not at all.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.

    Raises:
        InputError: there is no such layer, and none to choose; `upsample` is unknown.
        ShapeError: the input or the layer's output is not (B, C, H, W).
        DifferentiabilityError: the layer is not used in the forward pass.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
        >>> rr.GradCAM()(model, torch.rand(4, 1, 8, 8), target=2).shape
        torch.Size([4, 1, 8, 8])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=False,
        implementation_invariant=False,
        linear=False,
        differentiable=True,
        note="Linear with relu=False. Speaks of places, at the resolution of the layer, not of features.",
    )

    layer: str | None = None
    relu: bool = True
    upsample: Upsample | None = "bilinear"
    output: Output = "logit"

    def __post_init__(self) -> None:
        check_upsample(self.upsample)

    @property
    def inner(self) -> bool:
        return True

    def layer_in(self, model: Model) -> str | None:
        return last_convolution(model) if self.layer is None else self.layer

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return class_activation(function, function.at or "", self.relu, self.upsample)
