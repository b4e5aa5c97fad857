"""Export the attributions of a run's table with names."""

from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes import Recipe
from rightreasons.runs.results._files import RunDirectory

Columns = dict[str, list[Any]]


@checked
def attributions(run: str | Path, *, arm: str | None = None) -> Columns:
    """A row for every explained test row of every arm and split, a column for every original column of the data.

    Before those: arm, split, row (its position among the test rows of the split), id (if the data have any), label,
    and explained, the class or label whose output the attributions add up to. Features of one-hot groups are added
    up, so names are those of the data.

    Args:
        run: a finished run on a table.
        arm: one arm only; None: all.

    Returns: columns of equal length, as `write_table` takes them.

    Raises:
        DataError: no finished run, or its inputs are no table.
        InputError: no such arm, or one without attributions; of all arms, those without are left out.
    """
    directory = RunDirectory.open(run)
    metrics, recipe = directory.metrics(), directory.recipe()
    if not metrics["features"]:
        raise DataError(
            f"{run} is about {metrics['data']['name']!r}, which is no table: its maps are arrays, in {run}/maps/*.npz "
            "(numpy.load)."
        )
    names = [each["name"] for each in metrics["arms"]]
    if arm is not None and arm not in names:
        raise InputError(f"{run} has no arm {arm!r}. {did_you_mean(arm, names)}")
    asked = [each for each in metrics["arms"] if arm in (None, each["name"])]
    explained = [each for each in asked if None not in each["gini"]]
    if not explained:
        raise InputError(
            f"{run}: decision trees have no attributions, and {arm or 'every arm'!r} is made of them."
        )
    pieces = [
        _piece(directory, recipe, metrics, each, chosen) for each in explained for chosen in each["chosen"]
    ]
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}


def _piece(
    run: RunDirectory, recipe: Recipe, metrics: dict[str, Any], arm: dict[str, Any], chosen: dict[str, Any]
) -> Columns:
    saved, data = run.maps(chosen["key"]), metrics["data"]
    count = len(saved["maps"])
    found: Columns = {
        "arm": [arm["name"]] * count,
        "split": [chosen["split"]] * count,
        "row": saved["rows"].tolist(),
    }
    if "ids" in saved:
        found["id"] = saved["ids"].tolist()
    found |= _label(saved["y"], data)
    found["explained"] = _explained(saved, recipe, data)
    for name, values in zip(metrics["features"], saved["maps"].T, strict=True):
        found[f"{name} (column)" if name in found else name] = values.tolist()
    return found


def _label(y: np.ndarray, data: dict[str, Any]) -> Columns:
    if y.ndim == 2 and y.shape[1] > 1:
        names = data.get("labels") or [str(i) for i in range(y.shape[1])]
        return {f"label: {name}": column.tolist() for name, column in zip(names, y.T, strict=True)}
    flat = y.reshape(-1)
    return {"label": [data["classes"][int(i)] for i in flat] if data["classes"] else flat.tolist()}


def _explained(saved: dict[str, np.ndarray], recipe: Recipe, data: dict[str, Any]) -> list[str]:
    names = list(data["classes"] or data.get("labels") or [])
    if "target" in saved:
        return [names[i] if names else str(i) for i in saved["target"].tolist()]
    survival = recipe.task is not None and recipe.task.name == "survival"
    output = "log-hazard" if survival else names[1] if len(names) == 2 else "predicted value"
    return [output] * len(saved["maps"])
