"""What is measured of a chosen fit: its score on test rows, under noise, and its attributions."""

import json
from hashlib import sha256
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons import attribution, data, priors, tasks
from rightreasons.recipes import Recipe
from rightreasons.runs import _material as material
from rightreasons.runs._files import RunDirectory, npz, to_json, write_atomically
from rightreasons.runs._fit import judge, outputs_of, saved_model
from rightreasons.runs._plan import Fit, seed_of
from rightreasons.runs._rows import parts as parts_of

_KINDS: tuple[Literal["gaussian", "salt_and_pepper"], ...] = ("gaussian", "salt_and_pepper")
_EXPLAINED_AT_ONCE = 2000  # model rows


def key_of(recipe: Recipe, fit: Fit) -> str:
    """Name of what is measured of this fit; it changes with how it is measured."""
    how = [recipe.explain.model_dump(mode="json"), recipe.noise.model_dump(mode="json")]
    return f"{fit.id}-{sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:6]}"


def examine(recipe: Recipe, fit: Fit, run: RunDirectory) -> None:
    """Measure, save the maps, then the result: a result on disk means that all is measured."""
    parts, task = parts_of(recipe, fit.split), material.task_of(recipe)
    model = saved_model(recipe, material.Form.of(parts.train, task), run.model_file(fit.id))
    method = material.attribution_of(recipe.explain.attribution, parts.train.x)
    explained, arrays = _explained(recipe, fit, model, task, method, parts.test)
    result = {
        "id": fit.id,
        "test": judge(model, task, parts.test.x, parts.test.y),
        "rows": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")},
        "noise": _under_noise(recipe, fit, model, task, parts.test),
        **explained,
    }
    key = key_of(recipe, fit)
    write_atomically(run.maps_file(key), npz(arrays))
    write_atomically(run.examined_file(key), to_json(result, indent=None))


def _under_noise(
    recipe: Recipe, fit: Fit, model: nn.Module, task: tasks.Task, test: data.DataSet
) -> dict[str, list[dict[str, float]]]:
    """Metrics at each level; the noise of a split is the same for every arm and only grows with the level."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in _KINDS:
        for level in getattr(recipe.noise, kind):
            generator = torch.Generator().manual_seed(seed_of(recipe.seed, "noise", kind, fit.split))
            x = data.corrupt(test.x, kind, level, bounds=test.bounds or (0.0, 1.0), generator=generator)
            found.setdefault(kind, []).append({"level": level, **judge(model, task, x, test.y)})
    return found


def _explained(
    recipe: Recipe,
    fit: Fit,
    model: nn.Module,
    task: tasks.Task,
    method: attribution.PathAttribution,
    test: data.DataSet,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    started = perf_counter()
    shown = _examples(test.y, recipe.explain.examples) if not test.columns else torch.arange(0)
    others = torch.tensor([i for i in range(len(test)) if i not in set(shown.tolist())], dtype=torch.int64)
    rows = torch.cat([shown, others])[: max(recipe.explain.rows, len(shown))]
    x, y = test.x[rows], test.y[rows]
    draws = torch.Generator().manual_seed(seed_of(recipe.seed, "explain", fit.split))
    explanation = _explanation(method, model, x, task.explained(y), draws)
    maps = explanation.maps
    if not isinstance(maps, Tensor):
        raise TypeError("models of recipes have one input")
    result: dict[str, Any] = {"explained_rows": len(rows), "explain_seconds": perf_counter() - started}
    result |= _completeness(maps, explanation.gap)
    arrays = {"y": y.numpy(), "rows": rows.numpy()}
    if test.columns:
        names, maps = data.sum_groups(maps, test.groups)
        result["features"] = list(names)
        arrays["maps"] = maps.numpy()
    else:
        count = len(shown)
        arrays |= {"maps": maps[:count].numpy(), "inputs": x[:count].numpy()}
        arrays["outputs"] = outputs_of(model, x[:count]).numpy() if count else np.zeros(0, np.float32)
        result["total_variation"] = float(priors.TotalVariation()(maps))
    importance = maps.abs().mean(0)
    result["gini"] = float(priors.gini_coefficient(importance.flatten()))
    arrays["importance"] = importance.numpy()
    return result, arrays


def _explanation(
    method: attribution.PathAttribution,
    model: nn.Module,
    x: Tensor,
    target: Tensor | None,
    generator: torch.Generator,
) -> attribution.Explanation:
    """Maps and how far they are from complete, in pieces of bounded memory."""
    if isinstance(method, attribution.ExpectedGradients):
        known = attribution.reference_output(model, method)
        return method.explain(
            model, x, target, reference_output=known, generator=generator, chunk=_EXPLAINED_AT_ONCE
        )
    return method.explain(model, x, target, generator=generator, chunk=_EXPLAINED_AT_ONCE)


def _completeness(maps: Tensor, gap: Tensor | None) -> dict[str, float | None]:
    """How far maps are from adding up: before any projection, as a share of what they must add up to."""
    if gap is None:
        return {"gap": None, "relative_gap": None}
    total = maps.flatten(1).sum(1) + gap  # a projected map already adds up, so this is off by one gap at most
    size = float(total.abs().mean())
    return {"gap": float(gap.abs().mean()), "relative_gap": float(gap.abs().mean()) / size if size else None}


def _examples(y: Tensor, count: int) -> Tensor:
    """The first rows of each class in turn, so that every class is shown before any is shown twice."""
    if y.is_floating_point() or y.ndim > 1:
        return torch.arange(min(count, len(y)))
    turn: dict[int, int] = {}
    order = []
    for position, label in enumerate(y.tolist()):
        turn[label] = turn.get(label, -1) + 1
        order.append((turn[label], label, position))
    return torch.tensor([position for _, _, position in sorted(order)[:count]], dtype=torch.int64)
