"""Options shared by several commands."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rightreasons.core._errors import InputError


def targets(given: list[str] | None) -> str | list[str] | None:
    """One column, or several, or none."""
    return given[0] if given and len(given) == 1 else given or None


def require_order(run: str | Path, source: str) -> None:
    """Refuse data given where the run is expected, and a run where data are."""
    if not (Path(run) / "metrics.json").is_file() and (Path(source) / "metrics.json").is_file():
        raise InputError(
            f"{source} is a run and {run} is none: the run comes first, then the data: {source} {run}"
        )


def column(help: str, *names: str) -> Any:
    """An option that names a column."""
    return typer.Option(*names, metavar="COLUMN", help=help, show_default=False)


def output(metavar: str, help: str) -> Any:
    """The option that says where results go."""
    return typer.Option("--output", "-o", metavar=metavar, help=help, show_default=False)


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]
Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A file or folder of the form the run was trained on, or the name of a data set.",
        show_default=False,
    ),
]
Arm = Annotated[
    str | None,
    typer.Option(
        "--arm",
        metavar="NAME",
        help="Arm. Default: the best on validation rows (to explain or attack, of those with attributions).",
        show_default=False,
    ),
]
Split = Annotated[int, typer.Option("--split", metavar="N", min=0, help="Which split's network.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the code that the run's recipe names (a network module:factory).")
]
Code = Annotated[Path, typer.Option("--code", metavar="DIR", help="Folder that such code is imported from.")]
Target = Annotated[
    str | None, column("Column of the label, if it has another name than in training.", "--target")
]
Id = Annotated[str | None, column("Column that names the rows, likewise.", "--id")]
Unseen = Annotated[
    bool,
    typer.Option("--allow-unseen", help="Take categories that training did not have for missing values."),
]
# Of data that nothing is known about yet.
NewTarget = Annotated[
    list[str] | None, column("Column of the label; several for several labels.", "--target")
]
NewSplit = Annotated[str | None, column("Column of train, validation and test.", "--split")]
Size = Annotated[
    tuple[int, int] | None,
    typer.Option(
        "--size", metavar="HEIGHT WIDTH", help="Size that images are resized to.", show_default=False
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Of a folder of images: CSV file, relative to it, whose column file (or --id) names each image.",
        show_default=False,
    ),
]
Background = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="COLOUR",
        help="What transparent images are laid over: white.",
        show_default=False,
    ),
]
NewEvent = Annotated[
    str | None, column("Column that is 1 where the target is the time of an event.", "--event")
]
NewId = Annotated[str | None, column("Column that names the rows.", "--id")]
NewGroup = Annotated[
    str | None, column("Column of what rows belong to, such as a patient with several visits.", "--group")
]
DatesSince = Annotated[
    str | None,
    typer.Option(
        "--dates-since", metavar="YYYY-MM-DD", help="Day that dates are counted from.", show_default=False
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(
        "--separator", metavar="TEXT", help="What columns of a CSV end at, such as ';'.", show_default=False
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        metavar="TEXT",
        help="What decimals in a table begin with, such as ','.",
        show_default=False,
    ),
]
Thousands = Annotated[
    str | None,
    typer.Option(
        "--thousands",
        metavar="TEXT",
        help="What is between groups of three digits in a table, such as '.'.",
        show_default=False,
    ),
]
SkipUnlabelled = Annotated[
    bool, typer.Option("--skip-unlabelled", help="Leave out rows of a table that have no label.")
]
