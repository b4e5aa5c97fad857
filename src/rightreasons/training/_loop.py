"""A training loop that can be read from top to bottom."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rightreasons.core._errors import DivergedError, InputError, MissingExtraError
from rightreasons.core._inputs import Inputs, as_tuple
from rightreasons.training._batches import (
    Batch,
    Data,
    Rows,
    batches_of_epoch,
    batches_per_epoch,
    derived_seed,
    generator_for,
)
from rightreasons.training._checkpoint import best_of, load_checkpoint, save_checkpoint
from rightreasons.training._objective import Losses, Objective

Record: TypeAlias = dict[str, Any]
ROWS_TO_EVALUATE = 1024


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


@dataclass
class _Progress:
    """Everything besides modules and optimizers that a resumed run has to know."""

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    best: float | None = None
    best_epoch: int | None = None
    sums: dict[str, float] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)


def fit(
    objective: Objective,
    train: Data,
    *,
    epochs: int,
    validation: Data | None = None,
    batch_size: int | None = None,
    optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
    scheduler: Callable[[Optimizer], LRScheduler] | None = None,
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
        optimizer: parameters -> optimizer; None: Adam with rate 1e-3.
        scheduler: optimizer -> learning-rate scheduler, advanced after every epoch.
        seed: of the run.
        patience: epochs without a better validation metric before stopping.
        augment: (x, generator) -> x, applied to training batches.
        clip: largest gradient norm.
        accumulate: batches whose gradients are averaged for one optimizer step.
        drop_last: leave out the last partial batch of an epoch.
        precision: a Fabric precision, such as "32-true" or "bf16-mixed".
        accelerator: a Fabric accelerator.
        devices: processes, each taking its share of every batch.
        directory: where checkpoints are kept; a call that finds one there goes on from it.
        checkpoint_every: steps between checkpoints; None: after every epoch.
        progress: show a progress bar, or call this with every epoch's record.

    Raises:
        InputError: data or numbers that cannot be used, or a checkpoint of another run in `directory`.
        DivergedError: the loss became NaN or infinite; the model holds the weights before that step.
    """
    rows, size = Rows(train, "train"), _batch_size(train, batch_size, epochs, accumulate)
    fabric = _fabric(accelerator, devices, precision)
    model_optimizer = (optimizer or torch.optim.Adam)([p for p in objective.parameters() if p.requires_grad])
    schedule = scheduler(model_optimizer) if scheduler else None
    wrapped, wrapped_optimizer = fabric.setup(objective, model_optimizer)
    identity = {"seed": seed, "rows": len(rows), "batch_size": size, "accumulate": accumulate}
    run = _Run(objective, model_optimizer, schedule, directory, identity, fabric.global_rank == 0)
    state, best = run.resume()
    per_epoch = batches_per_epoch(len(rows), size, drop_last)
    stopped = _out_of_patience(state, patience)
    with _quiet_random_state(), _bar(progress, epochs, state.epoch) as show:
        while state.epoch < epochs and not stopped:
            started = perf_counter()
            objective.train()
            order = batches_of_epoch(
                len(rows), size, seed, state.epoch,
                rank=fabric.global_rank, world=fabric.world_size, drop_last=drop_last,
            )  # fmt: skip
            for number, indices in enumerate(order):
                if number < state.batch:
                    continue
                batch = _on(fabric, rows.take(indices))
                torch.manual_seed(derived_seed(seed, state.epoch, number, "model", fabric.global_rank))
                draws = generator_for(seed, state.epoch, number, "draws", fabric.global_rank)
                x = augment(batch.x, draws) if augment else batch.x
                losses: Losses = wrapped(x, batch.y, generator=draws, guidance=batch.guidance)
                _check_finite(losses, state, number)
                fabric.backward(losses.total / accumulate)
                _add(state.sums, losses)
                state.batch = number + 1
                if state.batch % accumulate == 0 or state.batch == per_epoch:
                    if clip is not None:
                        fabric.clip_gradients(wrapped, wrapped_optimizer, max_norm=clip)
                    wrapped_optimizer.step()
                    wrapped_optimizer.zero_grad(set_to_none=True)
                    state.steps += 1
                    if checkpoint_every and state.steps % checkpoint_every == 0:
                        run.save(state, best)
            record = _record(state, started, model_optimizer)
            if validation is not None:
                record |= _validate(objective, Rows(validation, "validation"), fabric)
                if _is_better(objective, record, state.best):
                    state.best, state.best_epoch = record["validation"][objective.task.headline], state.epoch
                    best = best_of(objective.state_dict())
            if schedule is not None:
                schedule.step()
            state.history.append(record)
            state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
            run.save(state, best)
            stopped = _out_of_patience(state, patience)
            show(record)
    if best is not None:
        objective.load_state_dict(best, strict=False)
    return Fitted(state.history, state.best_epoch, state.steps, stopped)


