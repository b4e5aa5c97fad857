"""Tables of robustness results, for the terminal and for files."""

from math import isnan
from typing import Any

from rightreasons.attacks import AttributionAttackResult
from rightreasons.audit._robustness import ATTACK, RANDOM, Robustness
from rightreasons.core._checked import checked
from rightreasons.stats import Interval


@checked
def robustness_columns(found: Robustness) -> dict[str, list[Any]]:
    """The table in columns: one line for each row and measure, for `rr.runs.write_table`."""
    columns: dict[str, list[Any]] = {name: [] for name in ("row", "measure", "mean", "low", "high", "inputs")}
    for row, measures in found.table.items():
        for measure, cell in measures.items():
            for name, value in zip(
                columns, (row, measure, cell.mean, cell.low, cell.high, cell.n), strict=True
            ):
                columns[name].append(value)
    return columns


@checked
def robustness_text(found: Robustness) -> str:
    """The table and what is needed to read it, as text."""
    measures = list(next(iter(found.table.values())))
    lines = [["", *measures]]
    lines += [[row, *(_cell(cells[name]) for name in measures)] for row, cells in found.table.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([_head(found), "", *table, "", *_notes(found)])


def _cell(cell: Interval) -> str:
    if isnan(cell.mean):
        return "undefined"
    between = "" if isnan(cell.low) else f" [{cell.low:.2f}, {cell.high:.2f}]"
    return f"{cell.mean:.2f}{between}"


def _head(found: Robustness) -> str:
    summary = found.found.summary
    excluded = f", {summary.excluded} left out (misclassified, or without a map)" if summary.excluded else ""
    window = "" if found.window is None else f", window {found.window}"
    return (
        f"{found.attack!r} on {type(found.attribution).__name__}: {summary.attacked} rows attacked{excluded}; "
        f"k = {found.k:g}{window}; means and 95 % intervals over rows"
    )


def _own(name: str, result: AttributionAttackResult) -> str:
    """What the search itself measured, and how often it failed."""
    summary = result.summary
    said = f"The {name}'s own measure: {summary.before:.2f} before, {summary.all:.2f} after."
    if summary.failure_rate == 0:
        return said
    worked = "" if isnan(summary.better) else f"; {summary.better:.2f} where it worked"
    return (
        f"{said} It failed on {summary.failure_rate:.0%} of the rows, which stand at their clean map{worked}."
    )


def _notes(found: Robustness) -> list[str]:
    notes = [_own(name, result) for name, result in ((ATTACK, found.found), (RANDOM, found.control))]
    few = found.found.summary.attacked
    for row, measures in found.table.items():
        for measure, cell in measures.items():
            if cell.n < few:
                notes.append(
                    f"{measure} of {row} is defined for {cell.n} of {few} rows: elsewhere chance is above .99, or a "
                    "map is constant."
                )
    notes.append(
        "1 is an unchanged map, centre shift apart. Less uniform, less unrelated: 0 is what random positions, or the "
        "maps of other rows, give; below 0 a map shares less with its own than with others."
    )
    return notes
