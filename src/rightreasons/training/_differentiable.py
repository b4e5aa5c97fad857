"""Detect which parameters receive gradients from a map."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from rightreasons.attribution import Attribution
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._inputs import Inputs, as_tuple
from rightreasons.core._score import Target
from rightreasons.core.model._grad import loss_gradients

Verdict: TypeAlias = Literal["complete", "missing", "wrong", "independent", "undecided"]

_SEED = 0
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 5e-2}
_STEPS = {torch.float64: (1e-4, 1e-5, 1e-6, 1e-7), torch.float32: (1e-2, 3e-3, 1e-3, 3e-4)}
"""Lengths of finite differences: short ones cross fewer kinks of ReLU networks, long ones suffer less from rounding."""


@final
@dataclass(frozen=True)
class Differentiability:
    """What `check_differentiable` found; true if every parameter that moves the maps gets its gradient.

    Attributes:
        verdicts: for each trainable parameter: "complete" (autograd agrees with finite differences), "missing" (it
            moves the maps and gets no gradient), "wrong" (it gets another gradient than finite differences show: a
            part of the graph is cut), "independent" (it does not move the maps, as the last bias does not), "undecided"
            (finite differences of different lengths disagree with each other: kinks, or rounding in float32).
    """

    verdicts: dict[str, Verdict]

    def __bool__(self) -> bool:
        return "complete" in self.verdicts.values() and not self.names("missing") and not self.names("wrong")

    def names(self, verdict: Verdict) -> list[str]:
        """Parameters with this verdict."""
        return [name for name, found in self.verdicts.items() if found == verdict]

    def __str__(self) -> str:
        head = "differentiable" if self else "NOT differentiable: a penalty on these maps would train wrongly"
        lines = [f"  {verdict:<12}{name}" for name, verdict in self.verdicts.items()]
        return "\n".join([head, *lines])


@checked
def check_differentiable(
    method_or_callable: Attribution | Callable[..., Inputs] | Any,
    model: nn.Module,
    x: Inputs,
    y: Target = None,
) -> Differentiability:
    """Compare the gradient that parameters get from a map with finite differences, parameter by parameter.

    A fixed random projection of the maps is differentiated by autograd, and along one random direction in each
    parameter by central differences. Cost: eight maps for each parameter tensor. The model is left as found; meanwhile
    its parameters are moved in place and back, so no other thread may run or train it: pass `copy.deepcopy(model)`.
    In float64 the comparison is sharp. In float32, and across the kinks of ReLU networks, a parameter can stay
    "undecided": then pass `copy.deepcopy(model).double()`, or a smooth twin of the network.

    Args:
        method_or_callable: a method of this package, a callable (model, inputs, target) -> maps, or a captum object
            (its `attribute(inputs, target=...)` is called).
        model: the model the maps are of.
        x: a few inputs.
        y: the target.

    Raises:
        DifferentiabilityError: no parameter is trainable.
    """
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trainable:
        raise DifferentiabilityError(
            "no parameter of the model has requires_grad=True, so none can be trained."
        )
    if not callable(method_or_callable) and not hasattr(method_or_callable, "attribute"):
        raise InputError(
            "method_or_callable must be an attribution, a function or an object of captum; got "
            f"{type(method_or_callable).__name__}."
        )
    project = _projection(method_or_callable, model, x, y)
    value = project(connected=True)
    grads = loss_gradients(value, [p for _, p in trainable])
    verdicts: dict[str, Verdict] = {
        name: _verdict(project, p, grad) for (name, p), grad in zip(trainable, grads, strict=True)
    }
    return Differentiability(verdicts)


def _projection(method: Any, model: nn.Module, x: Inputs, y: Target) -> Callable[..., Tensor]:
    def maps(connected: bool) -> tuple[Tensor, ...]:
        if isinstance(method, Attribution) and method.axioms.differentiable:
            generator = torch.Generator().manual_seed(_SEED)
            return as_tuple(method(model, x, y, generator=generator, create_graph=connected))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            attribute = getattr(method, "attribute", None)
            if attribute is not None:
                return as_tuple(attribute(x, target=y))
            return as_tuple(method(model, x, y))

    def project(connected: bool = False) -> Tensor:
        generator = torch.Generator().manual_seed(_SEED + 1)
        parts = maps(connected)
        weights = [torch.randn(m.shape, generator=generator, dtype=torch.float64).to(m) for m in parts]
        return torch.stack([(m * w).sum() for m, w in zip(parts, weights, strict=True)]).sum()

    return project


def _verdict(project: Callable[..., Tensor], parameter: nn.Parameter, grad: Tensor | None) -> Verdict:
    generator = torch.Generator().manual_seed(_SEED + 2)
    direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
    norm = parameter.detach().norm().clamp(min=1e-2)
    direction *= norm / direction.norm().clamp(min=1e-12)
    got = 0.0 if grad is None else float((grad * direction).sum())
    tolerance = _TOLERANCE.get(parameter.dtype, 5e-2)
    steps = _STEPS.get(parameter.dtype, (1e-1, 1e-2))
    found = [_central_difference(project, parameter, direction, step) for step in steps]
    if all(abs(expected) <= noise for expected, noise in found):
        return "independent" if abs(got) <= max(noise for _, noise in found) else "wrong"
    if any(_agree(got, expected, noise, tolerance) for expected, noise in found):
        return "complete"
    sure = any(
        _agree(first, second, 0.0, tolerance) and abs(first) > noise and abs(second) > other
        for (first, noise), (second, other) in pairwise(found)
    )
    if not sure:
        return "undecided"
    return "missing" if abs(got) <= min(noise for _, noise in found) else "wrong"


def _agree(first: float, second: float, noise: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * max(abs(first), abs(second)) + noise


def _central_difference(
    project: Callable[..., Tensor], parameter: nn.Parameter, direction: Tensor, step: float
) -> tuple[float, float]:
    """The derivative along `direction`, and how much of it may be rounding."""
    before = parameter.detach().clone()
    values = []
    try:
        for sign in (1, -1):
            with torch.no_grad():
                parameter.copy_(before + sign * step * direction)
            values.append(float(project().detach()))
    finally:
        with torch.no_grad():
            parameter.copy_(before)
    rounding = 100 * torch.finfo(parameter.dtype).eps * max(abs(values[0]), abs(values[1]), 1e-6)
    return (values[0] - values[1]) / (2 * step), rounding / step
