"""Compare arms with the reference arm: corrected intervals, adjusted tests, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from rightreasons.recipes._schema import Compare
from rightreasons.runs.results._verdict import verdict
from rightreasons.stats import holm, paired_difference

CLEAN = "test"
_ENDS = {"auc": (0.0, 1.0), "accuracy": (0.0, 1.0), "concordance": (0.0, 1.0), "r2": (-inf, 1.0)}

Scores = Mapping[str, Sequence[float]]


def comparisons(
    outcomes: Mapping[str, Scores],
    reference: str,
    compare: Compare,
    rows: Mapping[str, int],
    metric: str,
    higher_is_better: bool,
) -> list[dict[str, Any]]:
    """Each arm against the reference, for each outcome; p-values adjusted over all of them.

    Args:
        outcomes: for each thing compared, for each arm, one score for each split.
        reference: the arm all others are compared with.
        compare: confidence and margin.
        rows: how many train, choose ("validation") and test a model.
        metric: of the scores; intervals end where its differences do.
        higher_is_better: direction of the scores.
    """
    found: list[dict[str, Any]] = []
    for outcome, scores in outcomes.items():
        theirs = scores[reference]
        for arm, ours in scores.items():
            if arm == reference:
                continue
            better = [(a > b) if higher_is_better else (a < b) for a, b in zip(ours, theirs, strict=True)]
            found.append(
                {
                    "arm": arm,
                    "outcome": outcome,
                    "mean": sum(ours) / len(ours),
                    "reference_mean": sum(theirs) / len(theirs),
                    "differences": [a - b for a, b in zip(ours, theirs, strict=True)],
                    "better": sum(better),
                    **within(difference(ours, theirs, rows, compare.confidence), metric, of_difference=True),
                }
            )
    adjusted = holm([each["p"] for each in found])
    for each, p in zip(found, adjusted, strict=True):
        each["p_holm"] = p
        each["verdict"] = verdict(each, compare, higher_is_better)
    return found


def difference(
    ours: Sequence[float], theirs: Sequence[float], rows: Mapping[str, int], confidence: float
) -> dict[str, Any]:
    """Corrected for splits that share rows. A model is made of training and validation rows: it is chosen by them."""
    if len(ours) < 2:
        single = ours[0] - theirs[0]
        return {"difference": single, "low": None, "high": None, "p": None, "n": 1}
    made_of = rows["train"] + rows["validation"]
    found = asdict(paired_difference(ours, theirs, made_of, rows["test"], confidence))
    del found["confidence"]
    return found


def interval(
    scores: Sequence[float], rows: Mapping[str, int], metric: str, confidence: float
) -> dict[str, Any]:
    """Mean score and its interval, with the same correction, cut where the metric ends."""
    found = difference(scores, [0.0] * len(scores), rows, confidence)
    return within({"mean": found["difference"], "low": found["low"], "high": found["high"]}, metric)


def within(found: Mapping[str, Any], metric: str, *, of_difference: bool = False) -> dict[str, Any]:
    """What has a low and a high end, cut where the metric ends: no value beyond is possible, so none is left out.

    >>> within({"low": 0.7, "high": 1.2}, "auc")
    {'low': 0.7, 'high': 1.0}
    """
    least, most = _ENDS.get(metric, (-inf, inf))
    if of_difference:
        least, most = least - most, most - least
    if found["low"] is None:
        return dict(found)
    return {**found, "low": max(found["low"], least), "high": min(found["high"], most)}
