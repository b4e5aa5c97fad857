"""`rightreasons data`: named sets, and a first look at a file of one's own."""

from typing import Annotated

import typer

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
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the label.", show_default=False)
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column that is 1 where the target is the time of an event.",
            show_default=False,
        ),
    ] = None,
    id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that names the rows.", show_default=False)
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of what rows belong to.", show_default=False)
    ] = None,
) -> None:
    """Rows, label, columns, missing values: what training would see."""
    from rightreasons import data as sets

    named = source in sets.names()
    if named:
        typer.echo(sets.describe(source))
    found = sets.load(source) if named else sets.read(source, target=target, event=event, id=id, group=group)
    typer.echo(sets.outline(found))
