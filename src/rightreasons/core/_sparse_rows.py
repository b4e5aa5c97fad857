"""Sparse tables: CSR rows with one background value per column, dense where they are read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int, Int64, Shaped
from torch import Tensor
from torch.utils._pytree import tree_map_only

from rightreasons.core._errors import InputError

AT_ONCE = 2**20
"""Numbers of a table that are in double precision, or dense, at the same time."""
_ROWS_AT_ONCE = 1024
_aten = torch.ops.aten


class SparseRows(Tensor):
    """A table whose every row is `background`, except where entries are stored (compressed by rows, CSR).

    To all others it is a tensor on the CPU that cannot be written to. Rows or columns that are indexed (`x[rows]`,
    `x[a:b]`, `x[:, i]`) are dense tensors; `x.rows(index)` and another precision stay sparse. Whatever else torch does
    with it is done with the whole table made dense, if that fits into memory.

    Args:
        starts: where each row's entries begin, and the number of all entries.
        places: the column of each entry, none twice in a row.
        entries: what is stored.
        background: of each column, what is not stored.

    >>> x = SparseRows(torch.tensor([0, 1, 1]), torch.tensor([2]), torch.tensor([5.0]), torch.zeros(3))
    >>> x[:1], x.shape, (x / 2).sum(0)
    (tensor([[0., 0., 5.]]), torch.Size([2, 3]), tensor([0.0000, 0.0000, 2.5000]))
    """

    starts: Int64[Tensor, " rows_and_1"]
    places: Int[Tensor, " entries"]
    entries: Shaped[Tensor, " entries"]
    background: Shaped[Tensor, " columns"]

    @staticmethod
    def __new__(cls, starts: Tensor, places: Tensor, entries: Tensor, background: Tensor) -> "SparseRows":
        shape = (len(starts) - 1, len(background))
        made: Any = Tensor._make_wrapper_subclass(cls, shape, dtype=entries.dtype)
        made.starts, made.places, made.entries, made.background = starts, places, entries, background
        return made

    def __init__(self, *parts: Tensor) -> None:
        super().__init__()

    @classmethod
    def of(
        cls, rows: Tensor, places: Tensor, entries: Tensor, background: Tensor, count: int
    ) -> "SparseRows":
        """A table of `count` rows from entries in any order."""
        order = rows.argsort(stable=True)
        return cls(_starts(torch.bincount(rows, minlength=count)), places[order], entries[order], background)

    @property
    def row_numbers(self) -> Int[Tensor, " entries"]:
        """The row of each entry."""
        return torch.arange(len(self), dtype=torch.int32).repeat_interleave(self.starts.diff())

    def rows(self, index: Any) -> "SparseRows":
        """These rows, in this order, still sparse."""
        which = torch.arange(len(self))[index]
        found = [_spans(self.starts, part) for part in which.split(_ROWS_AT_ONCE)]
        places, values = (
            torch.cat([each[where] for where, _ in found]) for each in (self.places, self.entries)
        )
        return SparseRows(
            _starts(torch.cat([counts for _, counts in found])), places, values, self.background
        )

    def columns(self, which: Sequence[int]) -> "SparseRows":
        """These columns, none twice, in this order, still sparse."""
        if list(which) == [*range(self.shape[1])]:
            return self
        place = torch.full((self.shape[1],), -1, dtype=torch.int32)
        place[which] = torch.arange(len(which), dtype=torch.int32)
        places = place[self.places]
        kept = places >= 0
        return SparseRows.of(
            self.row_numbers[kept], places[kept], self.entries[kept], self.background[which], len(self)
        )

    def dense(self, index: Any) -> Tensor:
        """These rows as they are for everybody else."""
        which = torch.arange(len(self))[index]
        where, counts = _spans(self.starts, which)
        found = self.background.repeat(len(which), 1)
        found[torch.arange(len(which)).repeat_interleave(counts), self.places[where]] = self.entries[where]
        return found

    def require_room(self) -> None:
        """Raise InputError if the whole table, dense, does not fit into memory."""
        from rightreasons.core.model._memory import free_bytes  # which imports what imports this file

        size, free = self.numel() * self.element_size(), free_bytes(torch.device("cpu"))
        if free is not None and size > free:
            raise InputError(
                f"A sparse table {tuple(self.shape)} is needed dense and as a whole here, taking {size / 1e9:,.1f} "
                f"GB of memory; {free / 1e9:,.1f} GB are free. Take fewer rows or columns, or a method that takes rows "
                "in batches, as networks do."
            )

    def to_dense(self, *args: Any, **kwargs: Any) -> Tensor:
        """The whole table as an ordinary tensor.

        Raises: InputError if it does not fit into memory.
        """
        self.require_room()
        found = self.background.repeat(len(self), 1)
        for rows in torch.arange(len(self)).split(_ROWS_AT_ONCE):
            found[rows[0] : rows[-1] + 1] = self.dense(rows)
        return found

    def numpy(self, *, force: bool = False) -> Any:
        """The whole table as an array, see `to_dense`."""
        return self.to_dense().numpy(force=force)

    def tolist(self) -> Any:
        """The whole table as lists, see `to_dense`."""
        return self.to_dense().tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        share = len(self.entries) / max(1, self.numel())
        return f"SparseRows({len(self)} x {self.shape[1]}, {share:.1%} stored, {self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "SparseRows":
        return self  # cannot be written to

    def __reduce_ex__(self, protocol: Any) -> Any:
        return SparseRows, self.parts

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What it is made of."""
        return self.starts, self.places, self.entries, self.background

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        first = args[0] if args else None
        written = first if "out" not in named else named["out"]
        if isinstance(written, SparseRows) and func._schema.is_mutable:
            raise InputError(
                f"A sparse table {tuple(written.shape)} cannot be written to. Make it dense first: x.to_dense()."
            )
        found = first._known(func, args[1:], named) if isinstance(first, SparseRows) else None
        if found is not None:
            return found
        args, named = tree_map_only(SparseRows, lambda each: each.to_dense(), (args, named))
        return func(*args, **named)

    def _known(self, func: Any, rest: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What can be done without the dense table; None: all else."""
        if func in (_aten.detach.default, _aten.alias.default):
            return SparseRows(*self.parts)
        if func is _aten.index.Tensor:
            return self._indexed(*rest[0])
        if func is _aten.slice.Tensor and rest[0] == 0:
            return self.dense(slice(*rest[1:]))
        if func is _aten.select.int:
            place = int(torch.arange(self.shape[rest[0]])[rest[1]])
            return self.columns([place]).to_dense()[:, 0] if rest[0] in (1, -1) else self.dense([place])[0]
        if func is _aten._to_copy.default and str(named.get("device", "cpu")) == "cpu" and "dtype" in named:
            return self._each(lambda part: part.to(named["dtype"]))
        if func is _aten.abs.default or (func is _aten.div.Tensor and not isinstance(rest[0], Tensor)):
            return self._each(lambda part: func(part, *rest))
        if func is _aten.sub.Tensor and not named and isinstance(rest[0], Tensor):
            return self._without(rest[0])
        if func in (_aten.sum.dim_IntList, _aten.amax.default) and rest == ([0],) and not named:
            return self._over_rows(largest=func is _aten.amax.default)
        return None

    def _indexed(self, first: Tensor | None, *others: Tensor | None) -> Tensor | None:
        if first is not None and not others and (first.ndim == 1 or first.dtype != torch.bool):
            return (
                self.dense(first)
                if first.ndim == 1
                else self.dense(first.flatten()).reshape(*first.shape, -1)
            )
        if first is None and len(others) == 1 and others[0] is not None and others[0].ndim == 1:
            which = torch.arange(self.shape[1])[others[0]].tolist()
            return self.columns(which).to_dense() if len({*which}) == len(which) else None
        return None

    def _each(self, change: Any) -> "SparseRows":
        return SparseRows(self.starts, self.places, change(self.entries), change(self.background))

    def _over_rows(self, *, largest: bool) -> Tensor:
        """The sum, or the largest value, of each column."""
        absent = len(self) - torch.bincount(self.places, minlength=self.shape[1])
        if largest:
            start = torch.where(absent > 0, self.background, -torch.inf)
            return start.scatter_reduce(0, self.places.long(), self.entries, "amax")
        total = self.background.double() * absent
        return total.index_add(0, self.places, self.entries.double()).to(self.dtype)

    def _without(self, row: Tensor) -> "SparseRows | None":
        """A row subtracted from each."""
        if row.shape != self.background.shape or row.dtype != self.dtype:
            return None
        return SparseRows(self.starts, self.places, self.entries - row[self.places], self.background - row)


def columns_in_blocks(
    x: Tensor, positions: Sequence[int] | None = None
) -> Iterator[tuple[list[int], Shaped[Tensor, "N c"]]]:
    """Positions and values of some columns of a table at a time, dense; of all columns unless positions are given.

    Cost: of a sparse table a sort of its entries.

    >>> [(which, values.tolist()) for which, values in columns_in_blocks(torch.tensor([[1.0, 2.0]]))]
    [([0, 1], [[1.0, 2.0]])]
    """
    all_of_them = range(x.shape[1]) if positions is None else positions
    size = max(1, AT_ONCE // max(1, len(x)))
    blocks = [[*all_of_them[start : start + size]] for start in range(0, len(all_of_them), size)]
    if not isinstance(x, SparseRows):
        yield from ((block, x[:, block]) for block in blocks)
        return
    order = x.places.argsort(stable=True)
    rows, values = x.row_numbers[order], x.entries[order]
    starts = _starts(torch.bincount(x.places, minlength=x.shape[1]))
    del order
    for block in blocks:
        where, counts = _spans(starts, torch.tensor(block))
        found = x.background[block].repeat(len(x), 1)
        found[rows[where], torch.arange(len(block)).repeat_interleave(counts)] = values[where]
        yield block, found


def each_column(x: Tensor) -> Iterator[Shaped[Tensor, " N"]]:
    """The columns of a table, dense, one after the other."""
    for _, values in columns_in_blocks(x):
        yield from values.unbind(1)


def _starts(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _spans(starts: Int64[Tensor, " n"], which: Int64[Tensor, " m"]) -> tuple[Tensor, Tensor]:
    """Positions of the entries of these rows, one row after the other, and how many each has."""
    first, counts = starts[which], starts.diff()[which]
    before = counts.cumsum(0) - counts
    return (first - before).repeat_interleave(counts) + torch.arange(int(counts.sum())), counts
