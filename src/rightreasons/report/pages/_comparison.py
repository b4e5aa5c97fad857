"""The page that compares arms of several runs."""

from pathlib import Path
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core.files._disk import write_atomically
from rightreasons.report._blocks import Figure, Section, Table, Text
from rightreasons.report._style import looks
from rightreasons.report._words import capital, metric_name, number
from rightreasons.report.pages._page import page
from rightreasons.report.sections._differences import section_of
from rightreasons.report.sections._scores import arms_figure
from rightreasons.report.sections._tables import comparisons_table


@checked
def write_comparison(found: dict[str, Any], to: str | Path) -> Path:
    """Write the page of what `runs.compare` returned; returns where.

    Raises: DataError if it cannot be written.
    """
    write_atomically(Path(to), render_comparison(found))
    return Path(to)


@checked
def render_comparison(found: dict[str, Any]) -> str:
    """The page as HTML, with everything it needs inside."""
    headline, confidence = metric_name(found["headline"]), f"{found['confidence']:.0%}"
    sections = [_arms(found, headline, confidence)]
    splits = section_of(found, headline, confidence)
    return page(
        title=f"{len(found['runs'])} runs on {found['data']['name']} compared",
        name=", ".join(found["runs"]),
        description="",
        demo=False,
        facts=[
            ("Data", found["data"]["name"]),
            ("Runs", str(len(found["runs"]))),
            ("Arms", str(len(found["arms"]))),
            ("Comparison", "paired" if found["paired"] else "not paired"),
        ],
        sections=[*sections, *([splits] if splits else [])],
        version="",
        started="",
        again="rightreasons compare " + " ".join(found["runs"]),
    )


def _arms(found: dict[str, Any], headline: str, confidence: str) -> Section:
    blocks: list[Any] = [Text(_how(found))]
    styles = looks([arm["name"] for arm in found["arms"]], found["reference"])
    note = (
        " Lines on the right are intervals of the mean difference; arrows: they reach further than the figure."
        if found["comparisons"]
        else f" Lines are {confidence} intervals of each mean."
    )
    figure = arms_figure(found, styles, headline)
    blocks.append(Figure(figure, f"Small marks are splits, large marks their mean.{note}"))
    rows = [
        [
            arm["name"],
            number(arm["interval"]["mean"]),
            "–" if arm["interval"]["low"] is None
            else f"{number(arm['interval']['low'])} to {number(arm['interval']['high'])}",
            str(arm["splits"]),
        ]
        for arm in found["arms"]
    ]  # fmt: skip
    caption = (
        "Test scores, mean over splits. Intervals are corrected for splits that share rows, and end where the score "
        "does."
    )
    blocks.append(Table(["Arm", capital(headline), f"{confidence} interval", "Splits"], rows, caption))
    if found["comparisons"]:
        blocks.append(comparisons_table(found, confidence))
    return Section("arms", "Scores of the arms", blocks)


def _how(found: dict[str, Any]) -> str:
    why = found["why"]
    if not found["paired"]:
        return (
            f"These runs are not paired: {why}. A difference between their scores may be one between easier and harder "
            "test rows, so there are no differences and no tests here, only each arm’s own interval."
        )
    few = "" if found["tested"] else " Below ten splits there is no test, only an interval."
    return (
        f"These runs are paired split by split: {why}. Intervals are corrected for splits that share rows, p-values "
        f"adjusted over all arms of all runs.{few}"
    )
