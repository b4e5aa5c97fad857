"""Summarise a run: choices, scores, comparisons, cost (metrics.json)."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rightreasons.core._errors import DataError
from rightreasons.recipes import Recipe
from rightreasons.runs.results._comparisons import CLEAN, comparisons, interval
from rightreasons.stats import FEWEST_SPLITS_TESTED
from rightreasons.tasks import Task

Result = Mapping[str, Any]


def summarise(
    recipe: Recipe,
    task: Task,
    results: Sequence[Result],
    chosen: Mapping[tuple[str, int], Result],
    examined: Mapping[tuple[str, int], Result],
) -> dict[str, Any]:
    """The content of metrics.json.

    Args:
        recipe: resolved.
        task: whose headline metric is compared.
        results: of every fit.
        chosen: the result taken for each (arm, split).
        examined: what was measured of it.

    Raises: DataError if every trial of an arm failed on a split, or its score there is unknown: leaving the split out
        would flatter the arm.
    """
    _require_all(recipe, results, chosen)
    _require_scores(examined, task.headline)
    splits = range(recipe.data.splits)
    arms = [_arm(recipe, arm.name, results, chosen, examined, task.headline) for arm in recipe.arms]
    rows = examined[recipe.arms[0].name, 0]["rows"]
    outcomes = _outcomes(recipe, examined, task.headline)
    compared = comparisons(
        outcomes, recipe.reference, recipe.compare, rows, task.headline, task.higher_is_better
    )
    reference_step = next(arm["seconds_per_step"] for arm in arms if arm["name"] == recipe.reference)
    plain = not next(arm for arm in recipe.arms if arm.name == recipe.reference).terms
    for arm in arms:
        known = plain and reference_step and arm["seconds_per_step"] is not None
        arm["plain_steps"] = arm["seconds_per_step"] / reference_step if known else None
    return {
        "name": recipe.name,
        "headline": task.headline,
        "higher_is_better": task.higher_is_better,
        "reference": recipe.reference,
        "splits": len(splits),
        "rows": rows,
        "tested": len(splits) >= FEWEST_SPLITS_TESTED,
        "arms": arms,
        "comparisons": compared,
        "weights": _weight_curves(recipe, results, task.headline),
    }


def _require_all(recipe: Recipe, results: Sequence[Result], chosen: Mapping[tuple[str, int], Result]) -> None:
    for arm in recipe.arms:
        for split in range(recipe.data.splits):
            if (arm.name, split) in chosen:
                continue
            own = [r for r in results if r["arm"] == arm.name and r["split"] == split]
            why = next(
                (r["error"] for r in own if "error" in r),
                "its outputs are not finite on validation rows. Lower the learning rate or the weights, or set "
                "training.clip.",
            )
            raise DataError(
                f"every trial of arm {arm.name!r} failed on split {split}, and leaving the split out would flatter the "
                f"arm. The first failure: {why}"
            )


def _require_scores(examined: Mapping[tuple[str, int], Result], headline: str) -> None:
    for (arm, split), measured in examined.items():
        if measured["test"][headline] is None:
            raise DataError(
                f"arm {arm!r} has no {headline} on the test rows of split {split}: a class is missing there, or "
                "nothing can be compared. Test on more rows (data.test), or keep data.stratify."
            )


def _arm(
    recipe: Recipe,
    name: str,
    results: Sequence[Result],
    chosen: Mapping[tuple[str, int], Result],
    examined: Mapping[tuple[str, int], Result],
    headline: str,
) -> dict[str, Any]:
    own = [result for result in results if result["arm"] == name]
    done = [result for result in own if result["status"] == "ok"]
    taken = [chosen[name, split] for split in range(recipe.data.splits)]
    measured = [examined[name, split] for split in range(recipe.data.splits)]
    scores = [each["test"][headline] for each in measured]
    peer = taken[0]["steps"] is None  # fitted by its own algorithm
    return {
        "name": name,
        "chosen": [
            {key: each[key] for key in ("id", "split", "trial", "weight", "best_epoch")}
            | {
                "validation": each["validation"][headline],
                "key": each.get("key"),
                "flat": each.get("flat", False),
            }
            for each in taken
        ],
        "learned": [each["learned"] for each in taken] if "learned" in taken[0] else None,
        "test": {metric: [each["test"][metric] for each in measured] for metric in measured[0]["test"]},
        "interval": interval(scores, measured[0]["rows"], headline, recipe.compare.confidence),
        "noise": _noise(measured, headline),
        "gini": [each["gini"] for each in measured],
        "total_variation": [each.get("total_variation") for each in measured],
        "gap": [each["gap"] for each in measured],
        "relative_gap": [each["relative_gap"] for each in measured],
        "fits": len(own),
        "failed": len(own) - len(done),
        "steps": None if peer else sum(result["steps"] for result in done),
        "seconds": sum(result["seconds"] for result in done),
        "seconds_per_step": None if peer else median(result["seconds"] / result["steps"] for result in done),
    }


def _noise(measured: Sequence[Result], headline: str) -> dict[str, list[dict[str, Any]]]:
    kinds = measured[0]["noise"]
    return {
        kind: [
            {"level": first["level"], "scores": [each["noise"][kind][i][headline] for each in measured]}
            for i, first in enumerate(kinds[kind])
        ]
        for kind in kinds
    }


def _outcomes(
    recipe: Recipe, examined: Mapping[tuple[str, int], Result], headline: str
) -> dict[str, dict[str, list[float]]]:
    """For each thing compared, for each arm, one score for each split."""
    splits = range(recipe.data.splits)
    found = {CLEAN: {a.name: [examined[a.name, s]["test"][headline] for s in splits] for a in recipe.arms}}
    for kind in examined[recipe.arms[0].name, 0]["noise"]:
        found[kind] = {
            arm.name: [_mean_under_noise(examined[arm.name, s]["noise"][kind], headline) for s in splits]
            for arm in recipe.arms
        }
    return found


def _mean_under_noise(levels: Sequence[Result], headline: str) -> float:
    """Over the levels above zero; over all if there is no other."""
    noisy = [level[headline] for level in levels if level["level"] > 0]
    return _mean(noisy or [level[headline] for level in levels])


def _weight_curves(
    recipe: Recipe, results: Sequence[Result], headline: str
) -> dict[str, list[dict[str, Any]]]:
    """Validation score of each split at each weight, None where the fit failed, and the mean of the others."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for arm in recipe.arms:
        for trial in range(recipe.trials_per_arm):
            own = sorted(
                (r for r in results if r["arm"] == arm.name and r["trial"] == trial), key=lambda r: r["split"]
            )
            scores = [r["validation"][headline] if r["status"] == "ok" else None for r in own]
            done = [score for score in scores if score is not None]
            curves.setdefault(arm.name, []).append(
                {
                    "weight": arm.weights[trial] if arm.weights else None,
                    "mean": _mean(done) if done else None,
                    "scores": scores,
                    "failed": sum(r["status"] != "ok" for r in own),
                    "flat": sum(r.get("flat", False) for r in own),
                }
            )
    return curves


def _mean(values: Any) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
