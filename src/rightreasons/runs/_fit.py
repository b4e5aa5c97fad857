"""Training one fit, and judging it on validation rows only."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rightreasons import tasks, training
from rightreasons.core._errors import DataError, DivergedError, InputError
from rightreasons.recipes import Arm, Recipe
from rightreasons.recipes import _names as names
from rightreasons.recipes._schema import Pretrained
from rightreasons.runs import _material as material
from rightreasons.runs._files import RunDirectory, to_json, write_atomically
from rightreasons.runs._plan import Fit
from rightreasons.runs._rows import Parts
from rightreasons.runs._rows import parts as parts_of
from rightreasons.runs._terms import terms_of

ROWS_AT_ONCE = 500


def train(recipe: Recipe, fit: Fit, run: RunDirectory) -> None:
    """Train, save the weights, then the result: a result on disk means that the fit is finished."""
    parts, task = parts_of(recipe, fit.split), material.task_of(recipe)
    model = material.model_of(recipe, material.Form.of(parts.train, task), fit.seed)
    terms = terms_of(recipe, arm_of(recipe, fit), fit.weight, fit.split)
    result: dict[str, Any] = {
        "id": fit.id,
        "arm": fit.arm,
        "split": fit.split,
        "trial": fit.trial,
        "weight": fit.weight,
        "seed": fit.seed,
    }
    try:
        fitted = _fit(recipe, training.Objective(model, task, terms.terms), parts, terms.guidance, fit.seed)
    except (DivergedError, InputError) as error:  # a rehearsed arm: its loss or its maps are no longer finite
        result |= {"status": "failed", "error": " ".join(str(error).split())}
    else:
        write_atomically(run.model_file(fit.id), to_safetensors(model))
        result |= {
            "status": "ok",
            "validation": judge(model, task, parts.validation.x, parts.validation.y),
            "best_epoch": fitted.best_epoch,
            "steps": fitted.steps,
            "seconds": sum(float(record["seconds"]) for record in fitted.history),
            "history": fitted.history,
        }
    write_atomically(run.result_file(fit.id), to_json(result, indent=None))


def arm_of(recipe: Recipe, fit: Fit) -> Arm:
    """The arm of a fit."""
    return next(arm for arm in recipe.arms if arm.name == fit.arm)


def _fit(
    recipe: Recipe, objective: training.Objective, parts: Parts, guidance: Tensor | None, seed: int
) -> training.Fitted:
    how = recipe.training
    guided = () if guidance is None else (guidance,)
    return training.fit(
        objective,
        (parts.train.x, parts.train.y, *guided),
        validation=(parts.validation.x, parts.validation.y),
        epochs=how.epochs,
        batch_size=how.batch_size,
        optimizer=names.optimizer(how.optimizer.name, how.optimizer.fields),
        seed=seed,
        patience=how.patience,
        clip=how.clip,
    )


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
