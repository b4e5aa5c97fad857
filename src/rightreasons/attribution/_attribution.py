"""Base class of attribution methods: frozen dataclass values called with the model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import DifferentiabilityError
from rightreasons.core._inputs import Inputs
from rightreasons.core._score import Target
from rightreasons.core.model._function import ScoreFunction
from rightreasons.core.model._guard import Model, explaining


class Evaluations(NamedTuple):
    """Model rows that ran for one explanation, over the whole batch."""

    forward: int
    backward: int


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps with what is known about them.

    Attributes:
        maps: the attribution, in the structure and shape of what is explained.
        gap: per row, f(x) - f(baseline), or f(x) - mean f(references), minus the sum of the map, before any
            projection onto completeness, in output units; None for methods that are not complete.
        standard_error: of every entry of the maps over the method's random draws; None for deterministic methods.
        outputs: the model's output at the inputs.
        evaluations: model rows that ran.
    """

    maps: Inputs
    gap: Float[Tensor, "B"] | None
    standard_error: Inputs | None
    outputs: Tensor
    evaluations: Evaluations


@dataclass(frozen=True)
class Axioms:
    """What a method promises on every model it accepts; tests measure each entry, and show a counter-example of False.

    Attributes:
        complete: maps sum to f(x) minus f at the baseline, or its mean over the references, up to the error of
            sampling or quadrature.
        sensitive: where one feature alone differs from the baseline (0 if the method has none) and changes f, its map
            is not zero [sundararajan2017].
        dummy: a feature that no weight of the model reads has map zero.
        implementation_invariant: networks that compute the same function have the same maps [sundararajan2017].
        linear: maps of a f + b g are a times the maps of f plus b times those of g.
        differentiable: `create_graph=True` gives maps whose gradient reaches every parameter that moves them.
        needs_baseline: the maps are relative to a baseline or to references.
        random: the maps depend on draws.
        note: the scope of an entry, or what is promised beyond these.
    """

    complete: bool
    sensitive: bool
    dummy: bool
    implementation_invariant: bool
    linear: bool
    differentiable: bool
    needs_baseline: bool = False
    random: bool = False
    note: str = ""


class Advice(NamedTuple):
    """When to choose a method, each the end of a sentence.

    Attributes:
        when: choose it when ...
        not_when: do not when ...
    """

    when: str
    not_when: str


@dataclass(frozen=True, eq=False)
class Call:
    """What one call adds to a method's own configuration; arguments as in `Attribution.__call__`.

    Attributes:
        training: the draws that a penalty wants.
        baseline: in place of the method's own.
        reference_output: f at the method's references.
    """

    generator: torch.Generator | None = None
    create_graph: bool = False
    chunk: Count | None = None
    model_kwargs: Mapping[str, Any] | None = None
    training: bool = False
    baseline: int | float | Inputs | None = None
    reference_output: Tensor | None = None


@checked
class Attribution(ABC):
    """A frozen dataclass value, its fields the method's configuration, called with the model."""

    axioms: ClassVar[Axioms]
    advice: ClassVar[Advice]

    @abstractmethod
    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        """What `__call__` returns."""

    @abstractmethod
    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        """What `explain` returns."""

    def __call__(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        generator: torch.Generator | None = None,
        create_graph: bool = False,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """Maps in the structure and shape of `inputs`, or, with `at`, of the named activation.

        Args:
            model: a module or callable, batch first; explained in eval mode and left as found.
            inputs: a tensor (B, *F) or a tuple of them; integers only with `at`.
            target: which output is explained: None for one output, an int, a tensor (B,) of class indices,
                a tuple or tensor (B, D) of indices into several output dimensions, or a callable on the output.
            generator: CPU generator of the draws; None advances the global one.
            create_graph: keep the graph, so that parameters and inputs get gradients from the maps.
            chunk: most model rows in one forward pass; None: 16 to 512, by the size of a row, or
                all of them with `create_graph`.
            model_kwargs: passed to the model; tensors whose first dimension is B follow the rows if the model reads
                them so, which is tried on two rows. `rr.PerRow(value)` and `rr.Shared(value)` say it.

        Raises:
            InputError, ShapeError, TargetError: what was passed cannot be used.
            DifferentiabilityError: the output has no gradient, or no graph can be kept here.
        """
        call = Call(generator, create_graph=create_graph, chunk=chunk, model_kwargs=model_kwargs)
        return self._maps(model, inputs, target, call)

    def explain(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Maps with completeness gap, standard error, outputs and cost; arguments as in `__call__`."""
        call = Call(generator, chunk=chunk, model_kwargs=model_kwargs)
        return self._explanation(model, inputs, target, call)

    def __repr__(self) -> str:
        """Fields that differ from their defaults; tensors as their shape."""
        shown = []
        for field in fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                shown.append(f"{field.name}=<{'x'.join(map(str, value.shape))}>")
            elif isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value):
                shapes = ", ".join(f"<{'x'.join(map(str, v.shape))}>" for v in value)
                shown.append(f"{field.name}=({shapes})")
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def with_outputs(maps: Inputs, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
    """Maps that came about elsewhere, explained: the model runs once for its outputs, nothing else is counted."""
    with explaining(model, second_order=False) as network, torch.no_grad():
        function = ScoreFunction(network, inputs, target, model_kwargs=call.model_kwargs, chunk=call.chunk)
        outputs = function.outputs_of_batch(function.points)
    return Explanation(maps, None, None, outputs, Evaluations(function.evaluations, 0))


def refuse_graph(method: Attribution, instead: str) -> None:
    """Raise the error of methods that cannot be trained through."""
    raise DifferentiabilityError(
        f"create_graph=True: {type(method).__name__} is not differentiable, so a penalty or an attack on its "
        f"maps would follow nothing, or the wrong thing. {instead}"
    )


def refuse_no_grad() -> None:
    """Raise a `DifferentiabilityError` where autograd is off."""
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        raise DifferentiabilityError(
            "create_graph=True inside no_grad or inference_mode: nothing done with the maps here would be recorded, "
            "so parameters would silently get no gradient. Leave the block, or drop create_graph."
        )
