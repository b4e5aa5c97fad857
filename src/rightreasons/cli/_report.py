"""`rightreasons report`: write the page of a run, or an index of several."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories, or a folder of them.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        options.output(
            "FILE", "The page over several runs. Default: index.html in the folder that holds them."
        ),
    ] = None,
) -> None:
    """Write the page of a run again, from what is in its directory; of several runs or a folder, an index too."""
    from rightreasons.report import runs_in, write_index

    found = [each for path in runs for each in runs_in(path)]
    for run in found:
        typer.echo(f"Report: {page_of(run)}")
    if len(found) > 1 or found != runs or output is not None:
        typer.echo(f"Index: {write_index(runs, output)}")


def page_of(run: Path) -> Path:
    """Render the run's page; returns where it is."""
    from rightreasons.report import write

    return write(run)
