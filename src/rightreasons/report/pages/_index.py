"""The index page of several runs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core.files._disk import write_atomically
from rightreasons.report._blocks import Link, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._words import mean, number
from rightreasons.report.pages._page import page
from rightreasons.runs import RunDirectory


@checked
def runs_in(path: str | Path) -> list[Path]:
    """The run itself, or the finished runs in a folder, by name.

    Raises: DataError if it is neither.
    """
    path = Path(path)
    inside = sorted(each.parent for each in path.glob("*/metrics.json"))
    if (path / "metrics.json").is_file() or not inside:
        return [RunDirectory.open(path).path]
    return inside


@checked
def write_index(paths: Sequence[str | Path], to: str | Path | None = None) -> Path:
    """Write a page with one row for each run; returns where.

    Args:
        paths: run directories, or folders that hold some.
        to: the file; None: index.html in the folder given, or in the one that holds the first run.

    Raises: DataError if there is no finished run, or the page cannot be written.
    """
    found = [run for path in paths for run in runs_in(path)]
    if to is None:
        first = Path(paths[0])
        to = (first.parent if (first / "metrics.json").is_file() else first) / "index.html"
    unfinished = [each for path in paths for each in _unfinished(Path(path))]
    write_atomically(Path(to), render_index(found, unfinished, Path(to).parent))
    return Path(to)


def _unfinished(folder: Path) -> list[Path]:
    if (folder / "metrics.json").is_file():
        return []
    started = (each.parent for each in folder.glob("*/recipe.yaml"))
    return sorted(each for each in started if not (each / "metrics.json").is_file())


@checked
def render_index(found: Sequence[Path], unfinished: Sequence[Path], folder: Path) -> str:
    """The page as HTML; links are relative to the folder it will be in."""
    rows = [_row(run, folder) for run in found]
    table = Table(
        ["Run", "Data", "Arms and splits", "Compared against", "Verdicts", "Started"],
        rows,
        "Finished runs. A score is the mean over the test rows of all splits; verdicts are those of each run’s report.",
        frozenset({1, 2, 3, 4, 5}),
    )
    blocks: list[Any] = [table]
    if unfinished:
        names = ", ".join(each.name for each in unfinished)
        blocks.append(Text(f"Not finished: {names}. The same command goes on where they stopped.", note=True))
    return page(
        title=f"{len(found)} run{'s' * (len(found) != 1)}",
        name=folder.resolve().name,
        description="",
        demo=False,
        facts=[],
        sections=[Section("runs", "Runs", blocks)],
        version="",
        started="",
        again=f"rightreasons report {folder.resolve().name}",
    )


def _row(run: Path, folder: Path) -> list[str | Link]:
    source = Source.of(RunDirectory.open(run))
    metrics, recipe = source.metrics, source.recipe
    reference = next(arm for arm in source.arms if arm["name"] == metrics["reference"])
    score = number(mean(reference["test"][metrics["headline"]]))
    arms, splits = len(source.arms), metrics["splits"]
    href = Path(os.path.relpath(RunDirectory(run).report_file.resolve(), folder.resolve())).as_posix()
    title = f"{recipe.title} ({recipe.name})" if recipe.title else recipe.name
    return [
        Link(title, href),
        metrics["data"]["name"],
        f"{arms} × {splits}",
        f"{metrics['reference']}: {source.headline} {score}",
        _verdicts(source),
        str((recipe.resolved or {}).get("started", ""))[:10] or "–",
    ]


def _verdicts(source: Source) -> str:
    """What came out, most telling first; arms by name where something did."""
    if not source.metrics["comparisons"]:
        return "nothing compared"
    by_verdict: dict[str, list[str]] = {}
    for each in source.metrics["comparisons"]:
        where = "" if each["outcome"] == "test" else f" ({each['outcome'].replace('_', ' ')})"
        by_verdict.setdefault(each["verdict"], []).append(each["arm"] + where)
    said = [
        f"{v}: {', '.join(by_verdict[v])}" for v in ("helps", "hurts", "does not help") if v in by_verdict
    ]
    unknown = len(by_verdict.get("cannot tell", []))
    if unknown:
        said.append(f"cannot tell: {unknown} of {len(source.metrics['comparisons'])}")
    return "; ".join(said)
