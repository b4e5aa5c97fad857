"""Predicted labels, and whether a perturbation keeps them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from rightreasons.attribution._attribution import Attribution
from rightreasons.core._called import called
from rightreasons.core._errors import TargetError
from rightreasons.core._score import check_rows
from rightreasons.core.model._guard import Model
from rightreasons.core.model._keywords import Keywords
from rightreasons.core.model._rows import check_follow
from rightreasons.core.model._wrappers import around


class Rows:
    """Model keywords of some rows of a batch.

    Args:
        kwargs: what else the model is called with, and which of it follows the rows.
        batch: rows of the batch.
    """

    def __init__(self, kwargs: Keywords, batch: int) -> None:
        self.kwargs, self.batch = kwargs, batch

    def of(self, index: Tensor) -> dict[str, Any]:
        """The keywords for these rows, as the model takes them."""
        return self.kwargs.of(lambda value: value[index.to(value.device)])

    def for_method(self, method: Callable[..., Any], index: Tensor) -> dict[str, Any]:
        """The same as an attribution takes them: one of this package is told which of them follow the rows."""
        if not isinstance(method, Attribution):
            return self.of(index)
        return self.kwargs.declared(lambda value: value[index.to(value.device)])


class Counter:
    """Counts the rows that run through a model."""

    def __init__(self) -> None:
        self.rows = 0

    def watch(self, model: Model) -> Model:
        """`model`, counted."""
        return around(model, self._count)

    def _count(self, args: tuple[Any, ...]) -> nullcontext[None]:
        self.rows += len(args[0])
        return nullcontext()


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of a classifier with several outputs (class indices), or with one (0 or 1, of a logit).

    Args:
        y: (B,).
        classes: outputs of the model, 1 for a logit.
    """

    y: Shaped[Tensor, "B"]
    classes: int

    @staticmethod
    def checked(y: Tensor, outputs: Tensor, batch: int) -> "Labels":
        """The labels, after a check against the model's outputs (batch, ...).

        Raises:
            TargetError: labels or outputs are not those of a classifier, or do not fit each other.
        """
        if not isinstance(y, Tensor) or y.shape != (batch,):
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise TargetError(
                f"attacks need one label for each of {batch} rows, y of shape ({batch},); got {got}."
            )
        if outputs.dim() > 2:
            raise TargetError(
                f"attacks keep or change a class, so outputs are (B, classes), (B, 1) or (B,); got "
                f"{tuple(outputs.shape)}. Wrap the model so that it returns the scores of one decision."
            )
        classes = 1 if outputs.dim() == 1 else outputs.shape[1]
        highest = 1 if classes == 1 else classes - 1
        if bool((y != y.round()).any() if y.is_floating_point() else False) or bool(
            (y < 0).any() or (y > highest).any()
        ):
            raise TargetError(
                f"labels of a model with {classes} output{'s' * (classes > 1)} are whole numbers from 0 to {highest}; "
                f"got values from {float(y.min()):g} to {float(y.max()):g}. To attack a regression, pass the class "
                "decision that matters, e.g. a model of f(x) - threshold."
            )
        return Labels(y.to(outputs.device).long(), classes)

    @property
    def target(self) -> Tensor | None:
        """Which output is explained: the label's, or the only one."""
        return None if self.classes == 1 else self.y

    def of(self, index: Tensor) -> "Labels":
        """The labels of these rows."""
        return Labels(self.y[index], self.classes)

    def predicted(self, outputs: Tensor) -> Bool[Tensor, "N"]:
        """Whether each row is predicted to have its label; one whose outputs are NaN is not."""
        if self.classes == 1:
            logits = outputs.reshape(len(outputs))
            return ((logits > 0).long() == self.y) & ~logits.isnan()
        return (outputs.argmax(1) == self.y) & ~outputs.isnan().any(1)


def predict(model: Model, x: Tensor, rows: Rows, index: Tensor, chunk: int | None) -> Tensor:
    """The model's outputs at x, without a graph; `index` says which row of the batch each one is."""
    size = chunk or len(x)
    with torch.no_grad():
        parts = [
            called(model, (x[i : i + size].clone(),), rows.of(index[i : i + size]))
            for i in range(0, len(x), size)
        ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def first_outputs(model: Model, x: Tensor, rows: Rows, chunk: int | None) -> Tensor:
    """The model's outputs at the clean inputs, after a check that its rows are theirs."""
    everything = torch.arange(len(x), device=x.device)
    outputs = predict(model, x, rows, everything, chunk)
    check_rows(outputs, len(x))
    lengths = {*outputs.shape[1:], *x.shape[1:]}
    check_follow(
        outputs, lengths, lambda few: called(model, (x[few],), rows.of(everything[few])), most=chunk or len(x)
    )
    return outputs
