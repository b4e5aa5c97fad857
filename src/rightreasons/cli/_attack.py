"""`rightreasons attack`: robustness of a run's explanations under attack."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightreasons.cli import _options as options

if TYPE_CHECKING:
    from rightreasons.audit import Robustness

_EPS = (
    "Radius of the perturbation, in units of the network's inputs (pixels within the run's bounds; standard deviations "
    "in a standardised table)."
)
_OUTPUT = "Where the table and, for images, the figure go. Default: a folder in RUN/attacks."
_NAMES = "top-k, lens, lens-diverse, centre or rank."

Eps = Annotated[float, typer.Option("--eps", help=_EPS, show_default=False)]
Name = Annotated[str, typer.Option("--attack", metavar="NAME", help=_NAMES)]
Method = Annotated[
    str | None,
    typer.Option("--attribution", metavar="NAME", help="Method. Default: the recipe's.", show_default=False),
]
K = Annotated[float, typer.Option("--k", help="Positions that count: a share below 1, or a count.")]
Window = Annotated[
    int, typer.Option("--window", min=0, help="Radius of the windows, in pixels or places of a sequence.")
]
Norm = Annotated[str, typer.Option("--norm", help="linf, l2 or l1.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Steps of the search.")]
Restarts = Annotated[int, typer.Option("--restarts", min=1, help="Starts of each row.")]
Rows = Annotated[int, typer.Option("--rows", metavar="N", help="Test rows, drawn at random.")]
Seed = Annotated[int, typer.Option("--seed", help="Of rows, starts and draws.")]


def attack(
    run: options.Run,
    eps: Eps,
    name: Name = "top-k",
    attribution: Method = None,
    k: K = 0.1,
    window: Window = 1,
    norm: Norm = "linf",
    steps: Steps = 50,
    restarts: Restarts = 1,
    rows: Rows = 64,
    seed: Seed = 0,
    output: Annotated[Path | None, options.output("DIR", _OUTPUT)] = None,
    arm: options.Arm = None,
    split: options.Split = 0,
    trust: options.Trust = False,
    code: options.Code = Path(),
) -> None:
    """Attack the explanations of a network, next to controls: random noise, another row's map, white noise."""
    from rightreasons import audit, runs
    from rightreasons.cli._progress import counted
    from rightreasons.core.files._disk import writing
    from rightreasons.runs.setup._plan import slug

    trained = runs.load(run, arm=arm, split=split, explains=True, trust=trust, code=code)
    if output is not None:  # known before the work whether it can be kept
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
    method = attribution or trained.recipe.explain.attribution.name
    place = f"{name}-{method}-{norm}-{eps:g}-k{k:g}-w{window}-{slug(trained.arm)}-s{split:02d}"
    count = int(k) if k >= 1 and k.is_integer() else k
    with counted(f"attacking {trained.arm} and its control") as progress:
        found = audit.robustness_of_run(
            trained, eps=eps, attack=name, attribution=attribution, k=count, window=window, norm=norm, steps=steps,
            restarts=restarts, rows=rows, seed=seed, progress=progress,
        )  # fmt: skip
    text = f"{trained.arm}, split {split}: {audit.robustness_text(found)}"
    typer.echo(text)
    typer.echo("\n" + _written(found, text, output or run / "attacks" / place))


def _written(found: "Robustness", text: str, folder: Path) -> str:
    """The table for programs and for people, and of images the figure; says where."""
    from rightreasons import audit, report, runs
    from rightreasons.core.files._disk import write_atomically

    places = [folder / "table.csv", folder / "table.txt"]
    runs.write_table(audit.robustness_columns(found), places[0])
    write_atomically(places[1], text + "\n")
    if found.inputs.dim() == 4:
        places.append(folder / "figure.png")
        write_atomically(places[-1], report.attack_figure(found))
    return "\n".join(map(str, places))
