"""The commands, one file each. Each is a thin layer over a function of the library."""

from typing import Annotated

import typer

from rightreasons import __version__
from rightreasons.cli._attack import attack
from rightreasons.cli._compare import compare
from rightreasons.cli._data import data
from rightreasons.cli._evaluate import evaluate
from rightreasons.cli._explain import explain
from rightreasons.cli._export import export
from rightreasons.cli._init import init
from rightreasons.cli._predict import predict
from rightreasons.cli._report import report
from rightreasons.cli._schema import schema
from rightreasons.cli._train import train

app = typer.Typer(
    name="rightreasons",
    help="Train networks that are right for the right reasons, and measure whether their explanations can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"rightreasons {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    pass


app.command()(init)
app.command()(train)
app.command()(report)
app.command()(compare)
app.command()(explain)
app.command()(export)
app.command()(predict)
app.command()(evaluate)
app.command()(attack)
app.add_typer(data, name="data")
app.command()(schema)
