"""Multi-label classification."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from rightreasons.core._checked import checked
from rightreasons.core._errors import ShapeError
from rightreasons.tasks._checks import (
    require_count,
    require_floating,
    require_same_rows,
    require_weights,
    zero_or_one,
)
from rightreasons.tasks._scores import NAN, auc, finite


@checked
@dataclass(frozen=True)
class MultiLabel:
    """L labels 0 or 1 from L logits per row, P(y_l = 1) = sigmoid(z_l), independent given the row.

    loss = mean over rows and labels of -p_l y log sigmoid(z) - (1 - y) log sigmoid(-z).

    Cost: one pass over B x L numbers.

    Args:
        labels: number of labels L.
        positive_weights: p_l, the loss weight of a 1 of each label relative to a 0; None weighs them alike.

    Raises:
        InputError: labels other than 0 and 1, NaN labels, integer outputs, bad fields.
        ShapeError: outputs or labels that are not (B, L), different numbers of rows, an empty batch.

    >>> import torch
    >>> z, y = torch.tensor([[3.0, -3.0], [-3.0, 3.0]]), torch.tensor([[1, 0], [0, 1]])
    >>> MultiLabel(labels=2).metrics(z, y)["auc"]
    1.0
    """

    labels: int
    positive_weights: tuple[float, ...] | None = None

    headline: ClassVar[str] = "auc"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count(self.labels, "MultiLabel(labels=...)", 2)
        require_weights(self.positive_weights, self.labels, "label")

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Mean binary cross-entropy in nats; the class says formula, shapes and what is refused."""
        y = self._targets(outputs, y)
        weights = None if self.positive_weights is None else outputs.new_tensor(self.positive_weights)
        return F.binary_cross_entropy_with_logits(outputs, y, pos_weight=weights)

    def unweighted(self, outputs: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """z_l - log p_l, whose sigmoid is P(y_l = 1) where labels are as frequent as in training."""
        if self.positive_weights is None:
            return outputs
        return outputs - outputs.new_tensor(self.positive_weights).log()

    def explained(self, y: Shaped[Tensor, "B L"]) -> Int64[Tensor, " B"]:
        """One label for each row: of those it carries, rows take them in turn; of all, if it carries none.

        A row may carry several labels and a map explains one output. Row b explains the (b mod k)-th of its k labels,
        so over a batch every label is explained for rows that carry it. Which one it is depends on the row's place.

        >>> import torch
        >>> MultiLabel(3).explained(torch.tensor([[1, 0, 1], [1, 0, 1], [0, 0, 0]])).tolist()
        [0, 2, 2]
        """
        carried = self._labels(y, torch.float32) == 1
        carried = carried | ~carried.any(1, keepdim=True)
        turn = torch.arange(len(carried), device=carried.device) % carried.sum(1)
        is_turn = (carried.cumsum(1) - 1 == turn[:, None]) & carried
        return is_turn.to(torch.int64).argmax(1)

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """`auc` averaged over labels with both a 0 and a 1, `accuracy` over all entries, `unweighted` `log_loss`.

        All are NaN when an output is not finite; `auc` is NaN when no label has both values.
        """
        outputs = outputs.detach()
        y = self._targets(outputs, y)
        if not finite(outputs):
            return {"auc": NAN, "accuracy": NAN, "log_loss": NAN}
        scores = [auc(z, each == 1) for z, each in zip(outputs.unbind(1), y.unbind(1), strict=True)]
        known = [score for score in scores if score == score]
        return {
            "auc": sum(known) / len(known) if known else NAN,
            "accuracy": float(((outputs > 0) == (y == 1)).double().mean()),
            "log_loss": float(
                F.binary_cross_entropy_with_logits(self.unweighted(outputs.double()), y.double())
            ),
        }

    def _targets(self, outputs: Tensor, y: Tensor) -> Tensor:
        require_floating(outputs)
        self._require_columns("outputs", outputs)
        labels = self._labels(y, outputs.dtype)
        require_same_rows(outputs, labels)
        return labels

    def _labels(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        self._require_columns("labels", y)
        return zero_or_one(y, dtype)

    def _require_columns(self, name: str, tensor: Tensor) -> None:
        if tensor.ndim != 2 or tensor.shape[1] != self.labels:
            raise ShapeError(
                f"MultiLabel(labels={self.labels}) needs {name} of shape (B, {self.labels}), got "
                f"{tuple(tensor.shape)}. Each column is one label. Use MultiClass for class indices."
            )
