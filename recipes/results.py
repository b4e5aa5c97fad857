"""What came out of the shipped recipes.

`python recipes/results.py RUN ...` keeps the summary of finished runs in recipes/results/ and writes docs/results.md
from all that are kept; without runs it only writes the page. A test compares page and files.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rightreasons.runs.results._comparisons import within

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "recipes" / "results"
PAGE = ROOT / "docs" / "results.md"
_DIGITS = 4
_COMPARED = ("arm", "outcome", "difference", "low", "high", "p_holm", "better", "n", "verdict")


def keep(run: str) -> Path:
    """Write the part of a run's summary that the page needs, numbers rounded."""
    from rightreasons.runs import RunDirectory

    directory = RunDirectory.open(run)
    metrics, recipe = directory.metrics(), directory.recipe()
    kept = {key: metrics[key] for key in ("name", "headline", "reference", "splits", "rows", "tested")}
    kept |= {
        "title": recipe.title,
        "versions": (recipe.resolved or {}).get("versions"),
        "confidence": recipe.compare.confidence,
        "arms": [_arm(arm) for arm in metrics["arms"]],
        "comparisons": [{key: each[key] for key in _COMPARED} for each in metrics["comparisons"]],
        "learned": _learned(metrics),
    }  # fmt: skip
    path = RESULTS / f"{metrics['name']}.json"
    path.write_text(json.dumps(_rounded(kept), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    ginis = [each for each in arm["gini"] if each is not None]
    return {
        "name": arm["name"],
        "interval": arm["interval"],
        "gini": sum(ginis) / len(ginis) if ginis else None,
        "fits": arm["fits"],
        "failed": arm["failed"],
        "seconds": arm["seconds"],
    }


def _learned(metrics: Mapping[str, Any]) -> list[str]:
    """Whether real meta-features of a learned prior beat permuted ones, and what it found, as the report says it."""
    from rightreasons.report.sections._learned import recovery, sentences

    found = []
    for arm in metrics["arms"]:
        name = arm["name"]
        said = sentences(metrics, name)  # none without the control
        found += [f"{name}: {sentence}" for sentence in said]
        if said and "recovery" in (arm.get("held_against") or {}):
            found.append(recovery(metrics["arms"], name))
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def page() -> str:
    """The page as Markdown."""
    head = (
        "# What came out of the recipes\n\nEach recipe in `recipes/` was run as it is; the files in "
        "`recipes/results` hold what came out, and `python recipes/results.py` writes this page from them. Differences "
        "are paired by split, their intervals corrected for splits that share rows (Nadeau and Bengio), p-values "
        "adjusted over all comparisons of a recipe (Holm). *Cannot tell* means that the interval holds no gain as well "
        "as gains worth having.\n"
    )
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return "\n".join([head, *(_section(each) for each in found)])


def _section(found: Mapping[str, Any]) -> str:
    headline, confidence = found["headline"], f"{found['confidence']:.0%}"
    outcomes = list(dict.fromkeys(each["outcome"] for each in found["comparisons"]))
    rows = found["rows"]
    lines = [
        f"## {found['title']}\n",
        f"`recipes/{found['name']}.yaml`: {found['splits']} splits of {rows['train']} / {rows['validation']} / "
        f"{rows['test']} rows to train, choose and test; {sum(arm['fits'] for arm in found['arms'])} fits, "
        f"{sum(arm['seconds'] for arm in found['arms']) / 60:.0f} minutes of wall time, added up over fits.\n",
        _row(["arm", f"test {headline}", f"{confidence} interval", "Gini of maps"]),
        _row(["---"] * 4),
        *(_row(_score(arm, headline)) for arm in found["arms"]),
    ]
    for outcome in outcomes:
        where = "on clean test rows" if outcome == "test" else f"under {outcome.replace('_', ' ')} noise"
        lines += [
            f"\nDifferences from *{found['reference']}* {where}:\n",
            _row(["arm", "difference", f"{confidence} interval", "better on", "adjusted p", "verdict"]),
            _row(["---"] * 6),
            *(
                _row(_comparison(each, headline))
                for each in found["comparisons"]
                if each["outcome"] == outcome
            ),
        ]
    lines += [f"\n{sentence}" for sentence in found.get("learned", [])]
    return "\n".join(lines) + "\n"


def _score(arm: Mapping[str, Any], headline: str) -> list[str]:
    interval = arm["interval"]
    return [
        arm["name"],
        _number(interval["mean"]),
        _interval(within(interval, headline)),
        _number(arm["gini"], 2),
    ]


def _comparison(each: Mapping[str, Any], headline: str) -> list[str]:
    return [
        each["arm"],
        f"{each['difference']:+.3f}",
        _interval(within(each, headline, of_difference=True), signed=True),
        f"{each['better']} of {each['n']}",
        _number(each["p_holm"]),
        each["verdict"],
    ]


def _interval(found: Mapping[str, Any], *, signed: bool = False) -> str:
    if found["low"] is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    return f"{found['low']:{form}} to {found['high']:{form}}"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for run in sys.argv[1:]:
        print(keep(run))
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
