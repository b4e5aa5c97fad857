"""FusionGrad: mean map under noise on weights and inputs."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from rightreasons.attribution._attribution import Advice, Attribution, Axioms, Call, Explanation
from rightreasons.attribution.noise._average import Average, check_deviation, check_inner
from rightreasons.attribution.noise._noisegrad import GRADIENT, NoiseGrad
from rightreasons.core._checked import Count, checked
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, like, span
from rightreasons.core._score import Target
from rightreasons.core.model._guard import Model


@final
@checked
@dataclass(frozen=True, repr=False)
class FusionGrad(Attribution):
    """Mean map of another method over networks with noisy weights and noisy inputs [bykov2022].

        phi(x) = E_e E_d [ method(f with weights w (1 + sigma e), x + s d) ],  e, d ~ N(0, 1)

    Around the gradient, `NoiseGrad(SmoothGrad(...))` has the same expectation and runs the draws of inputs together,
    which is faster. All rows share the draws. Cost: `samples * input_samples` times that of `method`.

    Args:
        method: what is averaged: any attribution.
        sigma: standard deviation of the noise on weights, as a share of each parameter.
        samples: networks that are drawn.
        input_sigma: standard deviation of the noise on inputs. The published code adds 0.4 to standardised pictures:
            `input_sigma=0.4, relative=False`.
        input_samples: inputs that are drawn for each network.
        relative: input_sigma is a multiple of each row's range, as in `SmoothGrad`; else in the units of the input.

    Raises:
        InputError: as `NoiseGrad`; inputs are integers, which bear no noise; input_sigma or input_samples is not
            positive.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> rr.FusionGrad(samples=3, input_samples=3)(model, torch.rand(3, 4), 1).shape
        torch.Size([3, 4])
    """

    axioms: ClassVar[Axioms] = NoiseGrad.axioms
    advice: ClassVar[Advice] = Advice(
        "inputs and weights are both known with little precision",
        "time matters: it costs a hundred maps",
    )

    method: Attribution = GRADIENT
    sigma: int | float = 0.2
    samples: Count = 10
    input_sigma: int | float = 0.15
    input_samples: Count = 10
    relative: bool = True

    def __post_init__(self) -> None:
        self._noisy_weights()
        unit = "a share of each row's range" if self.relative else "in the units of the input"
        check_deviation("input_sigma", self.input_sigma, unit)

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        return self._noisy_weights()._maps(model, inputs, target, call)

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        return self._noisy_weights()._explanation(model, inputs, target, call)

    def _noisy_weights(self) -> NoiseGrad:
        check_inner(self.method)
        inner = _NoisyInputs(self.method, self.input_sigma, self.input_samples, self.relative)
        return NoiseGrad(inner, self.sigma, self.samples)


@final
@dataclass(frozen=True, repr=False)
class _NoisyInputs(Attribution):
    """Mean map of a method over noisy inputs."""

    axioms: ClassVar[Axioms] = NoiseGrad.axioms

    method: Attribution
    sigma: int | float
    samples: Count
    relative: bool

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        average = Average()
        for _ in range(self.samples):
            average.add(self.method._maps(model, self._drawn(inputs, call), target, call))
        return average.mean()

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        average, outputs = Average(), torch.empty(0)
        for _ in range(self.samples):
            explanation = self.method._explanation(model, self._drawn(inputs, call), target, call)
            average.add_explanation(explanation)
            outputs = explanation.outputs
        return Explanation(average.mean(), None, average.standard_error(), outputs, average.evaluations)

    def _drawn(self, inputs: Inputs, call: Call) -> Inputs:
        check_inputs(inputs)
        noisy = []
        for x in as_tuple(inputs):
            noise = torch.randn(1, *x.shape[1:], generator=call.generator, dtype=torch.float32).to(x)
            noisy.append(x + self.sigma * (span(x) if self.relative else 1) * noise)
        return like(noisy, inputs)
