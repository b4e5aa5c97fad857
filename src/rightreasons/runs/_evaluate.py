"""All networks of a run on other data: does what was found hold elsewhere?"""

from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from rightreasons import data
from rightreasons.runs._files import RunDirectory
from rightreasons.runs._load import load

Table = dict[str, list[Any]]


def evaluate(
    run: str | Path,
    source: str | Path | data.DataSet,
    *,
    target: str | None = None,
    unseen: Literal["refuse", "zero"] = "refuse",
    trust: bool = False,
    code: str | Path = ".",
) -> Table:
    """Metrics of the chosen network of every arm and split on rows with known labels.

    Rows of the training data would flatter the networks; nothing here can tell whether there are any.

    Args:
        run: a finished run directory.
        source: a file or folder of the form the run was trained on, the name of a data set, or raw data.
        target: column of the label, where it has another name than in training.
        unseen: whether a category that training did not have is refused, or taken for a missing value.
        trust: run the code that the run's recipe names.
        code: folder that such code is imported from.

    Returns: columns arm, split, rows, and one for each metric; a row for each network.

    Raises: DataError and RecipeError as `load` and `Trained.read`.
    """
    metrics = RunDirectory.open(run).metrics()
    rows: list[dict[str, Any]] = []
    for arm in metrics["arms"]:
        for split in range(metrics["splits"]):
            trained = load(run, arm=arm["name"], split=split, trust=trust, code=code)
            found = trained.read(source, target=target, unseen=unseen)
            rows.append({"arm": arm["name"], "split": split, "rows": len(found), **trained.evaluate(found)})
    return {key: [row[key] for row in rows] for key in rows[0]}


def evaluation_text(found: Table) -> str:
    """One line for each arm: mean and range over the splits' networks."""
    metrics = [key for key in found if key not in ("arm", "split", "rows")]
    width = max(len("arm"), *(len(arm) for arm in found["arm"]))
    lines = [f"{'arm':{width}}  " + "  ".join(f"{name:>33}" for name in metrics)]
    for arm in dict.fromkeys(found["arm"]):
        own = [i for i, each in enumerate(found["arm"]) if each == arm]
        cells = []
        for name in metrics:
            values = [found[name][i] for i in own]
            cells.append(f"{_range(values):>33}")
        lines.append(f"{arm:{width}}  " + "  ".join(cells))
    splits = len(set(found["split"]))
    lines.append(
        f"{found['rows'][0]} rows; mean [least, most] of {splits} network{'s' * (splits > 1)} an arm"
    )
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    """Mean and range; a dash where a metric says nothing of these rows, such as the AUC of one class."""
    if not all(map(isfinite, values)):
        return "-"
    largest = max(map(abs, values))
    form = ".3f" if largest == 0 or 1e-3 <= largest < 1e3 else ".3e"
    return f"{mean(values):{form}} [{min(values):{form}}, {max(values):{form}}]"
