"""Intervals and tests for scores of repeated runs, and of features that came out on top."""

from rightreasons.stats._benjamini_hochberg import benjamini_hochberg
from rightreasons.stats._enrichment import Enriched, enrichment
from rightreasons.stats._holm import holm
from rightreasons.stats._stability import Stability, rank_stability, recovery_auc
from rightreasons.stats._student import (
    FEWEST_SPLITS_TESTED,
    Difference,
    Interval,
    mean_interval,
    paired_difference,
)

__all__ = [
    "FEWEST_SPLITS_TESTED",
    "Difference",
    "Enriched",
    "Interval",
    "Stability",
    "benjamini_hochberg",
    "enrichment",
    "holm",
    "mean_interval",
    "paired_difference",
    "rank_stability",
    "recovery_auc",
]
