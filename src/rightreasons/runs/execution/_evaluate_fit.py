"""Evaluate a chosen fit: test score, score under noise, attributions."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons import data, tasks
from rightreasons.recipes import Recipe
from rightreasons.runs.execution._fit import arm_of, outputs_of, saved_model
from rightreasons.runs.execution._maps import explained, unexplained
from rightreasons.runs.execution._trainers import way_of
from rightreasons.runs.results._files import RunDirectory, npz, to_json
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._build import class_weights
from rightreasons.runs.setup._datasets import Parts, digests_of
from rightreasons.runs.setup._datasets import parts as parts_of
from rightreasons.runs.setup._plan import Fit, seed_of
from rightreasons.runs.setup._terms import attribution_of

_KINDS: tuple[Literal["gaussian", "salt_and_pepper"], ...] = ("gaussian", "salt_and_pepper")
_NOISY_AT_ONCE = 512  # rows; torch draws 16 numbers at once, so these are the draws of all rows together
_FORM = 3
"""Raised whenever other things are measured or kept: older results are then measured anew."""


def key_of(recipe: Recipe, fit: Fit) -> str:
    """Name of what is measured of this fit; it changes with how it is measured."""
    explain = recipe.explain.model_dump(mode="json", exclude={"sets", "relevant"})
    how = [_FORM, explain, recipe.noise.model_dump(mode="json")]
    return f"{fit.id}-{sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:6]}"


def examine(recipe: Recipe, fit: Fit, run: RunDirectory) -> None:
    """Measure, save the maps, then the result: a result on disk means that all is measured."""
    parts = parts_of(recipe, fit.split)
    task = material.task_of(recipe, parts.train)
    form = material.Form.of(parts.train, task)
    model = saved_model(recipe, fit.arm, fit.weight, form, run, fit.id)
    if way_of(arm_of(recipe, fit.arm)).explains:
        method = attribution_of(recipe.explain.attribution, parts.train.x)
        seed = seed_of(recipe.seed, "explain", fit.split)
        attributed, maps = explained(recipe, model, task, method, parts.test, seed)
    else:
        attributed, maps = unexplained(parts.test)
    outputs = outputs_of(model, parts.test.x)
    result = {
        "id": fit.id,
        "test": task.metrics(outputs, parts.test.y),
        "rows": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")},
        "noise": _under_noise(recipe, fit, model, task, parts.test),
        **attributed,
    }
    key = key_of(recipe, fit)
    maps_file, predictions_file, examined_file = examined_files(run, key)
    predictions = _predictions(outputs, parts.test) | _of_training(model, task, parts)
    run.manifest.write(maps_file, npz(maps))
    run.manifest.write(predictions_file, npz(predictions))
    run.manifest.write(examined_file, to_json(result, indent=None))


def examined_files(run: RunDirectory, key: str) -> tuple[Path, Path, Path]:
    """What `examine` writes: maps, predictions, and the result, last."""
    return run.maps_file(key), run.predictions_file(key), run.examined_file(key)


def _predictions(outputs: Tensor, test: data.DataSet) -> dict[str, np.ndarray]:
    """Raw outputs on all test rows, with their labels, and names if they have any."""
    named = {"ids": np.array(test.ids)} if test.ids else {}
    return {"outputs": outputs.numpy(), "y": test.y.numpy(), **named}


def _of_training(model: nn.Module, task: tasks.Task, parts: Parts) -> dict[str, np.ndarray]:
    """What using the network needs to know of the rows it was trained on, when they are no longer there."""
    known = {"seen": np.unique(np.concatenate([digests_of(parts.train), digests_of(parts.validation)]))}
    weights = class_weights(task)
    if weights is not None:
        known["class_weights"] = np.array(weights)
    if isinstance(task, tasks.Survival):
        baseline = tasks.Baseline.fit(outputs_of(model, parts.train.x), parts.train.y)
        known |= {
            "baseline_times": baseline.times.numpy(),
            "baseline_log_hazard": baseline.log_hazard.numpy(),
            "longest": np.array(baseline.last),
        }
    return known


def _under_noise(
    recipe: Recipe, fit: Fit, model: nn.Module, task: tasks.Task, test: data.DataSet
) -> dict[str, list[dict[str, float]]]:
    """Metrics at each level; the noise of a split is the same for every arm and only grows with the level."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in _KINDS:
        for level in getattr(recipe.noise, kind):
            generator = torch.Generator().manual_seed(seed_of(recipe.seed, "noise", kind, fit.split))
            noisy = (
                data.corrupt(rows, kind, level, bounds=test.bounds or (0.0, 1.0), generator=generator)
                for rows in (test.x[i : i + _NOISY_AT_ONCE] for i in range(0, len(test), _NOISY_AT_ONCE))
            )
            outputs = torch.cat([outputs_of(model, x) for x in noisy])
            found.setdefault(kind, []).append({"level": level, **task.metrics(outputs, test.y)})
    return found
