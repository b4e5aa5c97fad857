"""`rightreasons init`: draft a first recipe for a data set."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options
from rightreasons.core._errors import RecipeError


def init(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PATH|NAME", help="A file, a folder of images, or the name of a set.", show_default=False
        ),
    ],
    target: options.NewTarget = None,
    event: options.NewEvent = None,
    id: options.NewId = None,
    group: options.NewGroup = None,
    split: options.NewSplit = None,
    drop: Annotated[list[str] | None, options.column("Column to leave out; may be repeated.")] = None,
    size: options.Size = None,
    labels: options.Labels = None,
    background: options.Background = None,
    dates_since: options.DatesSince = None,
    separator: options.Separator = None,
    decimal: options.Decimal = None,
    thousands: options.Thousands = None,
    skip_unlabelled: options.SkipUnlabelled = False,
    long: Annotated[
        bool, typer.Option("--long", help="Ten splits and three weights for an arm, instead of a first look.")
    ] = False,
    output: Annotated[
        Path | None, options.output("FILE", "Default: beside the data, with the ending .yaml.")
    ] = None,
) -> None:
    """Read the data as training will, and write a recipe with comments that say what to change."""
    from rightreasons import recipes
    from rightreasons.core.files._disk import write_atomically

    data = source.resolve()
    to = output or data.parent / f"{data.name.partition('.')[0]}.yaml"
    if to.exists():
        raise RecipeError(f"{to} exists and is not overwritten. Say where else: --output FILE.")
    text = recipes.draft(
        source, target=options.targets(target), event=event, id=id, group=group, split=split, drop=drop or (),
        size=size, labels=labels, background=background, dates_since=dates_since, separator=separator,
        decimal=decimal, thousands=thousands, skip_unlabelled=skip_unlabelled, folder=to.parent, long=long,
    )  # fmt: skip
    write_atomically(to, text)
    dropped = recipes.parse(text).data.drop
    if dropped:
        typer.echo(f"Left out, with reasons in the recipe: {', '.join(dropped)}")
    typer.echo(f"Recipe: {to}\nNext: rightreasons train {to}")
