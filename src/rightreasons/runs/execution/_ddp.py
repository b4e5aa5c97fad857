"""Train one fit on several processes with DistributedDataParallel."""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

import torch.distributed as dist

from rightreasons.core._errors import DataError, DivergedError, InputError, RightReasonsError
from rightreasons.recipes import Recipe
from rightreasons.runs.execution._fit import train
from rightreasons.runs.execution._processes import begin
from rightreasons.runs.results._files import RunDirectory, to_json
from rightreasons.runs.setup._plan import Fit

Job = tuple[Recipe, Fit, RunDirectory]
HERE = "127.0.0.1"
SECONDS = 10
"""How long a process that is still there may take to say why it stopped."""


def train_together(recipe: Recipe, fit: Fit, run: RunDirectory, devices: int) -> None:
    """`train` by as many processes as `devices`, of which this is the first.

    The others are started for the first fit and stay for the next ones, unless one failed.

    Raises: DataError if one of them died, or the model cannot be trained like this.
    """
    group = _group_of(devices)
    group.send((recipe, fit, run))
    try:
        fine = train(recipe, fit, run, devices)
    except RuntimeError as error:
        if isinstance(error, RightReasonsError):
            group.close()
            raise
        kind, why = group.answer() or ("broken", _line(error))  # another process has left, and can say why
        group.close()
        if kind == "broken":
            raise DataError(
                f"{fit.id} cannot be trained by {devices} processes: {why} Use --devices 1."
            ) from error
        failed = vars(fit) | {"status": "failed", "error": why}
        run.manifest.write(run.result_file(fit.id), to_json(failed, indent=None))
    except BaseException:
        group.close()
        raise
    else:
        if not fine or group.answer():
            group.close()


class _Group:
    """The other processes, and what connects them to this one."""

    def __init__(self, devices: int) -> None:
        self.devices = devices
        store = dist.TCPStore(HERE, 0, devices, is_master=True, wait_for_workers=False)  # pyright: ignore[reportPrivateImportUsage]
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for rank in range(1, devices):
            here, there = context.Pipe()
            process = context.Process(target=_help, args=(rank, devices, store.port, there), daemon=True)
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)
        _join(0, devices, store)

    def send(self, job: Job) -> None:
        for pipe in self.pipes:
            pipe.send(job)

    def answer(self) -> tuple[str, str] | None:
        """Why a process did not finish its part; None if all did."""
        for pipe in self.pipes:
            try:
                said = pipe.recv() if pipe.poll(SECONDS) else ("broken", "a process does not answer.")
            except EOFError:
                said = ("broken", "a process died, perhaps for want of memory.")
            if said is not None:
                return said
        return None

    def close(self) -> None:
        """End the processes; the next fit starts others."""
        global _group
        _group = None
        for process, pipe in zip(self.processes, self.pipes, strict=True):
            process.kill()
            process.join()
            pipe.close()
        dist.destroy_process_group()


_group: _Group | None = None


def _group_of(devices: int) -> _Group:
    """The group of this process; one process is asked for one size only."""
    global _group
    if _group is None:
        _group = _Group(devices)
    return _group


def _join(rank: int, devices: int, store: Any) -> None:
    os.environ["LOCAL_RANK"] = str(rank)
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", store=store, rank=rank, world_size=devices)


def _help(rank: int, devices: int, port: int, pipe: Connection) -> None:
    """What the other processes do until they fail or nobody asks any more."""
    begin()
    _join(rank, devices, dist.TCPStore(HERE, port, devices))  # pyright: ignore[reportPrivateImportUsage]
    while True:
        try:
            recipe, fit, run = pipe.recv()
        except EOFError:
            return
        try:
            train(recipe, fit, run, devices, rank)
        except (DivergedError, InputError) as error:
            pipe.send(("failed", _line(error)))
        except Exception as error:
            pipe.send(("broken", f"{type(error).__name__}: {_line(error)}"))
        else:
            pipe.send(None)
            continue
        os._exit(1)  # so that the others, who wait for this one, notice


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
