"""Stability of feature rankings over runs, and recovery of known features."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError


@dataclass(frozen=True)
class Stability:
    """How far runs agree about features, over all pairs of runs.

    Attributes:
        spearman: mean rank correlation; NaN where a run gives all features one value.
        least: smallest of them.
        overlap: mean share of the k features on top that two runs have in common.
        chance: what that share is for unrelated orders, k / p.
        k: features that count as being on top.
        runs: how many runs.
    """

    spearman: float
    least: float
    overlap: float
    chance: float
    k: int
    runs: int


@checked
def rank_stability(values: Float[np.ndarray, "runs p"], k: int = 10) -> Stability:
    """Agreement between runs on the order of features: rank correlations, and overlap of the top k.

    Ties share the mean of their ranks; in the overlap the first of equals is on top. Cost: O(runs p (runs + log p)).

    Args:
        values: importance of each of p features in each run, (runs, p).
        k: features that count as being on top.

    Raises:
        ShapeError: not at least two runs of two features.
        InputError: values that are not finite, or k outside 1..p.

    Example:
        >>> found = rank_stability(np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]]), k=1)
        >>> round(found.spearman, 3), found.overlap, round(found.chance, 3)
        (0.5, 1.0, 0.333)
    """
    if values.ndim != 2 or min(values.shape) < 2:
        raise ShapeError(f"values must be (runs, p) with at least two of each; got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError("importances must be finite; leave out runs that failed, and say so.")
    runs, p = values.shape
    if not 1 <= k <= p:
        raise InputError(f"k must lie in 1..{p}, the number of features; got {k}.")
    ranks = np.stack([_mid_ranks(row) for row in values])
    centred = ranks - ranks.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = (centred @ centred.T / np.outer(length, length))[np.triu_indices(runs, 1)]
    tops = [set(np.argsort(-row, kind="stable")[:k].tolist()) for row in values]
    shared = [len(tops[i] & tops[j]) / k for i in range(runs) for j in range(i)]
    return Stability(
        float(correlations.mean()), float(correlations.min()), float(np.mean(shared)), k / p, k, runs
    )


@checked
def recovery_auc(values: Float[np.ndarray, " p"], truth: np.ndarray) -> float:
    """How well importances find features known to matter: P(one that matters is above one that does not), ties half.

    Cost: one sort. 0.5 is chance, 1 perfect.

    Args:
        values: importance of each feature, (p,).
        truth: which features matter, (p,), of truth values.

    Raises:
        ShapeError: another number of truths than of values.
        InputError: values that are not finite, or truths that are all alike.

    Example:
        >>> recovery_auc(np.array([0.9, 0.1, 0.4]), np.array([True, False, False]))
        1.0
    """
    truth = np.asarray(truth, dtype=bool)
    if truth.shape != values.shape or values.ndim != 1:
        raise ShapeError(f"there must be one truth for each value; got {truth.shape} and {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError("importances must be finite to be ranked.")
    count = int(truth.sum())
    if count in (0, len(truth)):
        raise InputError(
            f"{count} of {len(truth)} features are said to matter: there is nothing to tell apart. Recovery needs both "
            "kinds."
        )
    wins = _mid_ranks(values)[truth].sum() - count * (count + 1) / 2
    return float(wins / (count * (len(truth) - count)))


def _mid_ranks(values: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, level, ties = np.unique(values, return_inverse=True, return_counts=True)
    last = ties.cumsum()
    return (last - (ties - 1) / 2)[level]
