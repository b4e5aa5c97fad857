"""Guided Grad-CAM: guided backpropagation multiplied by Grad-CAM."""

from dataclasses import dataclass
from typing import ClassVar, final

from rightreasons.attribution._attribution import (
    Advice,
    Attribution,
    Axioms,
    Call,
    Evaluations,
    Explanation,
    refuse_graph,
)
from rightreasons.attribution._guided import INSTEAD, GuidedBackprop
from rightreasons.attribution.cam._gradcam import GradCAM, Upsample, check_upsample
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs
from rightreasons.core._score import Output, Target
from rightreasons.core.model._guard import Model


@final
@checked
@dataclass(frozen=True, repr=False)
class GuidedGradCAM(Attribution):
    """Guided backpropagation where Grad-CAM looks [selvaraju2017].

        phi(x) = guided(x) * resize( relu( sum_k w_k A_k ) )

    Cost: that of `GuidedBackprop` and `GradCAM`: two forward passes, one up to the layer, two backward passes.

    Args:
        layer: name of the layer; None: as `GradCAM` chooses it.
        upsample: how the Grad-CAM map is resized: bilinear (as in the paper) or nearest (as in captum).
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.

    Raises:
        InputError, ShapeError, DifferentiabilityError: as `GuidedBackprop` and `GradCAM` do.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 3)
        ... )
        >>> rr.GuidedGradCAM()(model, torch.rand(4, 1, 8, 8), target=2).shape
        torch.Size([4, 1, 8, 8])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=False,
        note="The output that is asked for decides the place; the detail hardly depends on it.",
    )
    advice: ClassVar[Advice] = Advice(
        "you want a sharp picture restricted to where Grad-CAM looks",
        "the detail itself has to speak of the class",
    )

    layer: str | None = None
    upsample: Upsample = "bilinear"
    output: Output = "logit"

    def __post_init__(self) -> None:
        check_upsample(self.upsample)
        if self.upsample is None:
            raise InputError("the two maps are multiplied, so upsample is 'bilinear' or 'nearest'; got None.")

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        if call.create_graph:
            refuse_graph(self, INSTEAD.replace("rr.Gradient()", "rr.GradCAM()"))
        return _product(*(method._maps(model, inputs, target, call) for method in self._factors()))

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        cam, guided = (method._explanation(model, inputs, target, call) for method in self._factors())
        return Explanation(
            maps=_product(cam.maps, guided.maps),
            gap=None,
            standard_error=None,
            outputs=cam.outputs,
            evaluations=Evaluations(
                *(a + b for a, b in zip(cam.evaluations, guided.evaluations, strict=True))
            ),
        )

    def _factors(self) -> tuple[GradCAM, GuidedBackprop]:
        cam = GradCAM(layer=self.layer, upsample=self.upsample, output=self.output)
        return cam, GuidedBackprop(output=self.output)


def _product(cam: Inputs, guided: Inputs) -> Inputs:
    """Grad-CAM gives one tensor; guided backpropagation the structure of the inputs, of which there is one."""
    weights = cam[0] if isinstance(cam, tuple) else cam
    return tuple(part * weights for part in guided) if isinstance(guided, tuple) else guided * weights
