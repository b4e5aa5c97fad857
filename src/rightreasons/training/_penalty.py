"""Penalties: a prior on an attribution, as a term of an objective."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from rightreasons.attribution import Attribution as AttributionMethod
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._inputs import Inputs, as_tuple, like
from rightreasons.core._score import Target
from rightreasons.core.model._guard import Model, explaining
from rightreasons.core.model._keywords import keywords, plain
from rightreasons.priors import Prior
from rightreasons.tasks import Task
from rightreasons.training._engine import Attribution, DoubleBackprop, Engine
from rightreasons.training._schedule import Weight, check_weight

_FEWEST = 2
"""Rows that are penalised at least, so that with references="batch" each has another one."""


@dataclass(frozen=True, eq=False)
class Step:
    """What an objective hands to each of its terms.

    Attributes:
        outputs: the model's output at the inputs, already computed for the task.
        task: what the labels mean.
        engine: how gradients of maps reach the parameters.
        number: training steps before this one.
        generator: CPU generator of every draw; None for the global one.
        guidance: side data for each row (a mask, a human map), if any.
        model_kwargs: what else the model is called with.
    """

    outputs: Tensor
    task: Task
    engine: Engine = field(default_factory=DoubleBackprop)
    number: int = 0
    generator: torch.Generator | None = None
    guidance: Tensor | None = None
    model_kwargs: Mapping[str, Any] | None = None


@runtime_checkable
class Term(Protocol):
    """Anything that adds to the loss: a scalar of the model, the inputs and the labels."""

    @property
    def name(self) -> str:
        """Its name in results; unique within an objective."""
        ...

    @property
    def weight(self) -> Weight:
        """What its value is multiplied by."""
        ...

    @property
    def every(self) -> int:
        """It is evaluated at every so many steps."""
        ...

    def __call__(self, model: Model, inputs: Inputs, y: Tensor, *, step: Step) -> Tensor:
        """Its value, before the weight."""
        ...


@final
@checked
@dataclass(frozen=True, eq=False)
class Penalty:
    """A prior on an attribution, as a term of the loss.

        weight * prior(attribution(model, x, target of y))

    Args:
        attribution: a method, or any callable (model, inputs, target, *, generator, create_graph, model_kwargs) that
            keeps the graph to the parameters (`check_differentiable` tells).
        prior: maps -> scalar, see `rr.priors`.
        weight: a number, a function of the step (`Ramp`), `Auto(ratio, at)`, or "auto" for `Auto()`.
        rows: fraction of the rows that is penalised, drawn anew at every step, two rows at least; for priors that
            are means over rows. A quarter costs a little more than half of a step with all rows.
        draws: 2 makes a signed quadratic prior unbiased under few samples: prior.bilinear(phi, psi) of two
            independent maps replaces prior(phi).
        every: penalise every so many steps only.
        input: for models with several inputs, the position of the one whose map is penalised.
        label: its name in results; None: the prior's class name.

    Raises:
        InputError: `rows` or `draws` do not go with the prior, or a number is out of range.
    """

    attribution: Attribution
    prior: Prior
    weight: Weight = 1.0
    rows: float = 1.0
    draws: int = 1
    every: int = 1
    input: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        check_weight(self.weight)
        if not 0 < self.rows <= 1:
            raise InputError(f"rows is a fraction in (0, 1]; got {self.rows}.")
        if not isinstance(self.every, int) or self.every < 1:
            raise InputError(f"every counts steps, a whole number of at least 1; got {self.every}.")
        if self.rows < 1 and self.coupled:
            raise InputError(
                f"{self.prior!r} depends on the batch as a whole, so a part of its rows has another value "
                "(it would be biased). Use rows=1.0."
            )
        if self.draws not in (1, 2):
            raise InputError(
                f"draws is 1, or 2 for the unbiased form of a quadratic prior; got {self.draws}."
            )
        if self.draws == 2 and self._bilinear() is None:
            raise InputError(f"{self.prior!r} has no bilinear form, so draws=2 has no meaning. Use draws=1.")

    @property
    def name(self) -> str:
        """Name in results."""
        return self.label or type(self.prior).__name__

    @property
    def coupled(self) -> bool:
        """Whether the prior depends on the batch as a whole."""
        return bool(getattr(self.prior, "coupled", False))

    def _bilinear(self) -> Callable[..., Tensor] | None:
        return getattr(self.prior, "bilinear", None)

    def __call__(self, model: Model, inputs: Inputs, y: Tensor, *, step: Step) -> Tensor:
        """The prior's value at maps of this batch, with a graph to the parameters."""
        target = step.task.explained(y)
        guidance, kwargs = step.guidance, step.model_kwargs
        if self.rows < 1:
            inputs, target, guidance, kwargs = self._some_rows(model, inputs, target, step)
        maps = [self._maps(model, inputs, target, kwargs, step) for _ in range(self.draws)]
        bilinear = self._bilinear()
        if self.draws == 2 and bilinear is not None:
            return bilinear(*maps) if guidance is None else bilinear(*maps, guidance)
        return self.prior(maps[0], guidance)

    def _some_rows(
        self, model: Model, inputs: Inputs, target: Target, step: Step
    ) -> tuple[Inputs, Target, Tensor | None, Mapping[str, Any] | None]:
        parts = as_tuple(inputs)
        batch = parts[0].shape[0]
        count = min(batch, max(_FEWEST, ceil(self.rows * batch)))
        chosen = torch.randperm(batch, generator=step.generator)[:count].sort().values

        def take(value: Any) -> Any:
            per_row = isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == batch
            return value[chosen.to(value.device)] if per_row else value

        kwargs = None
        if step.model_kwargs is not None:
            with explaining(model, second_order=False) as network:
                kwargs = keywords(network, parts, step.model_kwargs).declared(take)
        return like([take(part) for part in parts], inputs), take(target), take(step.guidance), kwargs

    def _maps(
        self, model: Model, inputs: Inputs, target: Target, kwargs: Mapping[str, Any] | None, step: Step
    ) -> Tensor:
        if kwargs is not None and not isinstance(self.attribution, AttributionMethod):
            kwargs = plain(kwargs)  # a function of the caller's own knows of no declarations
        maps = step.engine.maps(
            self.attribution, model, inputs, target, generator=step.generator, model_kwargs=kwargs
        )
        chosen = self._chosen(maps)
        if torch.is_grad_enabled() and _trainable(model) and not _reaches_a_parameter(chosen):
            raise DifferentiabilityError(
                f"the maps of {self.attribution!r} carry no graph to any parameter, so this penalty would silently "
                "train nothing. rr.training.check_differentiable(method, model, x, y) shows which parameters a map "
                "reaches."
            )
        return chosen

    def _chosen(self, maps: Inputs) -> Tensor:
        if isinstance(maps, Tensor):
            return maps
        if self.input is None or not 0 <= self.input < len(maps):
            raise InputError(
                f"the model has {len(maps)} inputs: say whose map is penalised, Penalty(..., input=0); "
                f"got input={self.input}."
            )
        return maps[self.input]


def _trainable(model: Model) -> bool:
    return isinstance(model, torch.nn.Module) and any(p.requires_grad for p in model.parameters())


def _reaches_a_parameter(maps: Tensor) -> bool:
    """Whether a parameter is among the leaves of the graph; that of an input alone is not enough to train."""
    seen: set[Any] = set()
    nodes: list[Any] = [maps.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if isinstance(getattr(node, "variable", None), torch.nn.Parameter):
            return True
        seen.add(node)
        nodes.extend(parent for parent, _ in node.next_functions)
    return False
