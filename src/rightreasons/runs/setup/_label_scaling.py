"""Standardise regression labels in training; fold label mean and scale into the last linear layer."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rightreasons import tasks
from rightreasons.core._errors import InputError, RecipeError
from rightreasons.data import DataSet
from rightreasons.recipes import Recipe
from rightreasons.runs.setup._datasets import Parts

_CLOSE = 1e-4
"""Largest difference, in standard deviations of the label, that single precision explains."""


@dataclass(frozen=True)
class Units:
    """Mean and standard deviation (of the population) of the training labels; 0 and 1 leave labels alone."""

    centre: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, recipe: Recipe, task: tasks.Task, train: DataSet) -> "Units":
        """Those of these training rows, if the recipe asks for them.

        Raises: RecipeError for a task whose labels have no units, or together with pretrained weights.
        """
        if not recipe.training.standardise_labels:
            return cls()
        if not isinstance(task, tasks.Regression):
            raise RecipeError(
                f"training.standardise_labels is for regression; the task is {type(task).__name__}. Leave it out."
            )
        if recipe.pretrained.weights is not None:
            raise RecipeError(
                "training.standardise_labels is for networks that start anew: pretrained weights predict labels in the "
                "units that they were trained with. Leave one of the two out."
            )
        y = train.y.double()
        return cls(float(y.mean()), float(y.std(correction=0)) or 1.0)

    def standard(self, parts: Parts) -> Parts:
        """The same rows, with labels (y - centre) / scale."""
        if self == Units():
            return parts
        train, validation, test = (
            replace(rows, y=(rows.y.double() - self.centre) / self.scale)
            for rows in (parts.train, parts.validation, parts.test)
        )
        return replace(parts, train=train, validation=validation, test=test)

    @torch.no_grad()
    def restore(self, model: nn.Module, x: Tensor) -> None:
        """Turn a model f into centre + scale * f, in place: weights and bias of its last linear layer take it up.

        Args:
            model: a network with one output.
            x: a few rows on which it is verified.

        Raises: InputError if that layer is not what the outputs come from.
        """
        if self == Units():
            return
        model.eval()
        wanted = self.centre + self.scale * model(x).double()
        last = [
            layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == 1
        ]
        if last and last[-1].bias is not None:
            last[-1].weight.mul_(self.scale)
            last[-1].bias.mul_(self.scale).add_(self.centre)
            off = (model(x).double() - wanted).abs().max() / (self.scale + abs(self.centre))
            if off <= _CLOSE:
                return
        raise InputError(
            "training.standardise_labels needs a network that ends in a linear layer with a bias and one output, which "
            f"takes up the label's units afterwards; {type(model).__name__} does not. Leave it out."
        )
