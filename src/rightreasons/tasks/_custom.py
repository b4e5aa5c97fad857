"""A loss function as a task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks._task import Task


@checked
@dataclass(frozen=True)
class Custom:
    """Any `function(outputs, y) -> scalar` as a task, so that `Objective(model, F.cross_entropy, ...)` works.

    Cost: that of the function. The only metric is the loss itself, lower is better.

    Args:
        function: the loss; must return one number.
        select: labels to explained target, for a loss whose labels are not what is to be explained;
            None takes integer labels as class indices and otherwise explains the only output.

    Raises:
        ShapeError: the loss is not one number, or floating labels (B,) meet outputs (B, 1).

    >>> from torch.nn import functional as F
    >>> task = Custom(F.cross_entropy)
    >>> task.explained(torch.tensor([2, 0])), task.explained(torch.tensor([2.0, 0.0]))
    (tensor([2, 0]), None)
    """

    function: Callable[[Tensor, Tensor], Tensor]
    select: Callable[[Tensor], Tensor | None] | None = None

    headline: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Shaped[Tensor, ""]:
        """What the function returns, after the checks named in the class."""
        if (
            y.is_floating_point()
            and {outputs.ndim, y.ndim} == {1, 2}
            and outputs.squeeze().shape == y.squeeze().shape
        ):
            raise ShapeError(
                f"Outputs {tuple(outputs.shape)} and labels {tuple(y.shape)} would broadcast to a (B, B) "
                "loss of unrelated pairs. Give both the same shape: outputs.squeeze(1), or y.unsqueeze(1)."
            )
        value = self._called(outputs, y)
        if not isinstance(value, Tensor):
            raise InputError(
                f"A loss must be a tensor of one number, got {type(value).__name__}. Only tensors have gradients: "
                "leave out .item() and float()."
            )
        if value.ndim != 0:
            raise ShapeError(
                f"A loss must be one number, got shape {tuple(value.shape)}. Only a scalar has a gradient. "
                "Use reduction='mean'."
            )
        return value

    def _called(self, outputs: Tensor, y: Tensor) -> Any:
        """The function's value; losses of PyTorch are written about what they were given, others say it themselves."""
        try:
            return self.function(outputs, y)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError) as error:
            if not str(getattr(self.function, "__module__", "")).startswith("torch"):
                raise
            name = getattr(self.function, "__name__", type(self.function).__name__)
            raise InputError(
                f"{name} does not take outputs of shape {tuple(outputs.shape)} ({outputs.dtype}) with labels of shape "
                f"{tuple(y.shape)} ({y.dtype}): {str(error).splitlines()[0]}. Class indices are integers of shape (B,) "
                "beside outputs (B, C); other losses take floating-point labels in the shape of the outputs."
            ) from error

    def explained(self, y: Shaped[Tensor, "..."]) -> Tensor | None:
        """`select(y)` if given; else integer labels are class indices, others mean the only output."""
        if self.select is not None:
            return self.select(y)
        integer = not (y.is_floating_point() or y.is_complex() or y.dtype == torch.bool)
        return y.long() if integer else None

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """The loss, as a number."""
        with torch.no_grad():
            return {"loss": float(self.loss(outputs, y))}


@checked
def task_from(task_or_loss: object) -> Task:
    """A task as it is, a loss function or loss module as `Custom`.

    Raises: InputError if it is neither.

    >>> task_from(torch.nn.MSELoss()).headline
    'loss'
    """
    if isinstance(task_or_loss, type):
        raise InputError(
            f"A task is a value, got the class {task_or_loss.__name__}. Call it: "
            f"{task_or_loss.__name__}(...)."
        )
    if isinstance(task_or_loss, Task):
        return task_or_loss
    if callable(task_or_loss):
        return Custom(cast(Callable[[Tensor, Tensor], Tensor], task_or_loss))
    raise InputError(
        f"Expected a task or a loss function of (outputs, y), got {task_or_loss!r}. Use tasks.Binary(), "
        "tasks.MultiClass(classes=10), tasks.Regression() or torch.nn.functional.cross_entropy."
    )
