"""Batches in an order that depends on (seed, epoch), and random states per step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias, final

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, like

Data: TypeAlias = tuple[Any, ...] | Dataset[Any] | Sequence[Any]


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows: inputs, labels, and guidance where there is any."""

    x: Inputs
    y: Tensor
    guidance: Tensor | None = None


class Rows:
    """Random access to rows of `(x, y)` or `(x, y, guidance)` tensors, or of a map-style data set of such tuples."""

    def __init__(self, data: Any, what: str = "data") -> None:
        self.data = data
        self.tensors = _tensors(data, what)
        self.count = int(self.tensors[1].shape[0]) if self.tensors else len(data)
        if self.count == 0:
            raise InputError(f"{what} has no rows.")

    def __len__(self) -> int:
        return self.count

    def _row(self, index: int) -> Any:
        row = self.data[index]
        if not isinstance(row, tuple | list) or len(row) not in (2, 3):
            raise InputError(
                f"each row of a data set must be (x, y) or (x, y, guidance); row {index} is {type(row).__name__}. "
                "Tensors of all rows are passed as a tuple, (x, y)."
            )
        return row

    def take(self, indices: Tensor) -> Batch:
        """The rows at `indices`, in that order."""
        if self.tensors is None:
            return Batch(*default_collate([self._row(int(i)) for i in indices]))
        x, y, *rest = self.tensors
        parts = [part[indices.to(part.device)] for part in as_tuple(x)]
        return Batch(like(parts, x), y[indices.to(y.device)], *(g[indices.to(g.device)] for g in rest))


def _tensors(data: Any, what: str) -> tuple[Any, ...] | None:
    if not isinstance(data, tuple):
        if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
            raise InputError(
                f"{what} must be (x, y), (x, y, guidance) or a map-style data set; got {type(data).__name__}."
            )
        return None
    if len(data) not in (2, 3):
        raise InputError(f"{what} must be (x, y) or (x, y, guidance); got a tuple of {len(data)}.")
    rows = check_inputs(data[0], integers_allowed=True, what=f"{what} x")
    for name, part in zip(("y", "guidance"), data[1:], strict=False):
        if not isinstance(part, Tensor) or part.dim() == 0 or part.shape[0] != rows:
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ShapeError(f"{what} {name} must be a tensor with {rows} rows, like x; got {got}.")
    return data


def derived_seed(*numbers: int | str) -> int:
    """A 63-bit seed that is a function of `numbers` alone."""
    digest = blake2b("/".join(map(str, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(*numbers: int | str) -> torch.Generator:
    """A CPU generator seeded by `numbers`."""
    return torch.Generator().manual_seed(derived_seed(*numbers))


def batches_of_epoch(
    count: int, size: int, seed: int, epoch: int, *, rank: int = 0, world: int = 1, drop_last: bool = False
) -> Iterator[Tensor]:
    """Indices of each batch of an epoch; with several processes, this rank's share of each batch."""
    order = torch.randperm(count, generator=generator_for(seed, epoch, "order"))
    for start in range(0, count, size):
        batch = order[start : start + size]
        if drop_last and len(batch) < size:
            return
        yield batch[rank::world] if world > 1 else batch
