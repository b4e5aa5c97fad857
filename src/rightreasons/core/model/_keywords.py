"""Model keywords: which tensors belong to rows, and which are shared by all rows.

A tensor whose first dimension is the number of rows B may be either: an attention mask, or weights of as many features
as there happen to be rows. What the caller does not declare is decided by what the model itself makes of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from rightreasons.core._called import called
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core.model._guard import Model

Take: TypeAlias = Callable[[Tensor], Tensor]

_MOST_DOUBTFUL = 4
"""Keywords that are tried in every combination; of more, all follow the rows unless declared."""
_NEAR = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Difference, against the largest output, that kernels for other numbers of rows may make."""


@final
@checked
@dataclass(frozen=True, eq=False)
class Shared:
    """A model keyword that all rows share, although its first dimension may be as long as the batch.

    Args:
        value: what the model gets.

    Example:
        >>> import rightreasons as rr
        >>> weights = torch.tensor([1.0, 2.0])
        >>> model = lambda x, w: (x * w).sum(1)
        >>> rr.Gradient()(model, torch.ones(2, 2), model_kwargs={"w": rr.Shared(weights)})
        tensor([[1., 2.],
                [1., 2.]])
    """

    value: Any


@final
@checked
@dataclass(frozen=True, eq=False)
class PerRow:
    """A model keyword with an entry for each row, such as an attention mask.

    Args:
        value: a tensor whose first dimension is B.

    Example:
        >>> import rightreasons as rr
        >>> model = lambda x, scale: x.sum(1) * scale
        >>> rr.Gradient()(
        ...     model, torch.ones(2, 2), model_kwargs={"scale": rr.PerRow(torch.tensor([1.0, 3.0]))}
        ... )
        tensor([[1., 1.],
                [3., 3.]])
    """

    value: Tensor


@dataclass(frozen=True, eq=False)
class Keywords:
    """Keywords as the model gets them.

    Attributes:
        values: by name.
        per_row: names of those that follow the rows.
        evaluations: model rows that ran to find out.
    """

    values: Mapping[str, Any]
    per_row: frozenset[str] = frozenset()
    evaluations: int = 0

    def of(self, take: Take) -> dict[str, Any]:
        """The keywords of other rows, which `take` selects and repeats."""
        return {name: take(v) if name in self.per_row else v for name, v in self.values.items()}

    def declared(self, take: Take) -> dict[str, Any]:
        """The same, each tensor with what is known of it."""
        return {
            name: PerRow(take(v)) if name in self.per_row else Shared(v) for name, v in self.values.items()
        }


