"""One offline page from a run directory: a pure function of what is in it."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml
from markupsafe import Markup

from rightreasons.recipes import Arm, Recipe, to_yaml
from rightreasons.report import _attributions, _scores
from rightreasons.report._style import Look, looks
from rightreasons.report._tables import arms_table, comparisons_table, cost_table, noise_tables
from rightreasons.report._words import (
    duration,
    findings,
    mean,
    metric_name,
    number,
    smoothness_sentence,
    sparsity_sentence,
)
from rightreasons.runs import RunDirectory

_CSS = {"helps": "helps", "hurts": "hurts"}


def render(run: RunDirectory) -> str:
    """The page as HTML, with everything it needs inside.

    Raises: DataError or RecipeError if the directory does not hold a finished run.
    """
    recipe, metrics = run.recipe(), run.metrics()
    styles = looks([arm["name"] for arm in metrics["arms"]], metrics["reference"])
    figures = {name: Markup(svg) for name, svg in _figures(run, metrics, styles).items()}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_resource("page.html.j2"))
    return template.render(
        css=Markup(_resource("page.css")),
        figures=figures | dict.fromkeys({"noise", "importance", "lorenz", "weights"} - set(figures)),
        maps=_maps(run, recipe, metrics),
        **_words(recipe, metrics, styles),
        **_provenance(recipe, metrics),
    )


def _resource(name: str) -> str:
    return files("rightreasons.report").joinpath(name).read_text(encoding="utf-8")


def _figures(run: RunDirectory, metrics: dict[str, Any], styles: Mapping[str, Look]) -> dict[str, str]:
    headline = metric_name(metrics["headline"])
    found = {
        "arms": _scores.arms_figure(metrics, styles, headline),
        "curves": _scores.curves_figure(metrics, run.history(), styles, headline),
    }
    if metrics["arms"][0]["noise"]:
        found["noise"] = _scores.noise_figure(metrics, styles, headline)
    if any(trials[0]["weight"] is not None for trials in metrics["weights"].values()):
        found["weights"] = _scores.weights_figure(metrics, styles, headline)
    if metrics["features"]:
        shares = {
            arm["name"]: np.stack([_share(run.maps(c["key"])["importance"]) for c in arm["chosen"]])
            for arm in metrics["arms"]
        }
        found["importance"] = _attributions.importance_figure(shares, metrics["features"], styles)
        found["lorenz"] = _attributions.lorenz_figure(shares, styles)
    return found


def _share(importance: np.ndarray) -> np.ndarray:
    total = float(importance.sum())
    return importance / total if total else importance


def _maps(run: RunDirectory, recipe: Recipe, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    if metrics["features"] or not recipe.explain.examples:
        return None
    classes = metrics["data"]["classes"] or [""]
    first = {arm["name"]: run.maps(arm["chosen"][0]["key"]) for arm in metrics["arms"]}
    multiclass = len(classes) > 2
    rows = [{"name": "Test image", "cells": _attributions.input_row(first[metrics["reference"]], classes)}]
    rows += [
        {"name": name, "cells": _attributions.map_row(name, arrays, classes, multiclass)}
        for name, arrays in first.items()
    ]
    return {
        "rows": rows,
        "what": f"{_explained(recipe, metrics)} The same test images of the first split for every arm.",
        "note": "Each map has its own scale, symmetric about zero, so colours compare places within a map and not "
        "strengths between maps. Faint grey is the image.",
    }


def _explained(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """Which method explains which output of which class."""
    named = recipe.explain.attribution
    method = named.name.replace("_", " ").capitalize()
    output, classes = str(named.fields.get("output", "logit")).replace("_", " "), metrics["data"]["classes"]
    if len(classes) > 2:
        of = (
            f"the {output} of the image's true class"
            if not metrics["features"]
            else f"the {output} of the true class"
        )
    elif classes:
        of = f"the {output} of “{classes[1]}”, the network's only output"
    else:
        of = "the predicted value"
    samples = named.fields.get("samples")
    draws = f", {samples} draws for each row, references from the training rows" if samples else ""
    return f"{method} of {of}{draws}."


def _words(recipe: Recipe, metrics: Mapping[str, Any], styles: Mapping[str, Look]) -> dict[str, Any]:
    described = {arm.name: arm for arm in recipe.arms}
    made_of = metrics["rows"]["train"] + metrics["rows"]["validation"]
    headline, confidence = metric_name(metrics["headline"]), f"{recipe.compare.confidence:.0%}"
    return {
        "findings": [
            _finding(arm, described[arm["name"]], recipe, metrics, styles) for arm in metrics["arms"]
        ],
        "rule": _rule(recipe, metrics),
        "interval_note": "Lines on the right are intervals of the mean difference"
        + ("; arrows: they reach further than the figure." if metrics["splits"] < 10 else "."),
        "explained": _explained(recipe, metrics),
        "explained_rows": min(recipe.explain.rows, metrics["rows"]["test"]),
        "headline": headline,
        "confidence": confidence,
        "splits": metrics["splits"],
        "reference": metrics["reference"],
        "select": _select(recipe, headline),
        "arms_table": arms_table(metrics, confidence),
        "comparisons_table": comparisons_table(metrics, confidence),
        "noise_tables": noise_tables(metrics),
        "cost_table": cost_table(metrics),
        "cost_note": "Completeness gap: how far maps are from adding up to the output minus its mean over the "
        "references, before they are made to, as a share of that difference. Plain steps: seconds of a training step, "
        f"as a multiple of {metrics['reference']}. Every arm had {recipe.trials_per_arm} trials on each split and the "
        f"same number of task-gradient steps. {made_of} rows make a model, {metrics['rows']['test']} test it.",
        "facts": _facts(recipe, metrics),
    }


def _finding(
    arm: Mapping[str, Any],
    described: Arm,
    recipe: Recipe,
    metrics: Mapping[str, Any],
    styles: Mapping[str, Look],
) -> dict[str, Any]:
    reference = next(a for a in metrics["arms"] if a["name"] == metrics["reference"])
    own = [each for each in metrics["comparisons"] if each["arm"] == arm["name"]]
    lines = [
        {"verdict": verdict[0].upper() + verdict[1:], "css": _CSS.get(verdict, "none"), "text": text}
        for verdict, text in (
            findings(own, metrics, recipe.compare.confidence, recipe.compare.margin) if own else ()
        )
    ]
    if arm is reference:
        score = number(mean(arm["test"][metrics["headline"]]))
        lines.append(
            {
                "verdict": "",
                "text": f"Test {metric_name(metrics['headline'])} {score}. The other arms are compared with it.",
            }
        )
    else:
        describe = sparsity_sentence if metrics["features"] else smoothness_sentence
        lines[-1]["text"] += " " + describe(arm, reference)
    if arm["failed"]:
        lines.append({"verdict": "", "text": f"{arm['failed']} of its {arm['fits']} fits failed."})
    return {
        "name": arm["name"],
        "what": described.description,
        "colour": styles[arm["name"]].colour,
        "lines": lines,
    }


def _rule(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    margin, alpha = f"{recipe.compare.margin:g}", f"{1 - recipe.compare.confidence:.2g}"
    if metrics["tested"]:
        return (
            "“Helps” and “hurts” need a paired test, corrected for splits that share rows and adjusted for the number "
            f"of comparisons, below {alpha}. “Does not help” needs an interval without gains above {margin}. All else "
            "is “cannot tell”."
        )
    return (
        "Below ten splits there is no test, only an interval, so nothing here says that a belief helps or does not: "
        "read the scores as an example."
    )


def _select(recipe: Recipe, headline: str) -> str:
    if recipe.select.rule == "largest_within":
        rule = f"the largest weight whose validation {headline} is within {recipe.select.within:g} of the arm's best"
    else:
        rule = f"the weight with the best validation {headline}"
    return f"On each split, {rule}. Arms without a weight choose among as many initialisations. Test rows play no part."


def _facts(recipe: Recipe, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = metrics["rows"]
    seconds = sum(arm["seconds"] for arm in metrics["arms"])
    return [
        ("Data", metrics["data"]["name"]),
        ("Rows to train, choose, test", f"{rows['train']:,} / {rows['validation']:,} / {rows['test']:,}"),
        ("Splits", str(metrics["splits"])),
        ("Network", f"{recipe.model.name}, {_sizes(recipe)}"),
        ("Fits", str(sum(arm["fits"] for arm in metrics["arms"]))),
        ("Training time", f"{duration(seconds)} of one core"),
    ]


def _sizes(recipe: Recipe) -> str:
    fields = recipe.model.fields
    listed = [*fields.get("channels", []), *np.atleast_1d(fields.get("hidden", []))]
    return "-".join(str(int(size)) for size in listed)


def _provenance(recipe: Recipe, metrics: Mapping[str, Any]) -> dict[str, Any]:
    resolved = recipe.resolved or {}
    return {
        "name": recipe.name,
        "title": recipe.title or recipe.name,
        "description": recipe.description,
        "demo": recipe.demo,
        "data": metrics["data"],
        "columns": list(metrics["data"]["columns"].items()),
        "recipe": to_yaml(recipe.model_copy(update={"resolved": None})),
        "versions": yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True),
        "version": resolved.get("versions", {}).get("rightreasons", ""),
        "started": str(resolved.get("started", ""))[:10],
    }


def write(path: str | Path) -> Path:
    """Render the run in this directory and write its `report.html`; returns where.

    Raises: DataError or RecipeError if the directory does not hold a finished run, or cannot be written.
    """
    from rightreasons.runs._files import write_atomically

    run = RunDirectory.open(path)
    write_atomically(run.report_file, render(run))
    return run.report_file
