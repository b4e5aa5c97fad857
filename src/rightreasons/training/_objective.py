"""The objective: the task's loss plus weighted terms."""

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from math import inf, isfinite
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from rightreasons.core._called import called
from rightreasons.core._checked import checked
from rightreasons.core._distributed import mean_over_ranks, means_across_ranks, of_all_ranks, share_of_rows
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs
from rightreasons.core.model._grad import loss_gradients, norm_of
from rightreasons.core.model._keywords import plain
from rightreasons.tasks import Task, task_from
from rightreasons.training._engine import DoubleBackprop, Engine
from rightreasons.training._penalty import Step, Term
from rightreasons.training._schedule import Auto


class Losses(NamedTuple):
    """One step's values.

    Attributes:
        total: what to call `backward` on: task + sum of weight * penalty.
        task: the task's loss.
        penalties: value of each term evaluated at this step, before its weight.
        weights: the weights of the same terms.
        outputs: the model's output.
        gradient_ratios: on request, |weight * gradient of the term| / |gradient of the task| over the parameters.
    """

    total: Tensor
    task: Tensor
    penalties: dict[str, Tensor]
    weights: dict[str, float]
    outputs: Tensor
    gradient_ratios: dict[str, float] | None = None


@final
@checked
class Objective(nn.Module):
    """Task loss plus weighted terms, as one module: one forward, one backward.

        objective(x, y).total.backward()

    The task's forward runs first, in the model's own mode; penalties follow in eval mode, so that batch-norm
    statistics do not move under a penalty. Wrap the *objective* in DistributedDataParallel, not the model; in training
    the task's loss and priors on batch means then span the rows of all processes, however many each has.

    Args:
        model: what is trained.
        task: a task of `rr.tasks`, or a loss (outputs, y) -> scalar; integer labels then select the explained class,
            and float labels explain the model's only output.
        terms: penalties, or anything with `name`, `weight`, `every` and the call of a `Term`.
        engine: how gradients of maps reach the parameters; None: `DoubleBackprop()`.

    Raises:
        InputError: two terms have the same name.

    Example:
        >>> import torch, rightreasons as rr
        >>> from rightreasons import priors, training
        >>> model = torch.nn.Linear(4, 3)
        >>> penalty = training.Penalty(rr.ExpectedGradients("batch"), priors.L1(), weight=0.1)
        >>> objective = training.Objective(model, torch.nn.functional.cross_entropy, [penalty])
        >>> objective(torch.randn(8, 4), torch.arange(8) % 3).total.backward()
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task | Callable[[Tensor, Tensor], Tensor],
        terms: Sequence[Term] = (),
        *,
        engine: Engine | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task_from(task)
        self.terms = tuple(terms)
        self.engine = engine or DoubleBackprop()
        self.step = 0
        self.measured: dict[str, float] = {}
        self._last_version: int | None = None
        self._warned = False
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise InputError(f"terms need different names; got {names}. Give Penalty(..., label='...').")
        self.term_modules = nn.ModuleList(_modules_of(self.terms))

    @checked
    def forward(
        self,
        x: Inputs,
        y: Tensor,
        *,
        generator: torch.Generator | None = None,
        guidance: Tensor | Mapping[str, Tensor] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        gradient_ratios: bool = False,
    ) -> Losses:
        """The losses of a batch. In training mode the step number advances.

        Args:
            x: inputs, batch first.
            y: labels.
            generator: CPU generator of every draw; None for the global one.
            guidance: per-row side data for the terms, or one for each term by name.
            model_kwargs: passed to the model.
            gradient_ratios: also measure each term's gradient against the task's (one more backward pass each).

        Raises:
            InputError: unusable inputs, guidance for a term that is not there, a weight that is no weight,
                gradient ratios where no gradients are recorded, or weight="auto" for a term without gradient.
        """
        check_inputs(x, integers_allowed=True)
        self._check_call(guidance, gradient_ratios)
        self._notice_accumulation()
        outputs = called(self.model, as_tuple(x), plain(model_kwargs))
        penalties, weights = {}, {}
        with means_across_ranks() if self.training else nullcontext():
            task = self._task_loss(outputs, y)
            share = share_of_rows(outputs.shape[0]) if self.terms else 1.0
            for term in self.terms:
                if not self._due(term):
                    continue
                value = term(
                    self.model,
                    x,
                    y,
                    step=Step(
                        outputs=outputs,
                        task=self.task,
                        engine=self.engine,
                        number=self.step,
                        generator=generator,
                        guidance=guidance.get(term.name) if isinstance(guidance, Mapping) else guidance,
                        model_kwargs=model_kwargs,
                    ),
                )
                penalties[term.name] = value
                weights[term.name] = self._weight(term, task, value)
            ratios = self._gradient_ratios(task, penalties, weights) if gradient_ratios else None
        total = task
        for term in self.terms:
            if term.name in penalties:
                of_rows = 1.0 if getattr(term, "coupled", False) else share
                total = total + of_rows * weights[term.name] * penalties[term.name]
        if self.training:
            self.step += 1
        return Losses(total, task, penalties, weights, outputs, ratios)

    def _task_loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """In distributed training that of the whole batch, whatever the task: means, class weights, risk sets."""
        return self.task.loss(of_all_ranks(outputs), of_all_ranks(y))

    def _check_call(self, guidance: Tensor | Mapping[str, Tensor] | None, gradient_ratios: bool) -> None:
        names = [term.name for term in self.terms]
        unknown = [name for name in guidance if name not in names] if isinstance(guidance, Mapping) else []
        if unknown:
            raise InputError(
                f"guidance is given by the name of its term; got {unknown[0]!r}, the terms are {names}."
            )
        if gradient_ratios and not torch.is_grad_enabled():
            raise InputError(
                "gradient_ratios compares gradients, and none are recorded inside no_grad. Leave the block."
            )

    def _notice_accumulation(self) -> None:
        """Say once that batch-coupled priors do not add up over micro-batches.

        A training forward on parameters that have not moved since the last one, while gradients are waiting, is one.
        """
        if not self.training or self._warned or not torch.is_grad_enabled():
            return
        coupled = [t.name for t in self.terms if getattr(t, "coupled", False) and self._due(t)]
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        version = sum(p._version for p in parameters)
        if coupled and version == self._last_version and any(_waiting(p) for p in parameters):
            self._warned = True
            warnings.warn(
                f"gradients are accumulated over micro-batches, but {', '.join(coupled)} depends on the batch as a "
                "whole: the mean of its values on micro-batches is another penalty (a global Gini of .148 on a batch "
                "was .206 as the mean of its halves). Use larger batches, or a prior at the 'sample' level.",
                stacklevel=4,
            )
        self._last_version = version

    def _due(self, term: Term) -> bool:
        weight = _resolved(term)
        if self.training and self.step % term.every:
            return False
        if isinstance(weight, Auto):
            return term.name in self.measured or (self.training and self.step >= weight.at)
        return self._current(term, weight) != 0

    def _current(self, term: Term, weight: float | Callable[[int], float]) -> float:
        value = float(weight(self.step) if callable(weight) else weight)
        if not (isfinite(value) and value >= 0):
            raise InputError(
                f"a penalty's weight must be finite and not negative; {term.name!r} has {value} at step {self.step}."
            )
        return value

    def _weight(self, term: Term, task: Tensor, value: Tensor) -> float:
        weight = _resolved(term)
        if not isinstance(weight, Auto):
            return self._current(term, weight)
        if term.name not in self.measured:
            task_norm, term_norm = self._norm(task), self._norm(value)
            if not 0 < task_norm < inf or not 0 < term_norm < inf:
                raise InputError(
                    f"weight='auto' cannot be found at step {self.step}: the gradient of the task has norm "
                    f"{task_norm:.3g}, that of {term.name!r} {term_norm:.3g}. Give a number, or measure later: "
                    "Auto(ratio, at=...)."
                )
            self.measured[term.name] = weight.ratio * task_norm / term_norm
        return self.measured[term.name]

    def _norm(self, loss: Tensor) -> float:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        return mean_over_ranks(norm_of(loss_gradients(loss, parameters, retain_graph=True)), loss.device)

    def _gradient_ratios(
        self, task: Tensor, penalties: dict[str, Tensor], weights: dict[str, float]
    ) -> dict[str, float]:
        task_norm = self._norm(task)
        return {
            name: weights[name] * self._norm(value) / task_norm if task_norm else float("inf")
            for name, value in penalties.items()
        }

    @checked
    def parameter_groups(
        self, model: Mapping[str, Any] | None = None, terms: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The trainable parameters of the model, and of terms and priors that learn, as groups for an optimizer.

            torch.optim.Adam(objective.parameter_groups(terms={"lr": 1e-4, "weight_decay": 0.0}), lr=1e-3)

        Args:
            model: options of the model's group, such as lr and weight_decay; what is not said is the optimizer's own.
            terms: options of the other group, which is left out if no parameter of a term is trained, as with g = 0.

        Raises:
            InputError: options for terms of which none can learn, or a rate or decay below zero.
        """
        for group, options in (("model", model or {}), ("terms", terms or {})):
            for name in ("lr", "weight_decay"):  # optimizers check their own only
                if isinstance(value := options.get(name), int | float) and not 0 <= value < math.inf:
                    raise InputError(
                        f"{group}: {name} must be finite and not negative, or training would go uphill; got {value}."
                    )
        own = {id(p) for p in self.model.parameters()}
        learned = [p for p in self.term_modules.parameters() if p.requires_grad and id(p) not in own]
        groups = [{"params": [p for p in self.model.parameters() if p.requires_grad], **(model or {})}]
        if learned:
            return [*groups, {"params": learned, **(terms or {})}]
        if terms and not len(self.term_modules):
            raise InputError(
                f"terms={dict(terms)} are options for terms that learn, such as Penalty(..., LearnedPrior(...)); none "
                f"of {[term.name for term in self.terms]} does."
            )
        return groups

    def get_extra_state(self) -> Tensor:
        """Step number and measured weights, so that a resumed run goes on as it was.

        As the bytes of their JSON in a tensor: some trainers save states that hold tensors and nothing else.
        """
        text = json.dumps({"step": self.step, "measured": self.measured})
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Counterpart of `get_extra_state`."""
        found = json.loads(bytes(state.tolist()))
        self.step, self.measured = found["step"], found["measured"]


def _resolved(term: Term) -> float | Auto | Callable[[int], float]:
    return Auto() if isinstance(term.weight, str) else term.weight


def _waiting(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def _modules_of(terms: Sequence[Term]) -> list[nn.Module]:
    """Modules whose parameters are trained with the model: terms and priors that learn."""
    found = []
    for owner in terms:
        while owner is not None and not isinstance(owner, nn.Module):
            owner = getattr(owner, "prior", None)  # a term's prior, and what that is made of
        found += [] if owner is None else [owner]
    return found
