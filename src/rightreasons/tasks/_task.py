"""The protocol of tasks."""

from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Shaped
from torch import Tensor


@runtime_checkable
class Task(Protocol):
    """What labels mean: a loss to train on, metrics to judge by, the output a label explains.

    `headline` names the metric that models are selected by, `higher_is_better` its direction.
    Any object with these members is a task; nothing needs to be inherited.

    >>> from rightreasons.tasks import Regression
    >>> isinstance(Regression(), Task)
    True
    """

    headline: ClassVar[str]
    higher_is_better: ClassVar[bool]

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Shaped[Tensor, ""]:
        """Scalar to minimise: the mean over rows, differentiable in `outputs`."""
        ...

    def explained(self, y: Shaped[Tensor, "..."]) -> Shaped[Tensor, " B"] | None:
        """Target of an attribution for these labels: an output per row, or None for the only output."""
        ...

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """Named figures of merit over all rows at once."""
        ...
