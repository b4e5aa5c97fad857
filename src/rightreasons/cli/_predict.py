"""`rightreasons predict`: predict new rows with a run's network."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options
from rightreasons.core._errors import InputError

Times = Annotated[
    str | None,
    typer.Option(
        "--times",
        metavar="T,T...",
        help="Of survival: times at which it is predicted. Default: quartiles of the times of events in training.",
        show_default=False,
    ),
]


def predict(
    run: options.Run,
    source: options.Source,
    output: Annotated[
        Path | None, options.output("FILE", "A .csv or .parquet file. Default: CSV to standard output.")
    ] = None,
    arm: options.Arm = None,
    split: options.Split = 0,
    id: options.Id = None,
    times: Times = None,
    allow_unseen: options.Unseen = False,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Predict rows of a file with a network of a run; labels are not needed, columns are found by name."""
    from rightreasons import runs

    options.require_order(run, source)
    trained = runs.load(run, arm=arm, split=split, trust=trust, code=code)
    rows = trained.read(source, labelled=False, id=id, unseen="zero" if allow_unseen else "refuse")
    written = runs.write_table(trained.predict(rows, times=_numbers(times)), output)
    if output is None:
        typer.echo(written, nl=False)
    else:
        typer.echo(f"{len(rows)} rows by {trained.arm!r}, split {split}: {output}")


def _numbers(text: str | None) -> list[float]:
    try:
        return [float(each) for each in (text or "").split(",") if text]
    except ValueError as error:
        raise InputError(f"--times are numbers separated by commas, such as 30,365; got {text!r}.") from error
