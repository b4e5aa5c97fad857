"""Sample weights for any task or prior that is a mean over rows."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from rightreasons.priors import Prior
from rightreasons.tasks import Task


def weighted_mean(mean_of: Callable[[Int64[Tensor, " n"]], Tensor], weights_B: Float[Tensor, " B"]) -> Tensor:
    """sum_b w_b value_b / B, from a function that gives the mean value of some rows.

    Rows of one weight are asked for together, so that two class weights cost two calls; different weights, B.
    """
    parts = []
    for weight in weights_B.unique():
        rows = (weights_B == weight).nonzero().flatten()
        parts.append(weight * len(rows) * mean_of(rows))
    return torch.stack(parts).sum() / len(weights_B)


class WeightedTask:
    """A task of one label a row, whose labels (B, 2) carry the row's weight in a second column.

    Args:
        task: whose loss is a mean over rows.
        label: dtype of its labels.
    """

    def __init__(self, task: Task, label: torch.dtype) -> None:
        self.task, self.label = task, label

    @property
    def headline(self) -> str:
        """The task's."""
        return self.task.headline

    @property
    def higher_is_better(self) -> bool:
        """The task's."""
        return self.task.higher_is_better

    def __repr__(self) -> str:
        return f"WeightedTask({self.task!r})"

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """sum_b w_b loss_b / B."""
        labels = self._labels(y)
        return weighted_mean(lambda rows: self.task.loss(outputs[rows], labels[rows]), y[:, 1])

    def explained(self, y: Tensor) -> Tensor | None:
        """What the task explains."""
        return self.task.explained(self._labels(y))

    def metrics(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """The task's metrics, of rows that count alike."""
        return self.task.metrics(outputs, self._labels(y))

    def _labels(self, y: Tensor) -> Tensor:
        return y[:, 0].to(self.label)


class WeightedPrior(nn.Module):
    """A prior that is a mean over rows, with the weights of the rows as guidance: sum_b w_b prior_b / B."""

    coupled = False

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, maps: Tensor, guidance: Any = None) -> Tensor:
        """The weighted penalty of maps (B, *F); `guidance` are the weights, (B,)."""
        return weighted_mean(lambda rows: self.prior(maps[rows]), guidance)
