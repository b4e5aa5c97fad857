"""Means over the batch that stay exact when the batch is spread over processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
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
    if not _across_ranks.get():
        return x.mean(0)
    rows = torch.tensor(float(x.shape[0]), dtype=x.dtype, device=x.device)
    dist.all_reduce(rows)
    return _AllReduceSum.apply(x.sum(0)) / rows


def mean_over_ranks(value: float, device: torch.device) -> float:
    """A number's mean over all processes, so that every rank goes on with the same one."""
    if not _across_ranks.get():
        return value
    shared = torch.tensor(value, device=device)
    dist.all_reduce(shared)
    return float(shared) / dist.get_world_size()
