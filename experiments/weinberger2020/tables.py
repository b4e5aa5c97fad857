"""Writes the tables of the readmes and of docs/learned-priors.md from the files expected.json. A test compares them.

python experiments/weinberger2020/tables.py
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES = [*(HERE / name / "README.md" for name in ("two-moons", "drug-response", "survival"))]
PAGES.append(HERE.parents[1] / "docs" / "learned-priors.md")
SCORES = {
    "two-moons": ("accuracy",),
    "drug-response": ("R2", "MSE", "Spearman"),
    "survival": ("concordance",),
}
REFERENCE = {"two-moons": "zero", "drug-response": "MLP", "survival": "MLP"}
WRITTEN = re.compile(r"<!-- (arms|pairs) of ([\w-]+) -->\n.*?<!-- end -->\n", re.DOTALL)


def page(text: str) -> str:
    """The page with its tables written anew."""
    return WRITTEN.sub(lambda match: _written(match[1], match[2]), text)


def _written(what: str, experiment: str) -> str:
    found = json.loads((HERE / experiment / "expected.json").read_text(encoding="utf-8"))
    lines = {"arms": _arms, "pairs": _pairs}[what](found, experiment)
    return "\n".join([f"<!-- {what} of {experiment} -->", *lines, "<!-- end -->"]) + "\n"


def _arms(found: Mapping[str, Any], experiment: str) -> list[str]:
    """Mean scores of each arm, and its difference to the reference with interval and p-value."""
    scores, reference = SCORES[experiment], REFERENCE[experiment]
    head = ["arm"]
    for part in found:
        head += [f"{part}: {', '.join(scores)}", f"minus {reference}"]
    first = next(iter(found.values()))["arms"]
    rows = []
    for name in first:
        row = [name.replace("|", "\\|")]  # a bar ends a cell
        for part in found.values():
            arm = part["arms"][name]
            row += [
                ", ".join(_number(arm[score]) for score in scores),
                _difference(arm[f"minus {reference}"]),
            ]
        rows.append(row)
    return _table(head, rows)


def _pairs(found: Mapping[str, Any], experiment: str) -> list[str]:
    """Differences of two arms, p-values not adjusted."""
    names = next(iter(found.values()))["pairs"]
    rows = [[name, *(_difference(part["pairs"][name]) for part in found.values())] for name in names]
    return _table([SCORES[experiment][0], *found], rows)


def _difference(found: Sequence[float | None] | None) -> str:
    if found is None:
        return "–"
    difference, low, high, p = found
    text = f"{difference:+.3f} ({low:+.3f} to {high:+.3f})"
    return text if p is None else f"{text}, p = {p:.2g}"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
