"""Training one fit, and judging it on validation rows only."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rightreasons import tasks, training
from rightreasons.core._errors import DataError, DivergedError, InputError
from rightreasons.core._inputs import Inputs
from rightreasons.recipes import Arm, Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._schema import Pretrained
from rightreasons.runs import _material as material
from rightreasons.runs._files import RunDirectory, to_json, write_atomically
from rightreasons.runs._logs import loggers
from rightreasons.runs._plan import Fit
from rightreasons.runs._rows import Parts, precise
from rightreasons.runs._rows import parts as parts_of
from rightreasons.runs._terms import Terms, terms_of

ROWS_AT_ONCE = 500


def train(recipe: Recipe, fit: Fit, run: RunDirectory, devices: int = 1, rank: int = 0) -> None:
    """Train, save the weights, then the result: a result on disk means that the fit is finished.

    Args:
        recipe: says how.
        fit: which one.
        run: where to.
        devices: processes that train it together.
        rank: which of them this is; the first one writes.
    """
    parts = parts_of(recipe, fit.split)
    task = material.task_of(recipe, parts.train)
    model = material.model_of(recipe, material.Form.of(parts.train, task), fit.seed)
    terms = terms_of(recipe, arm_of(recipe, fit), fit.weight, fit.split)
    checkpoints = run.checkpoints_folder(fit.id)
    result = {key: value for key, value in vars(fit).items()}
    try:
        with loggers(recipe, run, fit.id) if rank == 0 else nullcontext() as log:
            found = fitted(recipe, terms, model, task, parts, fit.seed, checkpoints, log, devices)
    except (DivergedError, InputError) as error:  # a rehearsed arm: its loss or its maps are no longer finite
        if rank > 0:
            raise
        result |= {"status": "failed", "error": " ".join(str(error).split())}
    else:
        if rank > 0:
            return
        write_atomically(run.model_file(fit.id), to_safetensors(model))
        result |= {
            "status": "ok",
            "validation": judge(model, task, parts.validation.x, parts.validation.y),
            "best_epoch": found.best_epoch,
            "steps": found.steps,
            "seconds": sum(float(record["seconds"]) for record in found.history),
            "history": found.history,
        }
    write_atomically(run.result_file(fit.id), to_json(result, indent=None))
    shutil.rmtree(checkpoints, ignore_errors=True)


def arm_of(recipe: Recipe, fit: Fit) -> Arm:
    """The arm of a fit."""
    return next(arm for arm in recipe.arms if arm.name == fit.arm)


def objective_of(recipe: Recipe, terms: Terms, model: nn.Module, task: tasks.Task) -> training.Objective:
    """What a fit minimises."""
    engine = recipe.training.engine
    return training.Objective(
        model, task, terms.terms, engine=names.build("engine", engine.name, engine.fields)
    )


def fitted(
    recipe: Recipe,
    terms: Terms,
    model: nn.Module,
    task: tasks.Task,
    parts: Parts,
    seed: int,
    checkpoints: Path | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    devices: int = 1,
) -> training.Fitted:
    """Train the model as the recipe says; afterwards its weights are in single precision."""
    how = recipe.training
    guided = () if terms.guidance is None else (terms.guidance,)
    try:
        return training.fit(
            objective_of(recipe, terms, model, task),
            (precise(parts.train.x, recipe), parts.train.y, *guided),
            validation=(parts.validation.x, parts.validation.y),
            epochs=how.epochs,
            batch_size=how.batch_size,
            optimizer=names.optimizer(how.optimizer.name, how.optimizer.fields),
            scheduler=how.schedule and names.build("schedule", how.schedule.name, how.schedule.fields),
            seed=seed,
            patience=how.patience,
            augment=_augmentation(recipe),
            clip=how.clip,
            accumulate=how.accumulate,
            drop_last=how.drop_last,
            precision=how.precision,
            devices=devices,
            directory=checkpoints if how.checkpoint_every else None,
            checkpoint_every=how.checkpoint_every,
            progress=log or False,
        )
    finally:
        model.float()


def _augmentation(recipe: Recipe) -> Callable[[Inputs, torch.Generator], Inputs] | None:
    changes = [names.build("augmentation", each.name, each.fields) for each in recipe.training.augment]
    if not changes:
        return None
    return lambda x, generator: reduce(lambda images, change: change(images, generator), changes, x)


def judge(model: nn.Module, task: tasks.Task, x: Tensor, y: Tensor) -> dict[str, float]:
    """The task's metrics on these rows, in eval mode."""
    return task.metrics(outputs_of(model, x), y)


@torch.no_grad()
def outputs_of(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs in eval mode, in pieces of bounded memory."""
    model.eval()
    return torch.cat([model(rows) for rows in x.split(ROWS_AT_ONCE)])


def to_safetensors(model: nn.Module) -> bytes:
    """The model's weights as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: value.clone().contiguous() for name, value in model.state_dict().items()})


def saved_model(recipe: Recipe, form: material.Form, file: Path) -> nn.Module:
    """The network whose weights `to_safetensors` wrote, in eval mode.

    Raises: DataError if the file is gone, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    model = material.model_of(recipe.model_copy(update={"pretrained": Pretrained()}), form, seed=0)
    try:
        model.load_state_dict(load(file.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"The weights {file} cannot be used: {' '.join(str(error).split())}. Run the recipe again."
        ) from error
    return model.eval()
