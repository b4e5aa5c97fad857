"""Learning curves of a fit, written while it is trained: a CSV file, TensorBoard's event files."""

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from typing import Any

from rightreasons.core._errors import DataError
from rightreasons.recipes import Recipe
from rightreasons.runs._files import RunDirectory, append, write_atomically

Record = dict[str, Any]


@contextmanager
def loggers(recipe: Recipe, run: RunDirectory, fit: str) -> Iterator[Callable[[Record], None]]:
    """What `fit` calls with the record of every epoch.

    A fit that goes on from a checkpoint is given the earlier epochs first, so each logger begins anew and no row is
    there twice.
    """
    with ExitStack() as stack:
        made = [stack.enter_context(LOGGERS[name](run, fit)) for name in recipe.loggers]

        def log(record: Record) -> None:
            row = flat(record)
            for each in made:
                each(row)

        yield log


def flat(record: Record) -> Record:
    """The record without nesting: `{"validation": {"auc": 1.0}}` becomes `{"validation/auc": 1.0}`."""
    rows: Record = {}
    for key, value in record.items():
        rows |= (
            {f"{key}/{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        )
    return rows


@contextmanager
def _csv(run: RunDirectory, fit: str) -> Iterator[Callable[[Record], None]]:
    path, rows, columns = run.curves_file(fit), list[Record](), list[str]()

    def log(row: Record) -> None:
        rows.append(row)
        new = [key for key in row if key not in columns]
        columns.extend(new)
        if new:  # the first epoch, or the first one of a term that begins later
            write_atomically(path, _lines(columns, rows, header=True))
        else:
            append(path, _lines(columns, [row], header=False))

    yield log


def _lines(columns: list[str], rows: list[Record], header: bool) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@contextmanager
def _tensorboard(run: RunDirectory, fit: str) -> Iterator[Callable[[Record], None]]:
    from torch.utils.tensorboard import SummaryWriter

    folder = run.events_folder(fit)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with SummaryWriter(str(folder)) as writer:

            def log(row: Record) -> None:
                for key, value in row.items():
                    if key != "epoch":
                        writer.add_scalar(key, value, row["epoch"])
                writer.flush()

            yield log
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}.") from error


LOGGERS: dict[str, Any] = {"csv": _csv, "tensorboard": _tensorboard}
