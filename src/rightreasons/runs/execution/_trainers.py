"""Trainers: how an arm becomes a trained model (gradient steps, or a classical peer)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from rightreasons import models, tasks, training
from rightreasons.core._errors import DivergedError, RecipeError
from rightreasons.core._inputs import Inputs
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.data import DataSet
from rightreasons.models import Trees
from rightreasons.recipes import Arm, Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._arms import PeerName
from rightreasons.recipes._schema import Pretrained
from rightreasons.runs.results._learned import learned_by
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import Parts, precise
from rightreasons.runs.setup._label_scaling import Units
from rightreasons.runs.setup._plan import Fit
from rightreasons.runs.setup._terms import Terms, terms_of
from rightreasons.training._batches import Rows
from rightreasons.training._checks import check_batches
from rightreasons.training._forest import require_learnable

_FEW = 8


@dataclass(frozen=True)
class Workshop:
    """Where a fit is made.

    Args:
        checkpoints: where a killed fit finds where it was; None: nowhere.
        log: called with each epoch's record.
        devices: processes that train it together.
    """

    checkpoints: Path | None = None
    log: Callable[[dict[str, Any]], None] | None = None
    devices: int = 1


@runtime_checkable
class Way(Protocol):
    """One kind of arm."""

    @property
    def explains(self) -> bool:
        """Whether its models have attributions."""
        ...

    def train(
        self, recipe: Recipe, fit: Fit, parts: Parts, task: tasks.Task, where: Workshop
    ) -> tuple[nn.Module, dict[str, Any]]:
        """The model, and what is recorded of its training.

        Raises: DivergedError or InputError if this fit fails.
        """
        ...

    def restored(self, recipe: Recipe, form: material.Form, state: Mapping[str, Tensor]) -> nn.Module:
        """A model that holds these tensors.

        Raises: InputError or RuntimeError if they are not those of such a model.
        """
        ...

    def rehearse(self, recipe: Recipe, parts: Parts, task: tasks.Task, devices: int) -> None:
        """Try what can be tried in no time.

        Raises: RightReasonsError, or what torch raises, if the arm cannot run.
        """
        ...


def way_of(arm: Arm) -> Way:
    """The kind of an arm."""
    return _Network(arm) if arm.peer is None else _Peer(arm.peer, tuple(arm.weights))


@dataclass(frozen=True)
class _Network:
    """Trained by gradient steps, like all networks of the recipe."""

    arm: Arm
    explains: bool = True

    def train(
        self, recipe: Recipe, fit: Fit, parts: Parts, task: tasks.Task, where: Workshop
    ) -> tuple[nn.Module, dict[str, Any]]:
        recipe = recipe.of(self.arm, fit.weight)
        model = material.model_of(recipe, material.Form.of(parts.train, task), fit.seed)
        terms = terms_of(recipe, self.arm, fit.weight, fit.split)
        units = Units.of(recipe, task, parts.train)
        fitted = _fitted(recipe, terms, model, task, units.standard(parts), fit.seed, where)
        units.restore(model, _few(parts.train).x)
        return model, {
            "best_epoch": fitted.best_epoch,
            "steps": fitted.steps,
            "seconds": sum(float(record["seconds"]) for record in fitted.history),
            "history": fitted.history,
            **learned_by(terms.terms),
        }

    def restored(self, recipe: Recipe, form: material.Form, state: Mapping[str, Tensor]) -> nn.Module:
        plain = recipe.model_copy(update={"pretrained": Pretrained()})
        model = material.model_of(plain, form, seed=0)
        model.load_state_dict(state)
        return model

    def rehearse(self, recipe: Recipe, parts: Parts, task: tasks.Task, devices: int) -> None:
        weight = self.arm.weights[-1] if self.arm.weights else None
        recipe = recipe.of(self.arm, weight)
        how = recipe.training
        model = material.model_of(recipe, material.Form.of(parts.train, task), seed=0)
        terms = terms_of(recipe, self.arm, weight, split=0)
        objective = _objective(recipe, terms, model, task)
        check_batches(
            objective,
            Rows((parts.train.x, parts.train.y)),
            how.batch_size or len(parts.train),
            how.drop_last,
            devices,
        )
        coupled = [term.name for term in objective.terms if getattr(term, "coupled", False)]
        if coupled and how.accumulate > 1:
            raise RecipeError(
                f"{coupled[0]} depends on the batch as a whole, so accumulate: {how.accumulate} would train with "
                "another penalty. Use larger batches, or a prior at the sample level."
            )
        if terms.guidance is not None and how.augment:
            raise RecipeError(
                "training.augment moves pictures, and masks would stay where they are. Leave one of them out."
            )
        short = how.model_copy(
            update={"epochs": 1, "batch_size": None, "accumulate": 1, "drop_last": False, "patience": None}
        )
        few = Parts(_few(parts.train), _few(parts.validation), _few(parts.test))
        guidance = None if terms.guidance is None else terms.guidance[: len(few.train)]
        short_recipe = recipe.model_copy(update={"training": short})
        try:
            _fitted(
                short_recipe, Terms(terms.terms, guidance, terms.options), model, task, few, 0, Workshop()
            )
        except DivergedError:  # that is a result of a fit, not a mistake of the recipe
            return
        Units.of(recipe, task, parts.train).restore(model, few.train.x)


@dataclass(frozen=True)
class _Peer:
    """Fitted by its own algorithm on the same rows."""

    peer: PeerName
    weights: tuple[float, ...]

    @property
    def explains(self) -> bool:
        return self.peer.name in ("lasso", "ridge", "elastic_net")  # networks of one linear layer

    def train(
        self, recipe: Recipe, fit: Fit, parts: Parts, task: tasks.Task, where: Workshop
    ) -> tuple[nn.Module, dict[str, Any]]:
        started = perf_counter()
        outputs = material.Form.of(parts.train, task).outputs
        units = Units.of(recipe, task, parts.train) if self.explains else Units()
        standard = units.standard(parts)
        rows = ((part.x, part.y) for part in (standard.train, standard.validation))
        model, size = self._made(fit.weight).fit(task, *rows, outputs=outputs, seed=fit.seed)
        units.restore(model, _few(parts.train).x)
        seconds = perf_counter() - started
        return model, {"best_epoch": None, "steps": None, "rounds": size, "seconds": seconds, "history": []}

    def restored(self, recipe: Recipe, form: material.Form, state: Mapping[str, Tensor]) -> nn.Module:
        if not self.explains:
            return Trees.from_state(state)
        model = models.build("mlp", {"hidden": []}, shape=form.shape, outputs=form.outputs)
        model.load_state_dict(state)
        return model

    def rehearse(self, recipe: Recipe, parts: Parts, task: tasks.Task, devices: int) -> None:
        x = parts.train.x
        if x.ndim != 2 or not x.is_floating_point():
            raise RecipeError(
                f"the peer {self.peer.name!r} is for tables, and rows of these data are of shape {tuple(x.shape[1:])} "
                "or words. Leave it out."
            )
        if isinstance(x, SparseRows):
            x.require_room()
        for weight in self.weights:
            made = self._made(weight)
            if not self.explains:
                require_learnable(made, task, parts.train.y)

    def _made(self, weight: float | None) -> Any:
        varied = names.entry("peer", self.peer.name).varied
        return names.build("peer", self.peer.name, self.peer.fields, **{varied or "": weight})


def _objective(recipe: Recipe, terms: Terms, model: nn.Module, task: tasks.Task) -> training.Objective:
    """What a fit minimises."""
    engine = recipe.training.engine
    return training.Objective(
        model, task, terms.terms, engine=names.build("engine", engine.name, engine.fields)
    )


def _fitted(
    recipe: Recipe,
    terms: Terms,
    model: nn.Module,
    task: tasks.Task,
    parts: Parts,
    seed: int,
    where: Workshop,
) -> training.Fitted:
    """Train the model as the recipe says; afterwards its weights are in single precision."""
    how = recipe.training
    guided = () if terms.guidance is None else (terms.guidance,)
    objective = _objective(recipe, terms, model, task)
    try:
        return training.fit(
            objective,
            (precise(parts.train.x, recipe), parts.train.y, *guided),
            validation=(parts.validation.x, parts.validation.y),
            epochs=how.epochs,
            batch_size=how.batch_size,
            optimizer=_optimizer(recipe, objective, terms),
            scheduler=how.schedule and names.build("schedule", how.schedule.name, how.schedule.fields),
            seed=seed,
            patience=how.patience,
            augment=_augmentation(recipe),
            clip=how.clip,
            accumulate=how.accumulate,
            drop_last=how.drop_last,
            precision=how.precision,
            devices=where.devices,
            directory=where.checkpoints if how.checkpoint_every else None,
            checkpoint_every=how.checkpoint_every,
            progress=where.log or False,
        )
    finally:
        model.float()


def _optimizer(recipe: Recipe, objective: training.Objective, terms: Terms) -> Any:
    """Of all parameters alike, or with options of their own for terms that learn."""
    how = recipe.training.optimizer
    make = names.optimizer(how.name, how.fields)
    return make(objective.parameter_groups(terms=terms.options)) if terms.options else make


def _augmentation(recipe: Recipe) -> Callable[[Inputs, torch.Generator], Inputs] | None:
    changes = [names.build("augmentation", each.name, each.fields) for each in recipe.training.augment]
    if not changes:
        return None
    return lambda x, generator: reduce(lambda images, change: change(images, generator), changes, x)


def _few(rows: DataSet) -> DataSet:
    return rows.rows(torch.arange(min(_FEW, len(rows))))