@dataclass
class _Run:
    """The parts of a run that are checkpointed together."""

    objective: Objective
    optimizer: Optimizer
    schedule: LRScheduler | None
    directory: Path | str | None
    identity: dict[str, int]
    writes: bool

    def save(self, state: _Progress, best: dict[str, Tensor] | None) -> None:
        if self.directory is None or not self.writes:
            return
        parts = {
            "identity": self.identity,
            "progress": vars(state),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "best": best,
        }
        save_checkpoint(Path(self.directory), state.steps, parts)

    def resume(self) -> tuple[_Progress, dict[str, Tensor] | None]:
        found = None if self.directory is None else load_checkpoint(Path(self.directory))
        if found is None:
            return _Progress(), None
        if found["identity"] != self.identity:
            raise InputError(
                f"{self.directory} holds a checkpoint of another run ({found['identity']}; this one is "
                f"{self.identity}). Use another directory, or remove it."
            )
        self.objective.load_state_dict(found["objective"])
        self.optimizer.load_state_dict(found["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(found["schedule"])
        return _Progress(**found["progress"]), found["best"]


def _batch_size(train: Data, batch_size: int | None, epochs: int, accumulate: int) -> int:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("accumulate", accumulate)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1; got {value}.")
    return batch_size or len(Rows(train, "train"))


def _fabric(accelerator: str, devices: int, precision: str) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise MissingExtraError("training needs Fabric: pip install 'rightreasons[train]'") from error
    strategy = "ddp" if devices > 1 else "auto"
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)  # pyright: ignore[reportArgumentType]
    if devices > 1:
        fabric.launch()
    return fabric


def _on(fabric: Any, batch: Batch) -> Batch:
    return Batch(*(None if part is None else fabric.to_device(part) for part in (batch.x, batch.y, batch.guidance)))


def _check_finite(losses: Losses, state: _Progress, number: int) -> None:
    if bool(torch.isfinite(losses.total)):
        return
    parts = {"task": losses.task, **losses.penalties}
    bad = [f"{name} = {float(value.detach())}" for name, value in parts.items() if not bool(torch.isfinite(value))]
    raise DivergedError(
        f"the loss is not finite at epoch {state.epoch + 1}, batch {number + 1} ({', '.join(bad) or 'the sum'}). "
        "The model holds the weights before this step. Lower the learning rate or the penalty's weight, or set clip=1.0."
    )


def _add(sums: dict[str, float], losses: Losses) -> None:
    values = {"loss": losses.total, "task": losses.task}
    values |= {f"penalty/{name}": value for name, value in losses.penalties.items()}
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach())
        sums[f"{name}/count"] = sums.get(f"{name}/count", 0.0) + 1
    sums.update({f"weight/{name}": weight for name, weight in losses.weights.items()})


def _record(state: _Progress, started: float, optimizer: Optimizer) -> Record:
    means = {
        name: value / state.sums[f"{name}/count"]
        for name, value in state.sums.items()
        if f"{name}/count" in state.sums
    }
    weights = {name: value for name, value in state.sums.items() if name.startswith("weight/")}
    rate = float(optimizer.param_groups[0]["lr"])
    return {"epoch": state.epoch, **means, **weights, "rate": rate, "seconds": perf_counter() - started}


@torch.no_grad()
def _validate(objective: Objective, rows: Rows, fabric: Any) -> Record:
    """Loss and metrics of the task, in eval mode."""
    model: nn.Module = objective.model.eval()
    outputs, labels = [], []
    for indices in torch.arange(len(rows)).split(ROWS_TO_EVALUATE):
        batch = _on(fabric, rows.take(indices))
        outputs.append(model(*as_tuple(batch.x)))
        labels.append(batch.y)
    z, y = torch.cat(outputs).float(), torch.cat(labels)
    return {"validation": {"loss": float(objective.task.loss(z, y)), **objective.task.metrics(z, y)}}


def _is_better(objective: Objective, record: Record, best: float | None) -> bool:
    value = record["validation"][objective.task.headline]
    if best is None or best != best:  # NaN is worse than anything
        return True
    return value > best if objective.task.higher_is_better else value < best


def _out_of_patience(state: _Progress, patience: int | None) -> bool:
    if patience is None or state.best_epoch is None:
        return False
    return state.epoch - 1 - state.best_epoch >= patience


@contextmanager
def _quiet_random_state() -> Iterator[None]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        yield


@contextmanager
def _bar(
    progress: bool | Callable[[Record], None], epochs: int, done: int
) -> Iterator[Callable[[Record], None]]:
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda record: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def show(record: Record) -> None:
            bar.set_postfix({k: round(v, 4) for k, v in record.items() if k in ("loss", "task")})
            bar.update()

        yield show
