"""Learning curves of a fit as CSV and TensorBoard event files."""

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO, StringIO
from time import time
from typing import Any

from rightreasons.core.files._disk import append, write_atomically
from rightreasons.recipes import Recipe
from rightreasons.runs.results._files import RunDirectory
from rightreasons.runs.results._tables import cells

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
    if rows:
        run.manifest.note(path)


def _lines(columns: list[str], rows: list[Record], header: bool) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(cells(columns))
    writer.writerows(cells(row.get(name, "") for name in columns) for row in rows)
    return text.getvalue()


@contextmanager
def _tensorboard(run: RunDirectory, fit: str) -> Iterator[Callable[[Record], None]]:
    folder = run.events_folder(fit)
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / f"events.out.tfevents.{int(time())}"
    write_atomically(path, _event(file_version="brain.Event:2"))

    def log(row: Record) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

        values = [Summary.Value(tag=k, simple_value=v) for k, v in row.items() if k != "epoch"]
        append(path, _event(step=row["epoch"], summary=Summary(value=values)))

    yield log
    run.manifest.note(path)


def _event(**fields: Any) -> bytes:
    """A record of an event file. TensorBoard's own writer has a thread, whose errors nobody can catch."""
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.summary.writer.record_writer import RecordWriter

    record = BytesIO()
    RecordWriter(record).write(Event(wall_time=time(), **fields).SerializeToString())
    return record.getvalue()


LOGGERS: dict[str, Any] = {"csv": _csv, "tensorboard": _tensorboard}
