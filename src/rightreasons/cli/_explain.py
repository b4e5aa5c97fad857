"""`rightreasons explain`: write maps of every row of a file or folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rightreasons.cli import _options as options
from rightreasons.core._errors import InputError, RecipeError

Model = Annotated[
    str,
    typer.Argument(
        metavar="RUN|MODULE:FACTORY",
        help="Run directory, or a function without arguments that returns your network.",
        show_default=False,
    ),
]
Place = Annotated[Path, options.output("PLACE", "maps.zarr; for tables maps.csv or maps.parquet.")]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="As in recipes, e.g. gradient or '{name: integrated_gradients, steps: 64}'. Default: the recipe's, or "
        "integrated_gradients for a network of your own.",
        show_default=False,
    ),
]
Explained = Annotated[
    str,
    typer.Option(
        "--explained", metavar="WHICH", help="predicted, label, or an output, by its number or name."
    ),
]
Reading = Annotated[
    str | None,
    typer.Option(
        "--reading",
        metavar="YAML",
        help="How DATA are read, e.g. '{size: [224, 224]}'.",
        show_default=False,
    ),
]
References = Annotated[
    str | None,
    typer.Option(
        "--references",
        metavar="FILE",
        help="For a network of your own: rows for methods that compare with some.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the draws.")]
RowsAtOnce = Annotated[
    int | None,
    typer.Option(
        "--rows",
        metavar="N",
        help="Rows read, explained and written at a time. Default: by their size.",
        show_default=False,
    ),
]
Chunk = Annotated[
    str,
    typer.Option("--chunk", metavar="N", help="Most rows in one forward pass; auto: what fits into memory."),
]
Devices = Annotated[
    int, typer.Option("--devices", metavar="N", help="Processes, each with a GPU if there are any.")
]


def explain(
    model: Model,
    source: options.Source,
    output: Place,
    method: Method = None,
    explained: Explained = "predicted",
    reading: Reading = None,
    references: References = None,
    seed: Seed = 0,
    rows: RowsAtOnce = None,
    chunk: Chunk = "auto",
    devices: Devices = 1,
    arm: options.Arm = None,
    split: options.Split = 0,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Explain every row of a file or folder; the same command goes on after an interruption."""
    from rightreasons import runs
    from rightreasons.cli._progress import counted
    from rightreasons.runs.inference._load import passed_over

    options.require_order(model, source)
    job = runs.Job(
        model,
        source,
        _yaml("--method", method),
        explained if (number := _whole(explained)) is None else number,
        arm=arm,
        split=split,
        trust=trust,
        code=str(code),
        reading=_yaml("--reading", reading) or {},
        references=references,
        seed=seed,
        rows=rows,
        chunk=_number(chunk, "--chunk", ("auto",)),
    )
    with counted(f"explaining {source}") as show:
        runs.explain(job, output, devices=devices, progress=lambda now: show(now.done, now.total, now.found))
    typer.echo(str(output))
    best = None if arm is not None or job.own_code else passed_over(model)
    if best is not None:
        typer.echo(
            f"{best!r} scored best and has no attributions, so the best arm that has some is explained.",
            err=True,
        )


def _yaml(option: str, text: str | None) -> Any:
    """A word, or fields in braces."""
    if text is None:
        return None
    from rightreasons.recipes._yaml import load

    try:
        return load(text)
    except RecipeError as error:
        raise InputError(f"{option} is no YAML: {error}") from error


def _number(text: str, option: str, words: tuple[str, ...]) -> Any:
    if text in words:
        return text
    if (number := _whole(text)) is not None:
        return number
    raise InputError(f"{option} is {', '.join(words)} or a number; got {text!r}.")


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None
