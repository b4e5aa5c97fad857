"""XGrad-CAM: feature maps weighted by gradients averaged over their activation."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution.cam._gradcam import ClassActivation, ClassActivationMap
from rightreasons.attribution.path._path import Points, Sums
from rightreasons.core._checked import checked


class _ByActivation(ClassActivation):
    """Statistics: the gradients, (B, K, h, w)."""

    def statistics(self, carried: object, gradients: Points) -> Sums:
        return (gradients[0].squeeze(1),)

    def weights(self, sums: Sums, features: Tensor) -> Tensor:
        total = features.sum((2, 3))
        inactive = total == 0
        weights = (sums[0] * features).sum((2, 3)) / torch.where(inactive, 1.0, total)
        return torch.where(inactive, 0.0, weights)


@final
@checked
@dataclass(frozen=True, repr=False)
class XGradCAM(ClassActivationMap):
    """Feature maps of a layer, weighted by their gradient averaged over their own activation [fu2020].

        phi(x) = relu( sum_k w_k A_k ),  w_k = sum_p g_kp A_kp / sum_p A_kp,  g = d f / d A

    With `relu=False` and `upsample=None` the map sums to sum_kp g_kp A_kp, which is f where the layers above are
    piecewise linear without biases. A feature map whose entries sum to 0 gets weight 0; meant for layers behind a
    ReLU, whose feature maps are not negative. One map (B, 1, H, W) for an image (B, C, H, W). Cost: one forward pass,
    one up to the layer, and one backward pass down to it.

    Args:
        layer: name of the layer; None: as `GradCAM` chooses it.
        relu: keep only what speaks for the output.
        upsample: how the map is resized to the image: bilinear, nearest, or None for not at all.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.

    Raises:
        InputError, ShapeError, DifferentiabilityError: as `GradCAM`.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
        >>> rr.XGradCAM()(model, torch.rand(4, 1, 8, 8), target=2).shape
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
        "the Grad-CAM map should add up to the layer's gradient times activation",
        "the layer's feature maps may be negative: their sum, which is divided by, may be near 0",
    )
    weighing: ClassVar[type[ClassActivation]] = _ByActivation
