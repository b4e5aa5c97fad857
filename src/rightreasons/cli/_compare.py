"""`rightreasons compare`: compare arms of several runs."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Run directories.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        options.output("FILE", "The page. Default: comparison.html in the folder of the first run."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="ARM",
            help="Arm, or 'run: arm', that all others are compared with. Default: that of the first run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare arms of several runs, split by split where they share their splits; prints a table, writes a page."""
    from rightreasons.report import write_comparison
    from rightreasons.runs import compare as compared
    from rightreasons.runs import comparison_text

    found = compared(runs, against=against)
    typer.echo(comparison_text(found))
    typer.echo(f"Page: {write_comparison(found, output or runs[0].parent / 'comparison.html')}")
