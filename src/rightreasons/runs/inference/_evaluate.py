"""Evaluate all networks of a run on other data."""

from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from rightreasons import data
from rightreasons.core._checked import checked
from rightreasons.core.model._memory import within_memory
from rightreasons.runs.inference._load import Trained, load
from rightreasons.runs.results._files import RunDirectory

Table = dict[str, list[Any]]
_NO_METRICS = ("arm", "split", "of", "rows", "seen")


@within_memory("evaluating", "Evaluate a part of the rows at a time.")
@checked
def evaluate(
    run: str | Path,
    source: str | Path | data.DataSet,
    *,
    target: str | None = None,
    unseen: Literal["refuse", "zero"] = "refuse",
    skip_unlabelled: bool = False,
    trust: bool = False,
    code: str | Path = ".",
) -> Table:
    """Metrics of the chosen network of every arm and split on rows with known labels.

    Rows that a network was trained on or chosen by flatter it. They are known by digests of inputs and label, which
    the run keeps; where there are any, the other rows are measured apart.

    Args:
        run: a finished run directory.
        source: a file or folder of the form the run was trained on, the name of a data set, or raw data.
        target: column of the label, where it has another name than in training.
        unseen: whether a category that training did not have is refused, or taken for a missing value.
        skip_unlabelled: leave out rows of a table that have no label.
        trust: run the code that the run's recipe names.
        code: folder that such code is imported from.

    Returns: columns arm, split, of ("all rows", or "new rows", those that training has not seen), rows, seen (how many
        of them training has seen), and one for each metric; a row for each network, and a second one if it has seen
        some of the rows but not all.

    Raises: DataError and RecipeError as `load` and `Trained.read`.
    """
    metrics = RunDirectory.open(run).metrics()
    rows: list[dict[str, Any]] = []
    for arm in metrics["arms"]:
        for split in range(metrics["splits"]):
            trained = load(run, arm=arm["name"], split=split, trust=trust, code=code)
            found = trained.read(source, target=target, unseen=unseen, skip_unlabelled=skip_unlabelled)
            rows += _measured(trained, found)
    return {key: [row[key] for row in rows] for key in rows[0]}


def _measured(trained: Trained, rows: data.DataSet) -> list[dict[str, Any]]:
    """Metrics of one network on all rows, and on those that its training has not seen."""
    seen = trained.seen(rows)
    parts = {"all rows": rows}
    if bool(seen.any()) and not bool(seen.all()):
        parts["new rows"] = rows.rows((~seen).nonzero().flatten())
    return [
        {"arm": trained.arm, "split": trained.split, "of": of, "rows": len(part)}
        | {"seen": int(seen.sum()) if of == "all rows" else 0, **trained.evaluate(part)}
        for of, part in parts.items()
    ]


@checked
def evaluation_text(found: Table) -> str:
    """One line for each arm: mean and range over the splits' networks; rows that training has not seen apart."""
    parts = [_text(found, of) for of in dict.fromkeys(found["of"])]
    seen = [n for n, of in zip(found["seen"], found["of"], strict=True) if of == "all rows"]
    if not any(seen):
        return parts[0]
    some = f"{max(seen)}" if min(seen) == max(seen) else f"{min(seen)} to {max(seen)}"
    note = (
        f"{some} of {found['rows'][0]} rows were trained on or chosen by: scores of all rows are flattered."
    )
    rest = " All are known: use rows from elsewhere." if len(parts) == 1 else " The others apart:\n"
    return "\n".join([parts[0], note + rest + "".join(parts[1:])])


def _text(found: Table, of: str) -> str:
    metrics = [key for key in found if key not in _NO_METRICS]
    width = max(len("arm"), *(len(arm) for arm in found["arm"]))
    lines = [f"{'arm':{width}}  " + "  ".join(f"{name:>33}" for name in metrics)]
    where = [i for i, each in enumerate(found["of"]) if each == of]
    for arm in dict.fromkeys(found["arm"]):
        own = [i for i in where if found["arm"][i] == arm]
        cells = [f"{_range([found[name][i] for i in own]):>33}" for name in metrics if own]
        lines.append(f"{arm:{width}}  " + "  ".join(cells))
    splits, rows = len({found["split"][i] for i in where}), {found["rows"][i] for i in where}
    counted = f"{min(rows)} rows" if len(rows) == 1 else f"{min(rows)} to {max(rows)} rows"
    lines.append(f"{counted}; mean [least, most] of {splits} network{'s' * (splits > 1)} an arm")
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    """Mean and range; a dash where a metric says nothing of these rows, such as the AUC of one class."""
    if not all(map(isfinite, values)):
        return "-"
    largest = max(map(abs, values))
    form = ".3f" if largest == 0 or 1e-3 <= largest < 1e3 else ".3e"
    return f"{mean(values):{form}} [{min(values):{form}}, {max(values):{form}}]"
