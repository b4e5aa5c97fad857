"""Intervals and tests for scores of repeated runs."""

from rightreasons.stats._holm import holm
from rightreasons.stats._student import (
    FEWEST_SPLITS_TESTED,
    Difference,
    Interval,
    mean_interval,
    paired_difference,
)

__all__ = ["FEWEST_SPLITS_TESTED", "Difference", "Interval", "holm", "mean_interval", "paired_difference"]
