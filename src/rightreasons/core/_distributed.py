"""Batch means that are exact under DistributedDataParallel."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor

_across_ranks: ContextVar[bool] = ContextVar("_across_ranks", default=False)


class _AllReduceSum(torch.autograd.Function):
    """Sum over ranks whose backward sums the cotangents over ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Tensor:
        total = cotangents[0].contiguous().clone()
        dist.all_reduce(total)
        return total


@contextmanager
def means_across_ranks() -> Iterator[None]:
    """Inside, `batch_mean` spans every process of the default group.

    Only training enters it, on all ranks at once: a prior evaluated on one rank alone must not wait for the others.
    """
    active = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    token = _across_ranks.set(active)
    try:
        yield
    finally:
        _across_ranks.reset(token)


def batch_mean(x: Float[Tensor, "B *F"]) -> Float[Tensor, "*F"]:
    """Mean over rows, over the rows of all processes while a distributed objective is evaluated.

    Under DistributedDataParallel, which averages gradients over ranks, a penalty of this mean has exactly
    the gradient of the single-process penalty on the union batch, also when ranks hold different numbers of rows.
    """
    # Divided first, so that no sum of finite numbers overflows.
    if not _across_ranks.get():
        return (x / x.shape[0]).sum(0)
    rows = torch.tensor(float(x.shape[0]), dtype=x.dtype, device=x.device)
    dist.all_reduce(rows)
    return _AllReduceSum.apply((x / rows).sum(0))


def mean_over_ranks(value: float, device: torch.device) -> float:
    """A number's mean over all processes, so that every rank goes on with the same one."""
    if not _across_ranks.get():
        return value
    shared = torch.tensor(value, device=device)
    dist.all_reduce(shared)
    return float(shared) / dist.get_world_size()


def rows_of_all_ranks(rows: int) -> tuple[int, slice]:
    """Rows of the whole batch, and which of them are this process's `rows`: rank r has rows r, r + N, r + 2 N, ...

    What is drawn for the whole batch from the same generator on every rank, and then sliced, is what one process
    would have drawn. With one process: all rows.
    """
    if not _across_ranks.get():
        return rows, slice(None)
    return sum(_rows_of_each_rank(rows)), slice(dist.get_rank(), None, dist.get_world_size())


def share_of_rows(rows: int) -> float:
    """What a mean over this process's rows is multiplied by, so that DDP's mean over ranks is that over all rows."""
    if not _across_ranks.get():
        return 1.0
    return rows * dist.get_world_size() / sum(_rows_of_each_rank(rows))


def of_all_ranks(x: Shaped[Tensor, "B *F"]) -> Shaped[Tensor, "N *F"]:
    """The rows of all processes, rank by rank.

    The gradient of the own rows is multiplied by the number of processes, so that DDP's mean over ranks of a loss of
    these rows, computed alike by every rank, is that of one process. The values of other ranks carry no graph here.
    """
    if not _across_ranks.get():
        return x
    return _Gather.apply(x, _rows_of_each_rank(x.shape[0]))


def agreed(fine: bool) -> bool:
    """Whether every process says so."""
    if not (dist.is_available() and dist.is_initialized()):
        return fine
    bad = torch.tensor(float(not fine), device=_device())
    dist.all_reduce(bad)
    return float(bad) == 0


class _Gather(torch.autograd.Function):
    """Rows of all ranks; every rank must compute the same of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: list[int]) -> Tensor:
        rank = dist.get_rank()
        ctx.mine = slice(sum(rows[:rank]), sum(rows[: rank + 1]))
        padded = x.new_zeros(max(rows), *x.shape[1:])
        padded[: rows[rank]] = x.detach()
        parts = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        return cotangents[0][ctx.mine] * dist.get_world_size(), None


def _device() -> str:
    """Where the processes can exchange numbers."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def _rows_of_each_rank(rows: int) -> list[int]:
    device = _device()
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([rows], device=device))
    return [int(count) for count in counts]
