"""Shrinking the weights themselves: the classical peer that priors on attributions are compared with."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from rightreasons.core._errors import InputError
from rightreasons.core._guard import Model
from rightreasons.core._inputs import Inputs
from rightreasons.training._penalty import Step
from rightreasons.training._schedule import Weight, check_weight


@final
@dataclass(frozen=True)
class WeightL1:
    """Mean magnitude of all entries of the model's weight matrices, the `l1paramall` baseline of [erion2021].

        mean_{l, i, j} |W^(l)_ij|   over trainable parameters with at least two dimensions; biases are left out

    Knows nothing of attributions: it is here as a control. Cost: one pass over the parameters.

    Args:
        weight: a number, or anything a `Penalty` takes as its weight.
        every: evaluated every so many steps only.
        label: name in results; None: the class name.

    Raises:
        InputError: a number is out of range; when called, a model without trainable weight matrices.

    Example:
        >>> import torch
        >>> from rightreasons import tasks, training
        >>> model = torch.nn.Linear(2, 1)
        >>> _ = torch.nn.init.constant_(model.weight, -3.0)
        >>> objective = training.Objective(model, tasks.Regression(), [training.WeightL1(weight=0.1)])
        >>> objective(torch.zeros(4, 2), torch.zeros(4, 1)).penalties["WeightL1"].item()
        3.0
    """

    weight: Weight = 1.0
    every: int = 1
    label: str | None = None

    def __post_init__(self) -> None:
        check_weight(self.weight)
        if self.every < 1:
            raise InputError(f"every counts steps, at least 1; got {self.every}.")

    @property
    def name(self) -> str:
        """Name in results."""
        return self.label or type(self).__name__

    def __call__(self, model: Model, inputs: Inputs, y: Tensor, *, step: Step) -> Tensor:
        """The mean magnitude, with a graph to the weights; inputs and labels are not used."""
        parameters = model.parameters() if isinstance(model, nn.Module) else ()
        matrices = [p for p in parameters if p.requires_grad and p.dim() > 1]
        if not matrices:
            raise InputError(
                f"WeightL1 shrinks weight matrices, and {type(model).__name__} has none that are trainable."
            )
        total = torch.stack([p.abs().sum() for p in matrices]).sum()
        return total / sum(p.numel() for p in matrices)
