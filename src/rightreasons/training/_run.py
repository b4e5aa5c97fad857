"""The state of a training run, and what a checkpoint holds."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from rightreasons.core._called import called
from rightreasons.core._distributed import means_across_ranks
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, as_tuple
from rightreasons.training._batches import Batch, Rows, batches_of_epoch, derived_seed, generator_for
from rightreasons.training._checkpoint import best_of, load_checkpoint, save_checkpoint
from rightreasons.training._objective import Losses, Objective
from rightreasons.training._rates import Schedule

Record: TypeAlias = dict[str, Any]
ROWS_TO_EVALUATE = 1024
_MAY_DIFFER = ("checkpoint_every", "epochs")
"""What a resumed run may say anew."""


@dataclass
class Progress:
    """Everything besides modules and optimizers that a resumed run has to know."""

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    best: float | None = None
    best_epoch: int | None = None
    sums: dict[str, float] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """The numbers that, with data and objective, say what a run computes."""

    seed: int
    rows: int
    batch_size: int
    epochs: int
    accumulate: int
    clip: float | None
    drop_last: bool
    checkpoint_every: int | None

    @property
    def batches(self) -> int:
        return self.rows // self.batch_size if self.drop_last else -(-self.rows // self.batch_size)

    def share(self, number: int) -> float:
        """Of a batch's rows in those of its group, whose gradients make one optimizer step."""
        first = number - number % self.accumulate
        behind = min(first + self.accumulate, self.batches)
        return self._rows_between(number, number + 1) / self._rows_between(first, behind)

    def _rows_between(self, first: int, behind: int) -> int:
        """Rows of the batches `first` to `behind`, of all processes."""
        return min(behind * self.batch_size, self.rows) - first * self.batch_size

    @property
    def steps(self) -> int:
        """Of the optimizer, when every epoch is done."""
        return self.epochs * -(-self.batches // self.accumulate)


class Run:
    """One run: what is trained, how far it is, and what is checkpointed together."""

    def __init__(
        self,
        objective: Objective,
        fabric: Any,
        optimizer: Optimizer,
        scheduler: Schedule | Callable[[Optimizer], LRScheduler] | None,
        plan: Plan,
        directory: Path | None,
    ) -> None:
        self.objective, self.fabric, self.plan, self.directory = objective, fabric, plan, directory
        self.bare_optimizer = optimizer
        self.options = _options(optimizer)  # a schedule changes them later
        self.rate = scheduler if isinstance(scheduler, Schedule) else None
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.schedule = scheduler(optimizer) if scheduler and not isinstance(scheduler, Schedule) else None
        self.wrapped, self.optimizer = fabric.setup(objective, optimizer)
        self.state = Progress()
        self.best: dict[str, Tensor] | None = None

    def batches(self) -> Iterator[tuple[int, Tensor]]:
        """Number and rows of this epoch's batches that are still to be done."""
        plan, fabric = self.plan, self.fabric
        self.objective.train()
        order = batches_of_epoch(
            plan.rows,
            plan.batch_size,
            plan.seed,
            self.state.epoch,
            rank=fabric.global_rank,
            world=fabric.world_size,
            drop_last=plan.drop_last,
        )
        yield from islice(enumerate(order), self.state.batch, None)

    def losses(
        self, batch: Batch, number: int, augment: Callable[[Inputs, torch.Generator], Inputs] | None
    ) -> Losses:
        where = (self.plan.seed, self.state.epoch, number)
        _seed(derived_seed(*where, self.fabric.global_rank, "model"), self.fabric.device)
        draws = generator_for(*where, "draws")  # for the whole batch: every rank takes its rows'
        batch = _on(self.fabric, batch)
        with means_across_ranks():
            x = augment(batch.x, draws) if augment else batch.x
        return self.wrapped(x, batch.y, generator=draws, guidance=batch.guidance)

    def update(self, losses: Losses, number: int) -> None:
        """Backward; every `accumulate` batches, and at the end of the epoch, an optimizer step."""
        plan, state = self.plan, self.state
        self.fabric.backward(losses.total * plan.share(number))
        _add(state.sums, losses)
        state.batch = number + 1
        if state.batch % plan.accumulate and state.batch < plan.batches:
            return
        if plan.clip is not None:
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=plan.clip)
        self._set_rate()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        state.steps += 1
        if plan.checkpoint_every and state.steps % plan.checkpoint_every == 0:
            self.save()

    def _set_rate(self) -> None:
        if self.rate is not None:
            factor = self.rate((self.state.steps + 0.5) / self.plan.steps)
            for group, rate in zip(self.bare_optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor

    def record(self, seconds: float) -> Record:
        """Means over the epoch's rows, of all processes."""
        sums = self._sums_of_all()
        means = {k: v / sums[f"{k}/count"] for k, v in sums.items() if f"{k}/count" in sums}
        weights = {k: v for k, v in sums.items() if k.startswith("weight/")}
        rate = float(self.bare_optimizer.param_groups[0]["lr"])
        return {"epoch": self.state.epoch, **means, **weights, "rate": rate, "seconds": seconds}

    def _sums_of_all(self) -> dict[str, float]:
        sums = self.state.sums
        if self.fabric.world_size == 1:
            return sums
        means = self.fabric.all_reduce(torch.tensor(list(sums.values()), dtype=torch.float64))
        return dict(zip(sums, means.tolist(), strict=True))

    def judge(self, record: Record, rows: Rows) -> None:
        """Add validation metrics to the record; remember the weights if they are the best so far."""
        first = self.fabric.global_rank == 0
        scores = _validate(self.objective, rows, self.fabric) if first else None
        record["validation"] = self.fabric.broadcast(scores)
        value = record["validation"][self.objective.task.headline]
        if _is_better(value, self.state.best, self.objective.task.higher_is_better):
            self.state.best, self.state.best_epoch = value, self.state.epoch
            self.best = best_of(self.objective.state_dict())

    def end_epoch(self, record: Record) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(record["validation"]["loss"] if "validation" in record else record["loss"])
        elif self.schedule is not None:
            self.schedule.step()
        self.state.history.append(record)
        self.state.epoch, self.state.batch, self.state.sums = self.state.epoch + 1, 0, {}
        if self.plan.checkpoint_every is None:
            self.save()

    def finish(self) -> None:
        """A last checkpoint, and the best weights into the model."""
        if self.plan.checkpoint_every is not None:
            self.save()
        if self.best is not None:
            self.objective.load_state_dict(self.best, strict=False)

    def save(self) -> None:
        if self.directory is None or self.fabric.global_rank != 0:
            return
        parts = {
            "identity": self.identity(),
            "progress": vars(self.state),
            "objective": self.objective.state_dict(),
            "optimizer": self.bare_optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "best": self.best,
        }
        save_checkpoint(self.directory, self.state.steps, parts)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that goes on from it."""
        plan = {key: value for key, value in vars(self.plan).items() if key not in _MAY_DIFFER}
        if self.rate is not None:
            plan |= {"schedule": repr(self.rate), "epochs": self.plan.epochs}
        shapes = [(name, tuple(p.shape)) for name, p in self.objective.named_parameters()]
        return plan | {
            "parameters": _fingerprint(shapes),
            "task and terms": _fingerprint((self.objective.task, self.objective.terms)),
            "optimizer": _fingerprint((type(self.bare_optimizer).__name__, self.options)),
        }

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        found = None if self.directory is None else load_checkpoint(self.directory)
        if found is None:
            return
        own = self.identity()
        differing = [key for key in own if found["identity"].get(key) != own[key]]
        if differing:
            raise InputError(
                f"{self.directory} holds a checkpoint of another run: {', '.join(differing)} differ. "
                "Use another directory, or remove it."
            )
        self.objective.load_state_dict(found["objective"])
        self.bare_optimizer.load_state_dict(found["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(found["schedule"])
        self.state, self.best = Progress(**found["progress"]), found["best"]
        self.fabric.barrier()  # the first process may soon replace the checkpoint


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What each group of parameters is trained with."""
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def _fingerprint(value: Any) -> str:
    """A digest of how `value` prints, memory addresses left out."""
    return blake2b(re.sub(r" at 0x[0-9a-f]+", "", repr(value)).encode(), digest_size=8).hexdigest()


def _on(fabric: Any, batch: Batch) -> Batch:
    guidance = None if batch.guidance is None else fabric.to_device(batch.guidance)
    return Batch(fabric.to_device(batch.x), fabric.to_device(batch.y), guidance)


def _seed(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, which for a model on the CPU notes a traceback for every absent accelerator."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _add(sums: dict[str, float], losses: Losses) -> None:
    """Each value as often as the batch has rows here: a last, smaller batch counts for less."""
    rows = losses.outputs.shape[0]
    penalties = {name: float(value.detach()) for name, value in losses.penalties.items()}
    task = float(losses.task.detach())
    # Not the total, in which DDP's averaging of processes with different numbers of rows is made up for.
    loss = task + sum(losses.weights[name] * value for name, value in penalties.items())
    values = {"loss": loss, "task": task} | {f"penalty/{name}": value for name, value in penalties.items()}
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + rows * value
        sums[f"{name}/count"] = sums.get(f"{name}/count", 0.0) + rows
    sums.update({f"weight/{name}": weight for name, weight in losses.weights.items()})


@torch.no_grad()
def _validate(objective: Objective, rows: Rows, fabric: Any) -> Record:
    """Loss and metrics of the task, in eval mode."""
    model: nn.Module = objective.model.eval()
    outputs, labels = [], []
    for indices in torch.arange(len(rows)).split(ROWS_TO_EVALUATE):
        batch = _on(fabric, rows.take(indices))
        outputs.append(called(model, tuple(_like(part, model) for part in as_tuple(batch.x)), {}))
        labels.append(batch.y)
    z, y = torch.cat(outputs).float(), torch.cat(labels)
    return {"loss": float(objective.task.loss(z, y)), **objective.task.metrics(z, y)}


def _like(part: Tensor, model: nn.Module) -> Tensor:
    """Numbers of the precision of the model's weights, such as "64-true"."""
    weights = next((p for p in model.parameters() if p.is_floating_point()), None)
    return part.to(weights.dtype) if weights is not None and part.is_floating_point() else part


def _is_better(value: float, best: float | None, higher: bool) -> bool:
    if best is None or best != best:  # NaN is worse than anything
        return True
    return value > best if higher else value < best
