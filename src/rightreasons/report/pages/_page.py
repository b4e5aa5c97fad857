"""The page of one run: a pure function of its directory."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from rightreasons.core._checked import checked
from rightreasons.report._blocks import Section
from rightreasons.report._run_view import Source
from rightreasons.report.sections import (
    _calibration,
    _classes,
    _differences,
    _examples,
    _findings,
    _importance,
    _learned,
    _scores,
    _weights,
)
from rightreasons.report.sections import _provenance as _made
from rightreasons.runs import RunDirectory

SECTIONS: Sequence[Callable[[Source], Section | None]] = (
    _findings.section,
    _scores.arms_section,
    _differences.section,
    _scores.noise_section,
    _examples.section,
    _classes.section,
    _importance.section,
    _learned.section,
    _calibration.section,
    _scores.curves_section,
    _weights.section,
    _made.cost_section,
    _made.made_section,
)
"""What a page shows, in this order; a section that has nothing to show returns None."""


@checked
def render(run: RunDirectory) -> str:
    """The page as HTML, with everything it needs inside.

    Raises: DataError or RecipeError if the directory does not hold a finished run.
    """
    source = Source.of(run)
    recipe, resolved = source.recipe, source.recipe.resolved or {}
    return page(
        title=recipe.title or recipe.name,
        name=recipe.name,
        description=recipe.description,
        demo=recipe.demo,
        facts=_made.facts(source),
        sections=[section for make in SECTIONS if (section := make(source)) is not None],
        version=resolved.get("versions", {}).get("rightreasons", ""),
        started=str(resolved.get("started", ""))[:10],
        again="rightreasons train recipe.yaml",
    )


def page(**values: Any) -> str:
    """The template filled in: title, name, description, demo, facts, sections, version, started, again."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_resource),
    )
    return environment.get_template("page.html.j2").render(css=Markup(_resource("page.css")), **values)


def _resource(name: str) -> str:
    return files("rightreasons.report").joinpath(name).read_text(encoding="utf-8")


@checked
def write(path: str | Path) -> Path:
    """Render the run in this directory and write its `report.html`; returns where.

    Raises: DataError or RecipeError if the directory does not hold a finished run, or cannot be written.
    """
    run = RunDirectory.open(path)
    run.manifest.write(run.report_file, render(run))
    return run.report_file
