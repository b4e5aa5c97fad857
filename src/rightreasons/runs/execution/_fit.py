"""Train one fit, and score it on validation rows."""

import shutil
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from rightreasons import tasks
from rightreasons.core._errors import DataError, DivergedError, InputError
from rightreasons.recipes import Arm, Recipe
from rightreasons.runs.execution._logs import loggers
from rightreasons.runs.execution._trainers import Workshop, way_of
from rightreasons.runs.results._files import RunDirectory, to_json
from rightreasons.runs.results._manifest import AGAIN
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import parts as parts_of
from rightreasons.runs.setup._plan import Fit

ROWS_AT_ONCE = 500


def train(recipe: Recipe, fit: Fit, run: RunDirectory, devices: int = 1, rank: int = 0) -> bool:
    """Train, save the weights, then the result: a result on disk means that the fit is finished.

    Args:
        recipe: says how.
        fit: which one.
        run: where to.
        devices: processes that train it together.
        rank: which of them this is; the first one writes.

    Returns: whether it went well; where the loss or maps are no longer finite, the result says so, and processes
        other than the first raise.
    """
    parts = parts_of(recipe, fit.split)
    task = material.task_of(recipe, parts.train)
    way = way_of(arm_of(recipe, fit.arm))
    checkpoints = run.checkpoints_folder(fit.id)
    result = {key: value for key, value in vars(fit).items()}
    try:
        with loggers(recipe, run, fit.id) if rank == 0 else nullcontext() as log:
            model, trained = way.train(recipe, fit, parts, task, Workshop(checkpoints, log, devices))
    except (DivergedError, InputError) as error:  # a rehearsed arm: its loss or its maps are no longer finite
        if rank > 0:
            raise
        result |= {"status": "failed", "error": " ".join(str(error).split())}
    else:
        if rank > 0:
            return True
        run.manifest.write(run.model_file(fit.id), to_safetensors(model))
        outputs = outputs_of(model, parts.validation.x)
        validation = task.metrics(outputs, parts.validation.y)
        flat = is_flat(outputs, parts.validation.y, task)
        result |= {"status": "ok", "validation": validation, "flat": flat, **trained}
    run.manifest.write(run.result_file(fit.id), to_json(result, indent=None))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return result["status"] == "ok"


def arm_of(recipe: Recipe, name: str) -> Arm:
    """The arm of that name."""
    return next(arm for arm in recipe.arms if arm.name == name)


def is_flat(outputs: Tensor, y: Tensor, task: tasks.Task) -> bool:
    """Whether a network says nearly the same of every row, as one that a penalty has shrunk to nothing does.

    Then no output, of classes relative to the others, has a standard deviation of .05 (of a regression: of .01 times
    that of the labels).

    >>> is_flat(torch.tensor([2.0, 2.01]), torch.tensor([0, 1]), tasks.Binary())
    True
    """
    z = outputs.double().reshape(len(outputs), -1)
    if isinstance(task, tasks.MultiClass):
        z = z - z.mean(1, keepdim=True)
    least = 0.01 * float(y.double().std(correction=0)) if isinstance(task, tasks.Regression) else 0.05
    return bool(z.std(0, correction=0).max() < least)


@torch.no_grad()
def outputs_of(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs in eval mode, in pieces of bounded memory."""
    model.eval()
    return torch.cat([model(x[i : i + ROWS_AT_ONCE]) for i in range(0, len(x), ROWS_AT_ONCE)])


def to_safetensors(model: nn.Module) -> bytes:
    """The model's weights as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: value.clone().contiguous() for name, value in model.state_dict().items()})


def saved_model(
    recipe: Recipe, arm: str, weight: float | None, form: material.Form, run: RunDirectory, fit: str
) -> nn.Module:
    """The model of an arm with the weights that a fit saved, in eval mode.

    Raises: DataError if the file is gone, damaged, or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    of, file = arm_of(recipe, arm), run.model_file(fit)
    weights = run.manifest.read(file)
    try:
        model = way_of(of).restored(recipe.of(of, weight), form, load(weights))
    except (SafetensorError, RuntimeError, InputError) as error:
        raise DataError(
            f"The weights {file} cannot be used: {' '.join(str(error).split())}. {AGAIN}"
        ) from error
    return model.eval()
