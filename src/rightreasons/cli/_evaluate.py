"""`rightreasons evaluate`: evaluate every arm of a run on other labelled data."""

from pathlib import Path
from typing import Annotated

import typer

from rightreasons.cli import _options as options


def evaluate(
    run: options.Run,
    source: options.Source,
    output: Annotated[
        Path | None, options.output("FILE", "Also write every network's metrics: .json, .csv or .parquet.")
    ] = None,
    target: options.Target = None,
    allow_unseen: options.Unseen = False,
    skip_unlabelled: options.SkipUnlabelled = False,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Measure every arm on data it was not trained on: metrics of each split's network, mean and range."""
    from rightreasons import runs

    options.require_order(run, source)
    found = runs.evaluate(
        run,
        source,
        target=target,
        unseen="zero" if allow_unseen else "refuse",
        skip_unlabelled=skip_unlabelled,
        trust=trust,
        code=code,
    )
    typer.echo(runs.evaluation_text(found))
    if output is not None:
        runs.write_table(found, output)
        typer.echo(f"Each network: {output}")
