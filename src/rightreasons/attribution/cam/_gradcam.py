"""Grad-CAM: feature maps of a convolutional layer, weighted by their mean gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._path import PathAttribution, PathSum, Piece, Points, Sums
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._score import Output
from rightreasons.core.model._function import ScoreFunction
from rightreasons.core.model._layers import LayerChoice, Ran

Upsample = Literal["bilinear", "nearest"]


class ClassActivation(PathSum):
    """Feature maps weighted by their mean gradients. Leaves: the feature maps A, (B, K, h, w).

    Raises:
        ShapeError: the inputs, or the layer's output, are not pictures (B, C, H, W).
    """

    def __init__(self, function: ScoreFunction, relu: bool, upsample: Upsample | None) -> None:
        super().__init__(function, draws=1, leaves=function.points)
        _check_pictures(function)
        self.relu = relu
        self.upsample: Upsample | None = upsample

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        return (leaves[0][piece.rows].unsqueeze(1),), None

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        return (gradients[0].squeeze(1).mean((2, 3)),)

    def weights(self, sums: Sums, features: Tensor) -> Tensor:
        """What each feature map of some rows counts, (b, K)."""
        return sums[0]

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        features = self.leaves[0][rows]
        maps = (self.weights(sums, features)[:, :, None, None] * features).sum(1, keepdim=True)
        return (upsampled(maps.relu() if self.relu else maps, self.function.inputs[0], self.upsample),)


def upsampled(maps: Tensor, inputs: Tensor, how: Upsample | None) -> Tensor:
    """(B, 1, h, w) maps at the height and width of the inputs; `how` None leaves them as they are."""
    if how is None:
        return maps
    align = False if how == "bilinear" else None
    return F.interpolate(maps, size=inputs.shape[2:], mode=how, align_corners=align)


def _check_pictures(function: ScoreFunction) -> None:
    inputs, features = function.inputs, function.points[0]
    if len(inputs) != 1 or inputs[0].dim() != 4:
        got = ", ".join(str(tuple(part.shape)) for part in inputs)
        raise ShapeError(
            f"Grad-CAM maps lie over pictures: one input of shape (B, C, H, W); got {got}. "
            "Pass further inputs as model_kwargs; for other data use rr.InputTimesGradient(at=layer)."
        )
    if features.dim() != 4:
        raise ShapeError(
            f"Grad-CAM weighs feature maps (B, K, h, w); layer {function.at!r} gives {tuple(features.shape)}. "
            "Name a convolutional layer, or rr.InputTimesGradient(at=layer)."
        )


def last_feature_maps(ran: Sequence[Ran]) -> str:
    """The last layer with the resolution of the last convolution that ran and still tells places apart.

    That is the convolution's activation, or the residual block, or the stage of blocks it ends.

    Raises:
        InputError: no two-dimensional convolution ran.
    """
    pictures = [layer for layer in ran if len(layer.shape) == 4]
    convolutions = [layer for layer in pictures if isinstance(layer.module, nn.Conv2d)]
    if not convolutions:
        raise InputError(
            "Grad-CAM maps lie over pictures (B, C, H, W), but no two-dimensional convolution with a name ran, or each "
            "ran several times: say where the map is taken, layer='name' as in dict(model.named_modules()), or for "
            "other data use rr.InputTimesGradient(at=layer)."
        )
    with_places = [layer for layer in convolutions if layer.shape[2] * layer.shape[3] > 1]
    places = (with_places or convolutions)[-1].shape[2:]
    return [layer.name for layer in pictures if layer.shape[2:] == places][-1]


def check_upsample(upsample: str | None) -> None:
    """Raise an `InputError` unless `upsample` is a known way to resize."""
    if upsample not in (None, "bilinear", "nearest"):
        raise InputError(f"upsample must be 'bilinear', 'nearest' or None; got {upsample!r}.")


@dataclass(frozen=True, repr=False)
class ClassActivationMap(PathAttribution):
    """What Grad-CAM and its variants share: a layer, its feature maps, and the weights that a subclass gives them.

    Subclasses are final frozen dataclasses without fields of their own.
    """

    weighing: ClassVar[type[ClassActivation]]

    layer: str | None = None
    relu: bool = True
    upsample: Upsample | None = "bilinear"
    output: Output = "logit"

    def __post_init__(self) -> None:
        check_upsample(self.upsample)

    @property
    def inner(self) -> bool:
        return True

    @property
    def where(self) -> str | LayerChoice:
        return last_feature_maps if self.layer is None else self.layer

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return self.weighing(function, self.relu, self.upsample)


@final
@checked
@dataclass(frozen=True, repr=False)
class GradCAM(ClassActivationMap):
    """Feature maps of a layer, weighted by their mean gradient [selvaraju2017].

        phi(x) = relu( sum_k w_k A_k ),  w_k = mean over places of d f / d A_k

    One map (B, 1, H, W) for a picture (B, C, H, W), resized from the layer's resolution. Differentiable in full: both
    the weights w_k and the feature maps A_k carry their graph. Cost: one forward pass, one up to the layer, and one
    backward pass down to it.

    Args:
        layer: name of the layer; None: the last one with the resolution of the last convolution that runs, so behind
            its activation and its residual sum, before pooling. Finding it costs a forward pass of one row.
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
    advice: ClassVar[Advice] = Advice(
        "you ask where a convolutional network looks, coarsely",
        "small objects or single features matter",
    )
    weighing: ClassVar[type[ClassActivation]] = ClassActivation
