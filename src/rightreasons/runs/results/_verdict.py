"""Verdicts in words, from numbers alone."""

from collections.abc import Mapping
from typing import Any

from rightreasons.recipes._schema import Compare

HELPS, HURTS, NO_HELP, UNKNOWN = "helps", "hurts", "does not help", "cannot tell"


def verdict(comparison: Mapping[str, Any], compare: Compare, higher_is_better: bool) -> str:
    """One of "helps", "hurts", "does not help", "cannot tell".

    "helps" and "hurts" need a Holm-adjusted p-value below 1 - confidence, which exists from ten splits on. "does not
    help" needs an interval that excludes any gain above the recipe's margin. All else is "cannot tell".

    >>> none = {"difference": 0.0, "low": -0.02, "high": 0.005, "p_holm": 1.0}
    >>> verdict(none, Compare(margin=0.01), higher_is_better=True)
    'does not help'
    """
    p, low, high = comparison["p_holm"], comparison["low"], comparison["high"]
    sign = 1 if higher_is_better else -1
    if p is not None and p < 1 - compare.confidence:
        return HELPS if sign * comparison["difference"] > 0 else HURTS
    if p is None or low is None:
        return UNKNOWN
    most = high if higher_is_better else -low
    return NO_HELP if most < compare.margin else UNKNOWN
