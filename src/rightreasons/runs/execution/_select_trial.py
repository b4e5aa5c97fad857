"""Select the trial of an arm on validation rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rightreasons.recipes._schema import Select


def choose(
    results: Sequence[Mapping[str, Any]], select: Select, headline: str, higher_is_better: bool
) -> Mapping[str, Any] | None:
    """The trial taken, by the recipe's rule; among equals the one with the smallest weight, then the first.

    Args:
        results: trials of one arm on one split, as `train` wrote them.
        select: the rule.
        headline: the validation metric it looks at.
        higher_is_better: its direction.

    Returns: one of the results, or None if every trial failed.

    >>> trials = [
    ...     {"trial": i, "weight": w, "status": "ok", "validation": {"auc": a}}
    ...     for i, (w, a) in enumerate([(0.1, 0.70), (1.0, 0.72), (10.0, 0.715)])
    ... ]
    >>> choose(trials, Select(), "auc", True)["weight"]
    1.0
    >>> choose(trials, Select(rule="largest_within", within=0.01), "auc", True)["weight"]
    10.0
    """
    scored = [
        (_score(result, headline, higher_is_better), result) for result in results if result["status"] == "ok"
    ]
    scored = [(score, result) for score, result in scored if score is not None]
    if not scored:
        return None
    best = max(score for score, _ in scored)
    if select.rule == "largest_within" and any(result["weight"] is not None for _, result in scored):
        good = [result for score, result in scored if score >= best - select.within - 1e-12]
        return max(good, key=lambda result: result["weight"])
    return min(
        (result for score, result in scored if score == best),
        key=lambda result: (result["weight"] or 0, result["trial"]),
    )


def _score(result: Mapping[str, Any], headline: str, higher_is_better: bool) -> float | None:
    """Larger is better; None if it is not a number."""
    value = result["validation"].get(headline)
    if value is None or not math.isfinite(value):
        return None
    return value if higher_is_better else -value
