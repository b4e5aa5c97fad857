"""`rightreasons attack`: do explanations of a run's network survive a perturbation nobody sees?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightreasons.cli import _options as options

if TYPE_CHECKING:
    from rightreasons.audit import Robustness


def attack(
    run: options.Run,
    eps: Annotated[
        float,
        typer.Option(
            "--eps",
            help="Radius of the perturbation, in units of the network's inputs (pixels within the run's bounds; "
            "standard deviations in a standardised table).",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--attack", metavar="NAME", help="top-k, lens, lens-diverse, centre or rank.")
    ] = "top-k",
    attribution: Annotated[
        str | None,
        typer.Option(
            "--attribution", metavar="NAME", help="Method. Default: the recipe's.", show_default=False
        ),
    ] = None,
    k: Annotated[float, typer.Option("--k", help="Positions that count: a share below 1, or a count.")] = 0.1,
    window: Annotated[int, typer.Option("--window", min=0, help="Radius of the windows, in pixels.")] = 1,
    norm: Annotated[str, typer.Option("--norm", help="linf, l2 or l1.")] = "linf",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the search.")] = 50,
    restarts: Annotated[int, typer.Option("--restarts", min=1, help="Starts of each row.")] = 1,
    rows: Annotated[int, typer.Option("--rows", metavar="N", help="Test rows, drawn at random.")] = 64,
    seed: Annotated[int, typer.Option("--seed", help="Of rows, starts and draws.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where table.csv and, for images, figure.png go. Default: a folder in RUN/attacks.",
            show_default=False,
        ),
    ] = None,
    arm: options.Arm = None,
    split: options.Split = 0,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Attack the explanations of a network, next to controls: random noise, another row's map, white noise."""
    from rightreasons import audit, runs
    from rightreasons.cli._progress import counting
    from rightreasons.runs._plan import slug

    trained = runs.load(run, arm=arm, split=split, trust=trust, code=code)
    with counting(f"attacking {trained.arm}") as progress:
        found = audit.robustness_of_run(
            trained,
            eps=eps,
            attack=name,
            attribution=attribution,
            k=int(k) if k >= 1 and k == int(k) else k,
            window=window,
            norm=norm,
            steps=steps,
            restarts=restarts,
            rows=rows,
            seed=seed,
            progress=progress,
        )
    typer.echo(f"{trained.arm}, split {split}: {audit.robustness_text(found)}")
    method = attribution or trained.recipe.explain.attribution.name
    folder = output or run / "attacks" / f"{name}-{method}-{norm}-{eps:g}-{slug(trained.arm)}-s{split:02d}"
    typer.echo("\n" + _written(found, folder))


def _written(found: "Robustness", folder: Path) -> str:
    from rightreasons import audit, report, runs
    from rightreasons.runs._files import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    runs.write_table(audit.robustness_columns(found), folder / "table.csv")
    if found.window is None:
        return f"{folder / 'table.csv'}"
    write_atomically(folder / "figure.png", report.attack_figure(found))
    return f"{folder / 'table.csv'}\n{folder / 'figure.png'}"
