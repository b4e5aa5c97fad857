"""Distribute the chunks of an explain job over processes."""

import logging
import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, RightReasonsError
from rightreasons.core.files._disk import only_writer
from rightreasons.core.model._memory import within_memory
from rightreasons.runs.execution._processes import begin, interrupts_held
from rightreasons.runs.inference._explain import Job, Work
from rightreasons.runs.inference._export_maps import is_table, tabulate
from rightreasons.runs.inference._store import MapStore

_LOG = logging.getLogger("rightreasons")


@dataclass(frozen=True)
class Streamed:
    """How far a job is: rows done, in all, and found done already."""

    done: int
    total: int
    found: int


@within_memory("explaining", "Take a smaller chunk (--chunk), fewer rows at a time, or fewer devices.")
@checked
def explain(
    job: Job,
    output: str | Path,
    *,
    devices: int = 1,
    progress: Callable[[Streamed], None] | None = None,
) -> Path:
    """Maps of every row of a source, written piece by piece; the same call goes on with what is there.

    A piece of rows is read, explained, written and marked as done before the next, so memory does not grow with the
    rows, and after a kill nothing is lost but the pieces in work. The source, and in a call that goes on what is done
    already, are read once to know that they are what they were; damaged pieces are explained anew. The result
    does not depend on the number of processes, nor, but for rounding, on `chunk`.

    Args:
        job: what is explained how.
        output: a Zarr group (.zarr) with maps, outputs, gap, target, ids, see `MapStore`; or, for tables, a .csv or
            .parquet file with a line for each row and a column for each original column.
        devices: processes; each has a GPU, if there are any, or its share of the processor's threads.
        progress: called after each piece.

    Returns: where the maps are.

    Raises:
        InputError: what is asked cannot be done, or memory ran out with a chunk of one row.
        DataError: a source that cannot be read, or a place that holds other maps or that another process writes to.
        MissingExtraError: zarr is not installed.
    """
    path = Path(output)
    table = is_table(path)
    if devices < 1:
        raise InputError(f"devices is how many processes share the work, at least 1; got {devices}.")
    where = path.with_name(f".{path.name}.zarr") if table else path
    if table and path.exists() and not (where.exists() and not MapStore(where).pending()):
        raise InputError(f"{path} is there already. Remove it, or write to another place.")
    with only_writer(path.with_name(f".{path.name}.lock"), path):
        _done(job, where, table, devices, progress)
        if table:
            tabulate(MapStore(where), path)
    return path


def _done(
    job: Job, where: Path, table: bool, devices: int, progress: Callable[[Streamed], None] | None
) -> None:
    """Do what is left of the job."""
    found = where.exists()
    store, work = _opened(job, where, table, devices)
    tell = _teller(store, found, progress)
    if len(store.pending()) <= 1 or devices == 1:
        for piece in _share(work, store, 0, 1):
            tell(piece)
    else:
        _in_processes(job, store.path, devices, tell)


def _opened(job: Job, path: Path, table: bool, devices: int) -> tuple[MapStore, Work]:
    """The store with at least its first piece, and the loaded job."""
    work = Work(job, _device(0, devices), devices)
    if path.exists():
        store = MapStore(path, "r+")
        store.require_same(work.identity())
        if damaged := store.reopen_damaged():
            _LOG.warning("%s: %d damaged pieces are explained anew.", path, damaged)
        return store, work
    work.require_different_ids()
    arrays, rows = work.maps(0)
    if table and arrays["maps"].ndim != 2:
        raise InputError(
            f"maps of shape {arrays['maps'].shape[1:]} have no columns, so they are no table: write to a .zarr."
        )
    store = MapStore.create(path, arrays, work.pieces.rows, work.attributes(rows))
    store.write(0, arrays)
    return store, work


def _teller(
    store: MapStore, resumed: bool, progress: Callable[[Streamed], None] | None
) -> Callable[[int], None]:
    """Says how far the job is, now and after each piece it is called with."""
    waiting = sum(stop - start for start, stop in map(store.bounds, store.pending()))
    done = store.rows - waiting
    found = done if resumed else 0
    if progress is not None:
        progress(Streamed(done, store.rows, found))

    def tell(piece: int) -> None:
        nonlocal done
        start, stop = store.bounds(piece)
        done += stop - start
        if progress is not None:
            progress(Streamed(done, store.rows, found))

    return tell


def _share(work: Work, store: MapStore, index: int, count: int) -> Iterator[int]:
    """Do every `count`-th piece that is pending, beginning with number `index`."""
    for piece in store.pending():
        if piece % count == index:
            store.write(piece, work.maps(piece)[0])
            yield piece


def _in_processes(job: Job, path: Path, count: int, tell: Callable[[int], None]) -> None:
    """Share the pending pieces among processes; an error of one stops all."""
    context = multiprocessing.get_context("spawn")
    workers: dict[Any, Any] = {}
    threads = max(1, torch.get_num_threads() // count)
    for index in range(count):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_worker, args=(job, path, index, count, threads, theirs), daemon=True)
        with interrupts_held():
            worker.start()
        theirs.close()
        workers[ours] = worker
    try:
        while workers:
            for ready in wait(list(workers)):
                _heard(ready, workers, tell)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()


def _heard(connection: Any, workers: dict[Any, Any], tell: Callable[[int], None]) -> None:
    try:
        said = connection.recv()
    except EOFError:
        worker = workers.pop(connection)
        worker.join()
        if worker.exitcode:
            raise InputError(
                f"one of the processes ended with code {worker.exitcode}, killed or out of memory. What is done is "
                "kept: run the same again to go on, with fewer devices or a smaller chunk."
            ) from None
        return
    if isinstance(said, RightReasonsError):
        raise said
    if isinstance(said, str):
        raise RuntimeError(f"one of the processes failed:\n{said}")
    tell(said)


def _worker(job: Job, path: Path, index: int, count: int, threads: int, parent: Connection) -> None:
    """One process: it ends with its parent, so that nobody else does its pieces at the same time."""
    begin(threads)
    try:
        work = Work(job, _device(index, count), count)
        for piece in _share(work, MapStore(path, "r+"), index, count):
            parent.send(piece)
    except BrokenPipeError:
        return
    except RightReasonsError as error:
        parent.send(error)
    except Exception:
        parent.send(traceback.format_exc())


def _device(index: int, count: int) -> str:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{index % gpus}" if gpus else "cpu"
