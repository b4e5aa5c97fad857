"""Verdicts: one sentence per arm, and the rule behind it."""

from collections.abc import Mapping
from typing import Any

from rightreasons.report._blocks import Findings, Section, Text
from rightreasons.report._run_view import Source
from rightreasons.report._words import (
    findings,
    mean,
    number,
    smoothness_sentence,
    sparsity_sentence,
)

_CSS = {"helps": "helps", "hurts": "hurts"}


def section(source: Source) -> Section:
    """A verdict for each arm."""
    entries = [_entry(arm, source) for arm in source.arms]
    asked = [Text(f"To check: {each}") for each in source.metrics["data"].get("doubts", ())]
    return Section("findings", "What came out", [*asked, Text(rule(source), note=True), Findings(entries)])


def _entry(arm: Mapping[str, Any], source: Source) -> dict[str, Any]:
    described = next(each for each in source.recipe.arms if each.name == arm["name"])
    lines = _verdicts(arm, source)
    flat = sum(chosen.get("flat", False) for chosen in arm["chosen"])
    if flat:
        where = f"On {flat} of {source.metrics['splits']} splits"
        text = f"{where} the fit that was taken says nearly the same of every row: it has learned nothing."
        lines.append({"verdict": "", "text": text})
    if arm["failed"]:
        lines.append({"verdict": "", "text": f"{arm['failed']} of its {arm['fits']} fits failed."})
    return {
        "name": arm["name"],
        "what": described.description,
        "colour": source.styles[arm["name"]].colour,
        "lines": lines,
    }


def _verdicts(arm: Mapping[str, Any], source: Source) -> list[dict[str, str]]:
    metrics, compare = source.metrics, source.recipe.compare
    reference = next(a for a in source.arms if a["name"] == metrics["reference"])
    if arm is reference:
        score = number(mean(arm["test"][metrics["headline"]]))
        others = " The other arms are compared with it." if len(source.arms) > 1 else ""
        return [{"verdict": "", "text": f"Test {source.headline} {score}.{others}"}]
    own = [each for each in metrics["comparisons"] if each["arm"] == arm["name"]]
    lines = [
        {"verdict": verdict[0].upper() + verdict[1:], "css": _CSS.get(verdict, "none"), "text": text}
        for verdict, text in findings(own, metrics, compare.confidence, compare.margin)
    ]
    smooth = None not in arm["total_variation"]
    describe = smoothness_sentence if smooth else sparsity_sentence
    lines[-1]["text"] += " " + describe(arm, reference)
    return lines


def rule(source: Source) -> str:
    """What the verdicts need."""
    compare = source.recipe.compare
    margin, alpha = f"{compare.margin:g}", f"{1 - compare.confidence:.2g}"
    if len(source.arms) == 1:
        return "A single arm: there is nothing to compare it with."
    if source.metrics["tested"]:
        return (
            "“Helps” and “hurts” need a paired test, corrected for splits that share rows and adjusted for the number "
            f"of comparisons, below {alpha}. “Does not help” needs an interval without gains above {margin}. All else "
            "is “cannot tell”."
        )
    return (
        "Below ten splits there is no test, only an interval, so nothing here says that a belief helps or does not: "
        "read the scores as an example."
    )
