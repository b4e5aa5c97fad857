"""Compare arms of several runs, paired where they share their splits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes import Recipe
from rightreasons.recipes._schema import Compare
from rightreasons.runs.results._comparisons import CLEAN, comparisons, interval
from rightreasons.runs.results._files import RunDirectory
from rightreasons.stats import FEWEST_SPLITS_TESTED

_SPLITTING = ("train", "validation", "test", "stratify", "split", "group")
Read = tuple[RunDirectory, Recipe, dict[str, Any]]


@checked
def compare(runs: Sequence[str | Path], *, against: str | None = None) -> dict[str, Any]:
    """Arms of two runs or more on one scale, in the form of a run's metrics.json.

    Runs that share seed, splits and test rows are paired, split by split, over the splits that all of them have; the
    intervals are corrected and the tests adjusted over all arms of all runs. Other runs are not: then there are no
    differences, only each arm's own interval, and `paired` and `why` say so.

    Args:
        runs: finished run directories.
        against: the arm all others are compared with, as "run: arm", or "arm" if one run alone has it; None: that
            of the first run.

    Returns: arms (called "run: arm"), comparisons (none unless paired), reference, splits, paired, why.

    Raises:
        DataError: fewer than two runs, one twice, an unfinished one, or runs of other data or another metric.
        InputError: no such arm.
    """
    read = [_read(path) for path in runs]
    _require_alike(read)
    labels = _labels([run for run, _, _ in read])
    why = _unpaired(read)
    first, setting = read[0][2], read[0][1].compare
    splits = min(metrics["splits"] for _, _, metrics in read)
    arms = [
        _arm(label, arm, metrics, setting, splits if why is None else metrics["splits"])
        for label, (_, _, metrics) in zip(labels, read, strict=True)
        for arm in metrics["arms"]
    ]
    reference = _reference(arms, against, f"{labels[0]}: {first['reference']}")
    scores = {arm["name"]: arm["test"][first["headline"]] for arm in arms}
    found = [] if why else comparisons(
        {CLEAN: scores}, reference, setting, first["rows"], first["headline"], first["higher_is_better"]
    )  # fmt: skip
    return {
        "runs": dict(zip(labels, (str(run.path) for run, _, _ in read), strict=True)),
        "headline": first["headline"],
        "higher_is_better": first["higher_is_better"],
        "confidence": setting.confidence,
        "margin": setting.margin,
        "data": first["data"],
        "reference": reference,
        "splits": splits,
        "rows": first["rows"],
        "tested": why is None and splits >= FEWEST_SPLITS_TESTED,
        "paired": why is None,
        "why": why or f"all runs have the same seed, splits and test rows; {splits} splits are shared",
        "arms": arms,
        "comparisons": found,
    }


def _read(path: str | Path) -> Read:
    run = RunDirectory.open(path)
    return run, run.recipe(), run.metrics()


def _require_alike(read: Sequence[Read]) -> None:
    if len(read) < 2:
        raise DataError(
            "compare puts two runs or more next to each other; arms of one run are compared in its report."
        )
    seen: dict[Path, Path] = {}
    (first, _, ours), *others = read
    for run, _, _ in read:
        resolved = run.path.resolve()
        if resolved in seen:
            raise DataError(f"{run.path} is given twice, and comparing a run with itself says nothing.")
        seen[resolved] = run.path
    for run, _, theirs in others:
        if theirs["headline"] != ours["headline"]:
            raise DataError(
                f"{first.path} is judged by {ours['headline']}, {run.path} by {theirs['headline']}: there is no scale "
                "to compare them on. Compare runs of one task."
            )
        if theirs["data"]["name"] != ours["data"]["name"]:
            raise DataError(
                f"{first.path} is about {ours['data']['name']!r}, {run.path} about {theirs['data']['name']!r}: scores "
                "on different data cannot be compared."
            )


def _unpaired(read: Sequence[Read]) -> str | None:
    """Why these runs do not share their splits; None if they do."""
    (first, ours, metrics), *others = read
    for run, theirs, other in others:
        if theirs.seed != ours.seed:
            return f"seeds differ ({ours.seed} in {first.path}, {theirs.seed} in {run.path})"
        for key in _SPLITTING:
            a, b = getattr(ours.data, key, None), getattr(theirs.data, key, None)
            if a != b:
                return f"data.{key} differs ({a} in {first.path}, {b} in {run.path})"
        if other["rows"] != metrics["rows"]:
            return (
                f"numbers of rows differ ({metrics['rows']} in {first.path}, {other['rows']} in {run.path})"
            )
        for split in range(min(metrics["splits"], other["splits"])):
            if not _same_rows(first, metrics, run, other, split):
                return f"the test rows of split {split} differ between {first.path} and {run.path}"
    return None


def _same_rows(
    first: RunDirectory, ours: dict[str, Any], second: RunDirectory, theirs: dict[str, Any], split: int
) -> bool:
    """Whether labels, and names where there are any, of all test rows are the same."""
    a, b = (
        run.predictions(metrics["arms"][0]["chosen"][split]["key"])
        for run, metrics in ((first, ours), (second, theirs))
    )
    return all(
        (name in a) == (name in b) and (name not in a or np.array_equal(a[name], b[name]))
        for name in ("y", "ids")
    )


def _labels(runs: Sequence[RunDirectory]) -> list[str]:
    """What runs are called: the name of their folder, or the whole path where two have one name."""
    names = [run.path.resolve().name for run in runs]
    return [str(run.path) if names.count(name) > 1 else name for run, name in zip(runs, names, strict=True)]


def _arm(
    label: str, arm: dict[str, Any], metrics: dict[str, Any], setting: Compare, splits: int
) -> dict[str, Any]:
    test = {name: scores[:splits] for name, scores in arm["test"].items()}
    return {
        "name": f"{label}: {arm['name']}",
        "run": label,
        "arm": arm["name"],
        "splits": splits,
        "test": test,
        "interval": interval(
            test[metrics["headline"]], metrics["rows"], metrics["headline"], setting.confidence
        ),
        "chosen": arm["chosen"][:splits],
    }


def _reference(arms: Sequence[dict[str, Any]], against: str | None, default: str) -> str:
    if against is None:
        return default
    found = [arm["name"] for arm in arms if against in (arm["name"], arm["arm"])]
    if len(found) == 1:
        return found[0]
    names = [arm["name"] for arm in arms]
    if found:
        raise InputError(
            f"{len(found)} runs have an arm {against!r}. Say one of {', '.join(map(repr, found))}."
        )
    raise InputError(f"no run has an arm {against!r}. {did_you_mean(against, names)}")


@checked
def comparison_text(found: dict[str, Any]) -> str:
    """One line for each arm: its score, and how it differs from the reference."""
    width = max(len(arm["name"]) for arm in found["arms"])
    headline, confidence = found["headline"], f"{found['confidence']:.0%} interval"
    compared = {each["arm"]: each for each in found["comparisons"]}
    head = f"{'arm':{width}}  {headline:>9}  {confidence:>18}"
    lines = [head + (f"  {'difference':>10}  {confidence:>18}  {'better':>8}  verdict" if compared else "")]
    for arm in found["arms"]:
        line = f"{arm['name']:{width}}  {arm['interval']['mean']:9.3f}  {_ends(arm['interval']):>18}"
        each = compared.get(arm["name"])
        if each:
            better = f"{each['better']} of {each['n']}"
            line += f"  {each['difference']:+10.3f}  {_ends(each, '+'):>18}  {better:>8}  {each['verdict']}"
        elif arm["name"] == found["reference"] and compared:
            line += "  (compared against)"
        lines.append(line)
    how = "paired" if found["paired"] else "not paired, so no differences: intervals only"
    return "\n".join([*lines, f"{how}: {found['why']}."])


def _ends(found: dict[str, Any], sign: str = "") -> str:
    if found["low"] is None:
        return "one split"
    return f"[{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"
