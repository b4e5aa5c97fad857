"""`rightreasons data`: list, fetch and describe data sets."""

from typing import Annotated, Any

import typer

from rightreasons.cli import _options as options

data = typer.Typer(
    help="Named data sets, and a first look at files of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A named data set.", show_default=False)]


@data.command("list")
def list_() -> None:
    """Names that recipes know, where each would come from now, and what it is."""
    from rightreasons import data as sets

    width = max(map(len, sets.names()))
    for name in sets.names():
        first = sets.describe(name).splitlines()[1].split(": ")[0].split("; ")[0]
        typer.echo(f"{name:{width}}  {sets.where(name):14}  {first}")
    typer.echo(f"Data folder: {sets.data_folder()} ($RIGHTREASONS_DATA)")


@data.command()
def fetch(name: Name) -> None:
    """Download the published files of a named set into the data folder, checked by their digests."""
    from rightreasons import data as sets

    typer.echo(f"{name}: {sets.fetch(name)}")


@data.command()
def describe(
    source: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A named set, a file or a folder.", show_default=False)
    ],
    target: options.NewTarget = None,
    event: options.NewEvent = None,
    id: options.NewId = None,
    group: options.NewGroup = None,
    split: options.NewSplit = None,
    size: options.Size = None,
    labels: options.Labels = None,
    background: options.Background = None,
    dates_since: options.DatesSince = None,
    separator: options.Separator = None,
    decimal: options.Decimal = None,
    thousands: options.Thousands = None,
    skip_unlabelled: options.SkipUnlabelled = False,
) -> None:
    """Rows, label, columns, missing values: what training would see."""
    from rightreasons import data as sets

    if source in sets.names():
        typer.echo(f"{sets.describe(source)}\n{sets.outline(sets.load(source))}")
        return
    asked: dict[str, Any] = {
        "target": options.targets(target), "event": event, "id": id, "group": group, "split": split, "size": size,
        "labels": labels, "background": background,
        "dates_since": dates_since, "separator": separator, "decimal": decimal,
        "thousands": thousands, "skip_unlabelled": skip_unlabelled or None,
    }  # fmt: skip
    given = {key: value for key, value in asked.items() if value is not None}
    try:
        typer.echo(sets.outline(sets.read(source, **given)))
    except sets.ColumnsError as error:
        typer.echo(sets.outline(sets.read(source, **given, drop=list(error.columns))))
        for problem in error.columns.values():
            typer.echo(f"  not usable as it is: {problem}")
