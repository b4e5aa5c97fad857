"""The training loop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, final

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rightreasons.core._checked import checked
from rightreasons.core._distributed import agreed
from rightreasons.core._errors import DivergedError, InputError, MissingExtraError
from rightreasons.core._inputs import Inputs
from rightreasons.training._batches import Data, Rows
from rightreasons.training._checks import check_batches, check_numbers, optimizer_of
from rightreasons.training._objective import Losses, Objective
from rightreasons.training._rates import Schedule
from rightreasons.training._run import Plan, Progress, Record, Run


@final
@dataclass(frozen=True)
class Fitted:
    """What a fit did; the trained model is the objective's.

    Attributes:
        history: one record for each epoch: losses, weights, validation metrics, seconds.
        best_epoch: whose weights the model holds; None without validation (then the last).
        steps: optimizer steps taken.
        stopped_early: whether patience ran out before the last epoch.
    """

    history: list[Record]
    best_epoch: int | None
    steps: int
    stopped_early: bool


@checked
def fit(
    objective: Objective,
    train: Data,
    *,
    epochs: int,
    validation: Data | None = None,
    batch_size: int | None = None,
    optimizer: Optimizer | Callable[[Iterable[Any]], Optimizer] | None = None,
    scheduler: Schedule | Callable[[Optimizer], LRScheduler] | None = None,
    seed: int = 0,
    patience: int | None = None,
    augment: Callable[[Inputs, torch.Generator], Inputs] | None = None,
    clip: float | None = None,
    accumulate: int = 1,
    drop_last: bool = False,
    precision: str = "32-true",
    accelerator: str = "cpu",
    devices: int = 1,
    directory: Path | str | None = None,
    checkpoint_every: int | None = None,
    progress: bool | Callable[[Record], None] = False,
) -> Fitted:
    """Minimise an objective; afterwards its model holds the best weights seen on validation, or the last.

    The order of rows, every draw and the random state of every step are functions of (seed, epoch, step), so a run
    that was killed and is called again with the same arguments ends with the same weights (same machine, threads and
    versions). The caller's random state is left as found.

    Args:
        objective: model, task and terms.
        train: `(x, y)`, `(x, y, guidance)`, or a map-style data set of such tuples.
        epochs: passes over the rows.
        validation: like `train`; judged after every epoch by the task's headline metric.
        batch_size: rows of a step; None: all.
        optimizer: parameters -> optimizer, or one over `objective.parameter_groups(...)`, where what terms learn has a
            rate of its own; None: Adam with rate 1e-3.
        scheduler: of the learning rate: a `Schedule` of the step such as `Cosine()`, or optimizer -> scheduler of
            torch, advanced after every epoch.
        seed: of the run.
        patience: epochs without a better validation metric before stopping.
        augment: (x, generator) -> x, applied to training batches.
        clip: largest gradient norm.
        accumulate: batches whose gradients are averaged for one optimizer step, each counting as its rows; the last
            group of an epoch may hold fewer.
        drop_last: leave out the last partial batch of an epoch; needed where it would be a single row under batch norm.
        precision: a Fabric precision, such as "32-true" or "bf16-mixed".
        accelerator: a Fabric accelerator.
        devices: processes, each taking its share of every batch. The first one validates and writes checkpoints.
        directory: where checkpoints are kept; a call that finds one there goes on from it.
        checkpoint_every: steps between checkpoints; None: after every epoch. There is one at the end, too.
        progress: show a progress bar, or call this with every epoch's record, those of a resumed run's earlier
            epochs first.

    Raises:
        InputError: data or numbers that cannot be used, or a checkpoint of another run in `directory`.
        DivergedError: the loss became NaN or infinite; the model holds the weights before that step.
        DataError: a checkpoint cannot be written.
    """
    check_numbers(epochs, batch_size, accumulate, patience, clip, checkpoint_every)
    rows = Rows(train, "train")
    size = batch_size or len(rows)
    check_batches(objective, rows, size, drop_last, devices)
    judged = None if validation is None else Rows(validation, "validation")
    if patience is not None and judged is None:
        raise InputError(f"patience={patience} waits for a better validation metric: pass validation=(x, y).")
    run = Run(
        objective,
        _fabric(accelerator, devices, precision),
        optimizer_of(optimizer or torch.optim.Adam, objective),
        scheduler,
        Plan(seed, len(rows), size, epochs, accumulate, clip, drop_last, checkpoint_every),
        None if directory is None else Path(directory),
    )
    run.resume()
    state = run.state
    with _training_state(), _bar(progress, epochs) as show:
        for record in state.history:
            show(record)
        while state.epoch < epochs and not _out_of_patience(state, patience):
            started = perf_counter()
            for number, indices in run.batches():
                batch = rows.take(indices)
                losses = run.losses(batch, number, augment)
                _check_finite(losses, run, number)
                run.update(losses, number)
            record = run.record(perf_counter() - started)
            if judged is not None:
                run.judge(record, judged)
            run.end_epoch(record)
            show(record)
    run.finish()
    return Fitted(state.history, state.best_epoch, state.steps, state.epoch < epochs)


def _fabric(accelerator: str, devices: int, precision: Any) -> Any:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    except ImportError as error:
        raise MissingExtraError("training needs Fabric: pip install 'rightreasons[train]'") from error
    strategy = "ddp" if devices > 1 else "auto"
    joined = devices > 1 and torch.distributed.is_available() and torch.distributed.is_initialized()
    plugins = LightningEnvironment() if joined else None  # not what a cluster's variables seem to say
    fabric = Fabric(
        accelerator=accelerator, devices=devices, strategy=strategy, precision=precision, plugins=plugins
    )
    if devices > 1:
        fabric.launch()
    return fabric


def _check_finite(losses: Losses, run: Run, number: int) -> None:
    if agreed(bool(torch.isfinite(losses.total))):
        return
    run.optimizer.zero_grad(set_to_none=True)
    parts = {"task": losses.task, **losses.penalties}
    bad = [
        f"{name} = {float(value.detach())}"
        for name, value in parts.items()
        if not bool(torch.isfinite(value))
    ]
    raise DivergedError(
        f"the loss is not finite at epoch {run.state.epoch + 1}, batch {number + 1} ({', '.join(bad) or 'the sum'}). "
        "The model holds the weights before this step. Lower the rate or the penalty's weight, or clip gradients."
    )


def _out_of_patience(state: Progress, patience: int | None) -> bool:
    if patience is None or state.best_epoch is None:
        return False
    return state.epoch - 1 - state.best_epoch >= patience


@contextmanager
def _training_state() -> Iterator[None]:
    """Gradients on, and the caller's random state as found afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=list(devices)):
        yield


@contextmanager
def _bar(progress: bool | Callable[[Record], None], epochs: int) -> Iterator[Callable[[Record], None]]:
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda record: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=epochs, unit="epoch") as bar:

        def show(record: Record) -> None:
            bar.set_postfix({k: round(v, 4) for k, v in record.items() if k in ("loss", "task")})
            bar.update()

        yield show
