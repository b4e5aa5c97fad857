"""The numbers behind the figures, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from rightreasons.report._blocks import Table
from rightreasons.report._words import (
    capital,
    duration,
    interval,
    mean,
    metric_name,
    metric_value,
    number,
    outcome_title,
    signed,
)

_TOO_FEW = 3
"""Up to so many splits the scores themselves say more than an interval of their mean."""


def arms_table(metrics: Mapping[str, Any], confidence: str) -> Table:
    """Scores on clean test data, and the weights that were chosen, one row for each arm."""
    others = [name for name in metrics["arms"][0]["test"] if name != metrics["headline"]]
    several = metrics["splits"] > _TOO_FEW
    rows = [
        [
            arm["name"],
            number(arm["interval"]["mean"]),
            _ends(arm["interval"]) if several else _each(arm["test"][metrics["headline"]]),
            *(metric_value(name, mean(arm["test"][name])) for name in others),
            _weights(arm),
        ]
        for arm in metrics["arms"]
    ]
    names = [capital(_name(name, metrics["headline"])) for name in (metrics["headline"], *others)]
    second = f"{confidence} interval" if several else "Each split"
    several_splits = "" if metrics["splits"] == 1 else "s"
    corrected = (
        " Intervals are corrected for splits that share rows, and end where the score does."
        if several
        else ""
    )
    return Table(
        ["Arm", names[0], second, *names[1:], "Weights chosen"],
        rows,
        f"Test scores on clean data, mean over {metrics['splits']} split{several_splits}.{corrected}",
    )


def _name(metric: str, headline: str) -> str:
    """Of survival, what is called a log loss elsewhere is the negative log partial likelihood for each event."""
    return "Cox loss" if (metric, headline) == ("log_loss", "concordance") else metric_name(metric)


def comparisons_table(metrics: Mapping[str, Any], confidence: str) -> Table:
    """Difference from the reference, one row for each arm and outcome."""
    noisy = any(each["outcome"] != "test" for each in metrics["comparisons"])
    rows = [
        [
            each["arm"],
            *([outcome_title(each["outcome"])] if noisy else []),
            number(each["mean"]),
            number(each["reference_mean"]),
            signed(each["difference"]),
            interval(each),
            f"{each['better']} of {each['n']}",
            "–" if each["p_holm"] is None else number(each["p_holm"]),
        ]
        for each in metrics["comparisons"]
    ]
    headline = capital(metric_name(metrics["headline"]))
    reference = metrics["reference"]
    columns = [
        "Arm",
        *(["On"] if noisy else []),
        headline,
        reference,
        "Difference",
        f"{confidence} interval",
        "Better on",
        "Adjusted p",
    ]
    text = frozenset({1}) if noisy else frozenset()
    noise = "; under noise, means over its levels above zero" if noisy else ""
    return Table(columns, rows, f"Differences from {reference}, paired by split{noise}.", text)


def _ends(found: Mapping[str, Any]) -> str:
    return f"{number(found['low'])} to {number(found['high'])}"


def _each(scores: Sequence[float]) -> str:
    return ", ".join(number(score) for score in scores)


def _weights(arm: Mapping[str, Any]) -> str:
    found = sorted({c["weight"] for c in arm["chosen"] if c["weight"] is not None})
    return ", ".join(f"{w:g}" for w in found) or "–"


def noise_tables(metrics: Mapping[str, Any], headline: str) -> list[Table]:
    """Mean score at every level, one table for each kind of noise."""
    return [
        Table(
            ["Arm", *(f"{level['level']:g}" for level in levels)],
            [
                [arm["name"], *(number(mean(level["scores"])) for level in arm["noise"][kind])]
                for arm in metrics["arms"]
            ],
            f"{outcome_title(kind)}: mean test {headline} at each level.",
        )
        for kind, levels in metrics["arms"][0]["noise"].items()
    ]


def cost_table(metrics: Mapping[str, Any]) -> Table:
    """Completeness, sparsity or smoothness of the maps, and what training cost."""
    images = all(None not in arm["total_variation"] for arm in metrics["arms"])
    rows = []
    for arm in metrics["arms"]:
        gaps = [gap for gap in arm["relative_gap"] if gap is not None]
        rows.append(
            [
                arm["name"],
                f"{100 * mean(gaps):.1f} %" if gaps else "–",
                number(mean(arm["total_variation"]), 0) if images else number(mean(arm["gini"]), 2),
                str(arm["fits"]) + (f" ({arm['failed']} failed)" if arm["failed"] else ""),
                "–" if arm["steps"] is None else f"{arm['steps']:,}",
                duration(arm["seconds"]),
                "–" if arm["plain_steps"] is None else f"{arm['plain_steps']:.1f}",
            ]
        )
    measure = "Total variation of maps" if images else "Gini of attributions"
    columns = ["Arm", "Completeness gap", measure, "Fits", "Steps", "Training time", "Plain steps per step"]
    return Table(columns, rows, "Completeness and shape of the attributions, and what training cost.")
