"""Binary classification from one logit."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from rightreasons.core._checked import checked
from rightreasons.tasks._checks import (
    one_column,
    require_floating,
    require_same_rows,
    require_weights,
    zero_or_one,
)
from rightreasons.tasks._scores import NAN, auc, finite


@checked
@dataclass(frozen=True)
class Binary:
    """Labels 0 or 1 from one logit z per row, P(y = 1) = sigmoid(z).

    loss = sum_i w_{y_i} [log(1 + exp z_i) - y_i z_i] / sum_i w_{y_i}.

    With weights, z > 0 decides as if every class counted by its weight, and `unweighted` gives probabilities.

    Cost: one pass over B numbers. Outputs and labels may each be (B,) or (B, 1); both are viewed as (B,), so
    they never broadcast against each other. Labels may be bool, integer or floating; all but 0 and 1 is refused.

    Args:
        weights: loss weight of label 0 and of label 1; None weighs rows alike.

    Raises:
        InputError: labels other than 0 and 1, NaN labels, integer outputs, bad weights.
        ShapeError: more than one output per row, different numbers of rows, an empty batch.

    >>> task = Binary()
    >>> z, y = torch.tensor([-1.0, 2.0, 0.5]), torch.tensor([0, 1, 1])
    >>> round(float(task.loss(z, y)), 4), task.metrics(z, y)["auc"], task.explained(y)
    (0.3048, 1.0, None)
    """

    weights: tuple[float, ...] | None = None

    headline: ClassVar[str] = "auc"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_weights(self.weights, 2, "label (0 and 1)")

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Mean binary cross-entropy in nats; the class says formula, shapes and what is refused."""
        z, y = self._columns(outputs, y)
        rows = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        if self.weights is None:
            return rows.mean()
        row_weights = torch.where(y == 1, self.weights[1], self.weights[0]).to(z.dtype)
        return (row_weights * rows).sum() / row_weights.sum()

    def unweighted(self, outputs: Float[Tensor, "B *one"]) -> Float[Tensor, "B *one"]:
        """z - log(w_1 / w_0), whose sigmoid is P(y = 1) where classes are as frequent as in training.

        The loss is least where the odds of z are w_1 / w_0 times the true odds, so weights inflate probabilities by
        exactly that.

        >>> task = Binary(weights=(1.0, 4.0))
        >>> task.unweighted(torch.tensor([4.0]).log()).sigmoid()
        tensor([0.5000])
        """
        if self.weights is None:
            return outputs
        return outputs - math.log(self.weights[1] / self.weights[0])

    def explained(self, y: Shaped[Tensor, "..."]) -> None:
        """None: the model has one output, whatever the label."""
        return None

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """`auc` (NaN if a class is missing), `accuracy` of z > 0, and `log_loss` of the `unweighted` z in nats.

        All are NaN when an output is not finite.
        """
        z, y = self._columns(outputs.detach(), y)
        if not finite(z):
            return {"auc": NAN, "accuracy": NAN, "log_loss": NAN}
        positive = y == 1
        return {
            "auc": auc(z, positive),
            "accuracy": float(((z > 0) == positive).double().mean()),
            "log_loss": float(F.binary_cross_entropy_with_logits(self.unweighted(z.double()), y.double())),
        }

    @staticmethod
    def _columns(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(outputs)
        z, y = one_column(outputs, "Outputs of a binary task"), one_column(y, "Labels of a binary task")
        require_same_rows(z, y)
        return z, zero_or_one(y, z.dtype)
