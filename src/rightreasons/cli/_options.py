"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]
Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A file or folder of the form the run was trained on, or the name of a data set.",
        show_default=False,
    ),
]
Arm = Annotated[
    str | None,
    typer.Option(
        "--arm", metavar="NAME", help="Arm. Default: the best on validation rows.", show_default=False
    ),
]
Split = Annotated[int, typer.Option("--split", metavar="N", min=0, help="Which split's network.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the code that the run's recipe names (a network module:factory).")
]
Code = Annotated[Path, typer.Option("--code", metavar="DIR", help="Folder that such code is imported from.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="Column of the label, if it has another name than in training.",
        show_default=False,
    ),
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column that names the rows, likewise.", show_default=False),
]
Unseen = Annotated[
    bool,
    typer.Option("--allow-unseen", help="Take categories that training did not have for missing values."),
]
