"""`rightreasons export`: export the attributions of a run as a table."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options


def export(
    run: options.Run,
    output: Annotated[
        Path | None,
        options.output("FILE", "A .csv, .parquet or .json file. Default: CSV to standard output."),
    ] = None,
    arm: Annotated[
        str | None, typer.Option("--arm", metavar="NAME", help="One arm. Default: all.", show_default=False)
    ] = None,
) -> None:
    """Write the attributions of a run on a table: a row for each explained row, a column for each original column."""
    from rightreasons import runs

    found = runs.attributions(run, arm=arm)
    written = runs.write_table(found, output)
    if output is None:
        typer.echo(written, nl=False)
    else:
        typer.echo(f"{len(found['arm'])} explained rows: {output}")
