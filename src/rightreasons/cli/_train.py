"""`rightreasons train`: train the arms of recipes and write their pages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightreasons.cli import _options as options
from rightreasons.cli._report import page_of
from rightreasons.core._errors import RecipeError

if TYPE_CHECKING:
    from rightreasons.recipes import Recipe


def train(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE...", help="Recipes, YAML files.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        options.output(
            "DIR",
            "Run directory (of several recipes: the folder that holds them). Default: runs/<name of the recipe>.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            metavar="N",
            help="Processes. Default: one for each CPU.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        int,
        typer.Option(
            "--devices",
            min=1,
            metavar="N",
            help="Processes that train each fit together, for long fits; --workers counts them all.",
        ),
    ] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a value of every recipe, such as training.epochs=5 or arms.0.weights=[0.1,1]; repeatable.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Train every arm of a recipe on every split, choose on validation, measure on test, write a page.

    Run it again after an interruption: what is finished is not repeated.
    """
    from rightreasons import runs
    from rightreasons.cli._progress import Display
    from rightreasons.recipes import read

    read_first = [_allowed(read(path, set_ or ()), trust, code) for path in recipes]
    names = [recipe.name for recipe in read_first]
    if len(set(names)) < len(names):
        raise RecipeError(f"recipes given together must have different names; got {', '.join(names)}.")
    pages = []
    for recipe in read_first:
        to = _directory(recipe.name, output, len(read_first))
        with Display(recipe.name) as display:
            finished = runs.run(recipe, to, workers=workers, devices=devices, listen=display)
        for doubt in finished.metrics()["data"]["doubts"]:
            typer.echo(f"{recipe.name}: to check: {doubt}", err=True)
        pages.append(page_of(finished.path) if report else finished.path)
    for page in pages:
        typer.echo(f"{'Report' if report else 'Run'}: {page}")


def _allowed(recipe: "Recipe", trust: bool, code: Path) -> "Recipe":
    """The recipe, with the folder of its owner's code unless it comes out of a run: that may be anyone's."""
    return recipe.model_copy(update={"code": str(code)}) if trust or recipe.resolved is None else recipe


def _directory(name: str, output: Path | None, count: int) -> Path:
    if output is None:
        return Path("runs") / name
    return output if count == 1 else output / name
