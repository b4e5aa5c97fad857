"""Regression."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.tasks._checks import one_column, require_finite, require_floating, require_same_rows
from rightreasons.tasks._scores import NAN, finite, r2


@checked
@dataclass(frozen=True)
class Regression:
    """A number y from one output f per row; loss = mean (f - y)^2, in squared units of the label.

    Cost: one pass over B numbers. Outputs and labels may each be (B,) or (B, 1); both are viewed as (B,), so
    they never broadcast against each other.

    Raises:
        InputError: labels that are NaN, infinite, boolean or complex, integer outputs.
        ShapeError: more than one output per row, different numbers of rows, an empty batch.

    >>> import torch
    >>> task = Regression()
    >>> float(task.loss(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])))
    2.0
    """

    headline: ClassVar[str] = "r2"
    higher_is_better: ClassVar[bool] = True

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Mean squared error; see the class for the shapes and what is refused."""
        f, y = self._columns(outputs, y)
        return (f - y).square().mean()

    def explained(self, y: Shaped[Tensor, "..."]) -> None:
        """None: the model has one output, whatever the label."""
        return None

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """`r2` = 1 - mse / variance of the labels (NaN if constant) and `mse`; NaN on non-finite outputs."""
        f, y = self._columns(outputs.detach().double(), y)
        if not finite(f):
            return {"r2": NAN, "mse": NAN}
        return {"r2": r2(f, y), "mse": float((f - y).square().mean())}

    @staticmethod
    def _columns(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(outputs)
        if y.is_complex() or y.dtype == torch.bool:
            raise InputError(
                f"Regression labels must be numbers, got {y.dtype}. Use Binary() for yes/no labels."
            )
        f, y = one_column(outputs, "Outputs of a regression"), one_column(y, "Labels of a regression")
        require_same_rows(f, y)
        require_finite(y)
        return f, y.to(f.dtype)
