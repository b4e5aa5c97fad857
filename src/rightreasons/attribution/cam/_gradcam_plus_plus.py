"""Grad-CAM++: feature maps weighted by their positive gradients, place by place."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution.cam._gradcam import ClassActivation, ClassActivationMap
from rightreasons.attribution.path._path import Points, Sums
from rightreasons.core._checked import checked


class _PlaceByPlace(ClassActivation):
    """Statistics: the gradients, (B, K, h, w)."""

    def statistics(self, carried: object, gradients: Points) -> Sums:
        return (gradients[0].squeeze(1),)

    def weights(self, sums: Sums, features: Tensor) -> Tensor:
        positive = sums[0].relu()
        size = features.relu().sum((2, 3), keepdim=True)
        return (positive / (2 + size * positive)).sum((2, 3))


@final
@checked
@dataclass(frozen=True, repr=False)
class GradCAMPlusPlus(ClassActivationMap):
    """Feature maps of a layer, weighted by the positive gradients of their places [chattopadhay2018].

        phi(x) = relu( sum_k w_k A_k ),  w_k = sum_p max(g_kp, 0) / (2 + S_k g_kp),  g = d f / d A,  S_k = sum_p A_kp

    where the paper writes g^2 / (2 g^2 + S g^3) for the inverse, and multiplies all weights of a row by exp(f), which
    is left out here: it changes no place relative to another, and overflows. The quotient has poles where A is
    negative, which the paper's maps are not; S_k therefore sums the positive part of A_k. Several objects of one
    class get equal weight, where Grad-CAM favours the large one. One map (B, 1, H, W) for a picture (B, C, H, W).
    Cost: one forward pass, one up to the layer, and one backward pass down to it.

    Args:
        layer: name of the layer; None: as `GradCAM` chooses it.
        relu: keep only what speaks for the output.
        upsample: how the map is resized to the picture: bilinear, nearest, or None for not at all.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.

    Raises:
        InputError, ShapeError, DifferentiabilityError: as `GradCAM`.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
        >>> rr.GradCAMPlusPlus()(model, torch.rand(4, 1, 8, 8), target=2).shape
        torch.Size([4, 1, 8, 8])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=False,
        implementation_invariant=False,
        linear=False,
        differentiable=True,
        note="Speaks of places, at the resolution of the layer, not of features.",
    )
    advice: ClassVar[Advice] = Advice(
        "there may be several objects of the class",
        "evidence against the class matters: negative gradients are dropped",
    )
    weighing: ClassVar[type[ClassActivation]] = _PlaceByPlace
