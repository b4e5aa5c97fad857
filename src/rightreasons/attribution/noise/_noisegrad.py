"""NoiseGrad: mean map under multiplicative noise on the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn

from rightreasons.attribution._attribution import (
    Advice,
    Attribution,
    Axioms,
    Call,
    Evaluations,
    Explanation,
    refuse_no_grad,
)
from rightreasons.attribution.noise._average import Average, check_deviation, check_inner
from rightreasons.attribution.path._gradient import Gradient
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs
from rightreasons.core._score import Target
from rightreasons.core.model._function import ScoreFunction
from rightreasons.core.model._guard import Model, explaining
from rightreasons.core.model._view import has_values, with_values

GRADIENT = Gradient()


@final
@checked
@dataclass(frozen=True, repr=False)
class NoiseGrad(Attribution):
    """Mean map of another method over networks with noisy weights [bykov2022].

        phi(x) = E_e [ method(f with weights w (1 + sigma e), x) ],  e ~ N(0, 1) for each parameter

    Noise multiplies, so that weights of zero stay zero. All parameters get it, biases and norms among them; the model's
    own are never touched. All rows share the draws. Cost: `samples` times that of `method`, and memory for one more
    copy of the parameters (for `samples` copies with `create_graph`).

    Args:
        method: what is averaged: any attribution.
        sigma: standard deviation of the noise, as a share of each parameter.
        samples: networks that are drawn.

    Raises:
        InputError: sigma or samples is not `method` is no attribution, or one with noise on weights itself;
            the model is not an `nn.Module`, or has no parameters.
        DifferentiabilityError: with `create_graph=True`, where `method` refuses it.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> rr.NoiseGrad(rr.IntegratedGradients(steps=8), samples=5)(model, torch.rand(3, 4), 1).shape
        torch.Size([3, 4])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=True,
        random=True,
        note="Around the gradient. Around another method: dummy and differentiable if that is.",
    )
    advice: ClassVar[Advice] = Advice(
        "you want what networks near this one agree on",
        "weights are few or quantised, or time matters",
    )

    method: Attribution = GRADIENT
    sigma: int | float = 0.2
    samples: Count = 25

    def __post_init__(self) -> None:
        check_inner(self.method)
        check_deviation("sigma", self.sigma, "a share of each parameter")

    @property
    def at(self) -> str | None:
        """The layer whose activation `method` explains, if it does."""
        return getattr(self.method, "at", None)

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        if call.create_graph:
            refuse_no_grad()
        with explaining(model, second_order=call.create_graph, hooks=True) as network:
            average = Average()
            for noisy in self._networks(network, call):
                average.add(self.method._maps(noisy, inputs, target, call))
            return average.mean()

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        average, keywords = Average(), call.model_kwargs
        with explaining(model, second_order=False, hooks=True) as network:
            for noisy in self._networks(network, call):
                average.add_explanation(self.method._explanation(noisy, inputs, target, call))
            function = ScoreFunction(
                network, inputs, target, at=self.at, model_kwargs=keywords, chunk=call.chunk
            )
            with torch.no_grad():
                outputs = function.outputs_of_batch(function.points)
        forward, backward = average.evaluations
        spent = Evaluations(forward + function.evaluations, backward)
        return Explanation(average.mean(), None, average.standard_error(), outputs, spent)

    def _networks(self, network: Model, call: Call) -> Iterator[nn.Module]:
        if not isinstance(network, nn.Module):
            raise InputError(
                "NoiseGrad puts noise on parameters, so the model must be an nn.Module; got "
                f"{type(network).__name__}. Noise on inputs: rr.SmoothGrad()."
            )
        if has_values(network):
            raise InputError(
                "noise on weights inside noise on weights: NoiseGrad and FusionGrad take another method, and sigma "
                "says how much noise there is."
            )
        parameters = [(name, p) for name, p in network.named_parameters() if p.is_floating_point()]
        if not parameters:
            raise InputError("NoiseGrad puts noise on parameters; this model has none. Use rr.SmoothGrad().")
        for _ in range(self.samples):
            values = {}
            for name, p in parameters:
                noise = torch.randn(p.shape, generator=call.generator, dtype=torch.float32).to(p)
                values[name] = (p if call.create_graph else p.detach()) * (1 + self.sigma * noise)
            yield with_values(network, values)
