"""`rightreasons report`: the page of a run."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)],
) -> None:
    """Write the page of a run again, from what is in its directory."""
    typer.echo(f"Report: {page_of(run)}")


def page_of(run: Path) -> Path:
    """Render the run's page; returns where it is."""
    from rightreasons.report import write

    return write(run)