def plain(model_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keywords without declarations, as a model takes them."""
    return {
        name: v.value if isinstance(v, Shared | PerRow) else v for name, v in (model_kwargs or {}).items()
    }


def declared_per_row(model_kwargs: Mapping[str, Any] | None, batch: int) -> frozenset[str]:
    """Names of the keywords that the caller declared so.

    Raises:
        ShapeError: one has not an entry for each row.
    """
    declared = {name: v.value for name, v in (model_kwargs or {}).items() if isinstance(v, PerRow)}
    for name, value in declared.items():
        if not _has_rows(value, batch):
            raise ShapeError(
                f"model_kwargs[{name!r}] is declared PerRow but has shape {tuple(getattr(value, 'shape', ()))} "
                f"for {batch} rows. Give it an entry for each row, or declare it rr.Shared(...)."
            )
    return frozenset(declared)


def keywords(model: Model, inputs: tuple[Tensor, ...], model_kwargs: Mapping[str, Any] | None) -> Keywords:
    """Which keywords follow the rows: those declared so, and those of first dimension B that the model reads so.

    Undeclared tensors of first dimension B are tried on one and on two rows: read as the model reads them, a row's
    output does not depend on how many rows there are. Cost: nothing without such tensors; else a few
    forward passes of one or two rows, and of the batch where those leave a doubt.

    Args:
        model: already guarded.
        inputs: rows first.
        model_kwargs: as the caller gave them.

    Raises:
        InputError: both readings are possible and differ.
        ShapeError: what was declared `PerRow` has not an entry for each row.
    """
    if not model_kwargs:
        return Keywords({})
    batch, values = inputs[0].shape[0], plain(model_kwargs)
    declared = declared_per_row(model_kwargs, batch)
    doubtful = [
        name for name, v in model_kwargs.items() if not isinstance(v, PerRow | Shared) and _has_rows(v, batch)
    ]
    if not doubtful:
        return Keywords(values, declared)
    trial = _Trial(model, inputs, values, declared)
    with torch.no_grad(), torch.random.fork_rng(_devices(inputs)):
        found = trial.decide(doubtful)
    return Keywords(values, declared | found, trial.evaluations)


def _has_rows(value: Any, batch: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == batch


def _devices(inputs: Sequence[Tensor]) -> list[torch.device]:
    return [inputs[0].device] if inputs[0].is_cuda else []


class _Trial:
    """Runs the model on a few rows with some of its keywords read as per row."""

    def __init__(
        self, model: Model, inputs: tuple[Tensor, ...], values: Mapping[str, Any], declared: frozenset[str]
    ) -> None:
        self.model, self.inputs, self.values, self.declared = model, inputs, values, declared
        self.batch = inputs[0].shape[0]
        self.evaluations = 0

    def decide(self, doubtful: Sequence[str]) -> frozenset[str]:
        """Which of these follow the rows."""
        everything = frozenset(doubtful)
        if self._fits(everything):
            if self.batch == 1:
                return everything  # repeated with the row, a keyword is what it is
            others = [everything - {name} for name in doubtful]
            others = [reading for reading in others if self._fits(reading)]
            return self._by_batch([everything, *others], everything) if others else everything
        if len(doubtful) > _MOST_DOUBTFUL:
            return everything
        smaller = range(len(doubtful) - 1, -1, -1)
        readings = [frozenset(each) for size in smaller for each in combinations(doubtful, size)]
        others = [reading for reading in readings if self._fits(reading)]
        if others:
            return others[0] if len(others) == 1 else self._by_batch(others, everything)
        return self._by_order([everything, *readings], everything)

    def _by_order(self, readings: list[frozenset[str]], otherwise: frozenset[str]) -> frozenset[str]:
        """For a model that refuses few rows: the reading that follows the batch when it is turned around."""
        rows = list(range(self.batch))
        whole = self._outputs(rows, otherwise)
        if whole is None:
            return otherwise
        return next(
            (reading for reading in readings if _equal(self._turned(rows, reading), whole)), otherwise
        )

    def _fits(self, reading: frozenset[str]) -> bool:
        """Whether the first row has the same output alone as beside the last one."""
        alone = self._outputs([0], reading)
        return alone is not None and _equal(self._outputs([0, self.batch - 1], reading), alone, rows=1)

    def _by_batch(self, readings: list[frozenset[str]], otherwise: frozenset[str]) -> frozenset[str]:
        """The reading whose rows have the outputs of the batch as it was given, in whatever order they stand."""
        rows = list(range(self.batch))
        whole = self._outputs(rows, otherwise)
        if whole is None:
            return otherwise
        turned = [reading for reading in readings if _equal(self._turned(rows, reading), whole)]
        alone = [reading for reading in turned if _equal(self._outputs([0], reading), whole[:1])]
        if alone:  # several that agree in all of this are the same function here: a keyword that is not used
            return alone[0]
        names = ", ".join(sorted(frozenset().union(*readings) - frozenset.intersection(*readings)))
        raise InputError(
            f"model_kwargs {names} may follow the {self.batch} rows or be shared by all of them: the model runs either "
            "way, with different outputs. Say which: model_kwargs={name: rr.PerRow(value)} or rr.Shared(value)."
        )

    def _turned(self, rows: list[int], reading: frozenset[str]) -> Tensor | None:
        found = self._outputs(rows[::-1], reading)
        return None if found is None else found.flip(0)

    def _outputs(self, rows: Iterable[int], reading: frozenset[str]) -> Tensor | None:
        """The model's output for these rows; None if it fails or has not a row for each."""
        index = torch.tensor(list(rows))

        def take(part: Tensor) -> Tensor:
            return part.detach()[index.to(part.device)]

        taken = Keywords(self.values, reading | self.declared).of(take)
        self.evaluations += len(index)
        try:
            outputs = called(self.model, tuple(take(part) for part in self.inputs), _copied(taken))
        except Exception:  # whatever a model says to other rows than it is made for
            return None
        has_rows = outputs.dim() > 0 and outputs.shape[0] == len(index)
        return outputs if has_rows else None


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model may work in place on what it is given."""
    return {name: v.detach().clone() if isinstance(v, Tensor) else v for name, v in values.items()}


def _equal(found: Tensor | None, wanted: Tensor, rows: int | None = None) -> bool:
    """Whether the (first) rows of two outputs are the same but for rounding."""
    if found is None or found.shape[1:] != wanted.shape[1:]:
        return False
    a, b = found[:rows].double(), wanted[:rows].double()
    near = _NEAR.get(wanted.dtype, 5e-2) * float(b.abs().nan_to_num().amax())
    return torch.allclose(a, b, rtol=0, atol=near, equal_nan=True)
