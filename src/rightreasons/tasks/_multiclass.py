"""Multi-class classification."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from rightreasons.core._checked import checked
from rightreasons.core._errors import ShapeError
from rightreasons.tasks._checks import (
    class_indices,
    require_count,
    require_floating,
    require_same_rows,
    require_weights,
)
from rightreasons.tasks._scores import NAN, finite


@checked
@dataclass(frozen=True)
class MultiClass:
    """Integer labels 0..C-1 from C logits per row, P(y = c) = softmax(z)_c.

    loss = sum_i w_{y_i} [logsumexp(z_i) - z_{i, y_i}] / sum_i w_{y_i}. Cost: one pass over B x C numbers.

    Args:
        classes: number of classes C.
        weights: loss weight of each class; None weighs rows alike.

    Raises:
        InputError: labels that are not integers in 0..C-1, integer outputs, bad fields.
        ShapeError: outputs that are not (B, C), labels that are not (B,), an empty batch.

    >>> import torch
    >>> task = MultiClass(classes=2)
    >>> task.metrics(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))["accuracy"]
    0.5
    """

    classes: int
    weights: tuple[float, ...] | None = None

    headline: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count(self.classes, "MultiClass(classes=...)", 2)
        require_weights(self.weights, self.classes, "class")

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats; see the class for the formula, the shapes and what is refused."""
        y = self._indices(outputs, y)
        weights = None if self.weights is None else outputs.new_tensor(self.weights)
        return F.cross_entropy(outputs, y, weight=weights)

    def unweighted(self, outputs: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """z_c - log w_c, whose softmax are the probabilities where classes are as frequent as in training.

        The loss is least where softmax(z)_c is proportional to w_c times the true probability of c.
        """
        return outputs if self.weights is None else outputs - outputs.new_tensor(self.weights).log()

    def explained(self, y: Shaped[Tensor, " B"]) -> Int64[Tensor, " B"]:
        """The label itself: the logit of the true class is explained."""
        return class_indices(y, self.classes)

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """`accuracy` of the largest logit (the first of equals), `log_loss` of the `unweighted` outputs in nats.

        Both are NaN when an output is not finite.
        """
        outputs = outputs.detach()
        y = self._indices(outputs, y)
        if not finite(outputs):
            return {"accuracy": NAN, "log_loss": NAN}
        return {
            "accuracy": float((outputs.argmax(1) == y).double().mean()),
            "log_loss": float(F.cross_entropy(self.unweighted(outputs.double()), y)),
        }

    def _indices(self, outputs: Tensor, y: Tensor) -> Tensor:
        require_floating(outputs)
        if outputs.ndim != 2 or outputs.shape[1] != self.classes:
            raise ShapeError(
                f"MultiClass(classes={self.classes}) needs outputs of shape (B, {self.classes}), got "
                f"{tuple(outputs.shape)}. One logit per class is compared. Give the model {self.classes} "
                "outputs."
            )
        y = class_indices(y, self.classes)
        require_same_rows(outputs, y)
        return y
