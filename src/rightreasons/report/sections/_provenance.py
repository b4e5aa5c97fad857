"""How the run was made: versions, data, cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rightreasons.recipes import to_yaml
from rightreasons.recipes._yaml import dump
from rightreasons.report._blocks import Code, Folded, Section, Text
from rightreasons.report._run_view import Source
from rightreasons.report._words import duration
from rightreasons.report.sections._tables import cost_table


def cost_section(source: Source) -> Section:
    """Completeness of the maps, and what training cost."""
    rows = source.metrics["rows"]
    made_of = rows["train"] + rows["validation"]
    trials = source.recipe.trials_per_arm
    note = (
        "Completeness gap: how far maps are from adding up to the output minus its mean over the references, before "
        "they are made to, as a share of that difference. Plain steps: seconds of a training step, as a multiple of "
        f"{source.metrics['reference']}. Training time is wall time, added up over fits, which may have "
        f"run at once and slowed each other down. Every arm had {trials} trial{'s' * (trials > 1)} on each split"
        f"{_steps(source.metrics['arms'])}. {made_of} rows make a model, {rows['test']} test it."
    )
    return Section("cost", "Trust and cost", [cost_table(source.metrics), Text(note, note=True)])


def _steps(arms: Sequence[Mapping[str, Any]]) -> str:
    """What the numbers of steps allow to say."""
    taken = {arm["steps"] for arm in arms if arm["steps"] is not None}
    if not taken:
        return ""
    same = " and the same number of task-gradient steps"
    if len(taken) > 1:
        same = " and the same limit of task-gradient steps, of which fits that stopped early or failed took fewer"
    own = any(arm["steps"] is None for arm in arms)
    return same + ("; arms without steps are fitted by an algorithm of their own" if own else "")


def made_section(source: Source) -> Section:
    """Data, recipe, versions."""
    data = source.metrics["data"]
    about = [data["description"], f"Label: {source.label}." if source.label else ""]
    blocks: list[Any] = [Text(" ".join(each for each in about if each))] if any(about) else []
    known = [
        f"{key}: {data[name]}" for key, name in (("Source", "source"), ("Licence", "licence")) if data[name]
    ]
    if known:
        blocks.append(Text(". ".join(known).rstrip(".") + ".", note=True))
    versions = dump(source.recipe.resolved or {})
    recipe = to_yaml(source.recipe.model_copy(update={"resolved": None}))
    blocks += [
        Folded("Recipe, with every default", [Code(recipe)]),
        Folded("Versions and seeds", [Code(versions)]),
    ]
    return Section("made", "How this was made", blocks)


def facts(source: Source) -> list[tuple[str, str]]:
    """What stands at the top of the page."""
    rows, metrics = source.metrics["rows"], source.metrics
    seconds = sum(arm["seconds"] for arm in metrics["arms"])
    sizes = _sizes(source.recipe.model.fields)
    return [
        ("Data", metrics["data"]["name"]),
        ("Task", source.task.replace("multiclass", "multi-class").replace("multilabel", "multi-label")),
        ("Rows to train, choose, test", f"{rows['train']:,} / {rows['validation']:,} / {rows['test']:,}"),
        ("Splits", str(metrics["splits"])),
        ("Network", source.recipe.model.name + (f", {sizes}" if sizes else "")),
        ("Fits", str(sum(arm["fits"] for arm in metrics["arms"]))),
        ("Training time", f"{duration(seconds)} of wall time, added up over fits"),
    ]


def _sizes(fields: dict[str, Any]) -> str:
    listed = [*np.atleast_1d(fields.get("channels") or []), *np.atleast_1d(fields.get("hidden") or [])]
    return "-".join(str(int(size)) for size in listed)
