"""Baselines and reference sets, and their assignment to rows."""

from collections.abc import Sized
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, check_inputs, matching_rows
from rightreasons.core.model._function import Block, ScoreFunction


@runtime_checkable
class Rows(Sized, Protocol):
    """A map-style data set: `len(rows)` and `rows[i]`, a tensor or a tuple that starts with one."""

    def __getitem__(self, index: int, /) -> Any:
        """Row `index`."""
        ...


def baselines(function: ScoreFunction, value: int | float | Inputs) -> tuple[Tensor, ...]:
    """A baseline as points, one for each row of the batch; with `at`, what reaches the layer from it.

    Raises:
        InputError, ShapeError: its shape or kind does not fit the inputs.
    """
    base = matching_rows(value, function.inputs, what="baseline")
    check_inputs(base, integers_allowed=True, what="baseline")
    rows = tuple(b.expand_as(x) for b, x in zip(base, function.inputs, strict=True))
    return function.activations(rows, Block(0, function.batch))


def other_rows(batch: int, samples: int, generator: torch.Generator | None) -> Tensor:
    """(B, n) rows of the same batch, never the row itself; without repeats while n < B."""
    if batch < 2:
        raise InputError(
            "references='batch' takes each row's references from the other rows: it needs at least 2 rows, got 1. "
            "Drop the last partial batch, or give references of their own."
        )
    order = torch.randperm(batch, generator=generator)
    rounds = -(-samples // (batch - 1))
    shifts = torch.cat([torch.randperm(batch - 1, generator=generator) for _ in range(rounds)])[:samples] + 1
    place = torch.empty_like(order)
    place[order] = torch.arange(batch)
    return order[(place[:, None] + shifts[None]) % batch]


def subset(references: Any, most: int) -> Inputs:
    """At most `most` references, as tensors."""
    if not isinstance(references, Tensor | tuple):
        if not isinstance(references, Rows):
            raise InputError(
                f"references must be a tensor, a tuple of tensors, a map-style data set or 'batch'; "
                f"got {type(references).__name__}."
            )
        chosen = _chosen(len(references), most)
        return _stacked([references[int(i)] for i in chosen])
    count = check_inputs(references, integers_allowed=True, what="references")
    if count <= most:
        return references
    chosen = _chosen(count, most)
    if isinstance(references, tuple):
        return tuple(r[chosen.to(r.device)] for r in references)
    return references[chosen.to(references.device)]


def _chosen(count: int, most: int) -> Tensor:
    if count == 0:
        raise InputError("references has no rows.")
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most].sort().values


def _stacked(rows: list[Any]) -> Tensor:
    firsts = [row[0] if isinstance(row, tuple | list) else row for row in rows]
    if not all(isinstance(first, Tensor) for first in firsts):
        raise InputError(
            "every row of a reference data set must be a tensor, or a tuple that starts with one."
        )
    stacked = torch.stack(firsts)
    check_inputs(stacked, integers_allowed=True, what="references")
    return stacked
