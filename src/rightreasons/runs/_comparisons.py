"""Arms against one of them on the same splits: corrected intervals, adjusted tests, a verdict for each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rightreasons.recipes._schema import Compare
from rightreasons.runs._verdict import verdict
from rightreasons.stats import holm, paired_difference

CLEAN = "test"

Scores = Mapping[str, Sequence[float]]


def comparisons(
    outcomes: Mapping[str, Scores],
    reference: str,
    compare: Compare,
    rows: Mapping[str, int],
    higher_is_better: bool,
) -> list[dict[str, Any]]:
    """Each arm against the reference, for each outcome; p-values adjusted over all of them.

    Args:
        outcomes: for each thing compared, for each arm, one score for each split.
        reference: the arm all others are compared with.
        compare: confidence and margin.
        rows: how many train, choose ("validation") and test a model.
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
                    **difference(ours, theirs, rows, compare.confidence),
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


def interval(scores: Sequence[float], rows: Mapping[str, int], confidence: float) -> dict[str, Any]:
    """Mean score and its interval, with the same correction."""
    found = difference(scores, [0.0] * len(scores), rows, confidence)
    return {"mean": found["difference"], "low": found["low"], "high": found["high"]}
