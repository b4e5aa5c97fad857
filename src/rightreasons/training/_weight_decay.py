"""Penalties on weights: L1, L2 and sparse group lasso, the classical controls.

Matrices are the trainable parameters with at least two dimensions, in the order in which the model registers them;
"first" is the first of them, which reads the inputs in a plain network.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs
from rightreasons.core._safe_sqrt import safe_root
from rightreasons.core.model._guard import Model
from rightreasons.training._penalty import Step
from rightreasons.training._schedule import Weight, check_weight

_LAYERS = Literal["all", "first"]


@dataclass(frozen=True)
class WeightTerm(ABC):
    """A term of the weights alone; attributions, inputs and labels play no part."""

    layers: Literal["all", "first"] = "all"
    weight: Weight = 1.0
    every: int = 1
    label: str | None = None

    def __post_init__(self) -> None:
        check_weight(self.weight)
        if self.every < 1:
            raise InputError(f"every counts steps, at least 1; got {self.every}.")
        if self.layers not in get_args(_LAYERS):
            raise InputError(f"{type(self).__name__}: layers is 'all' or 'first'; got {self.layers!r}.")

    @property
    def name(self) -> str:
        """Name in results."""
        return self.label or type(self).__name__

    @abstractmethod
    def of(self, matrices: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        """The value for these weight matrices, and vectors such as biases."""

    def __call__(self, model: Model, inputs: Inputs, y: Tensor, *, step: Step) -> Tensor:
        """The value, with a graph to the weights; inputs and labels are not used."""
        parameters = model.parameters() if isinstance(model, nn.Module) else ()
        trainable = [p for p in parameters if p.requires_grad]
        matrices = [p for p in trainable if p.dim() > 1]
        if not matrices:
            raise InputError(
                f"{type(self).__name__} shrinks weight matrices, and {type(model).__name__} has none that are "
                "trainable."
            )
        if self.layers == "first":
            return self.of(matrices[:1], ())
        return self.of(matrices, [p for p in trainable if p.dim() == 1])


@final
@checked
@dataclass(frozen=True)
class WeightL1(WeightTerm):
    """Mean magnitude of the entries of weight matrices: `l1paramall` and `l1paramfirst` of [erion2021].

        mean_{l, i, j} |W^(l)_ij|   over all matrices, or those of the first layer; biases are left out

    Cost: one pass over the parameters.

    Args:
        layers: "all", or "first".
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

    def of(self, matrices: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        """The mean magnitude of the matrices' entries; vectors are left out."""
        total = torch.stack([p.abs().sum() for p in matrices]).sum()
        return total / sum(p.numel() for p in matrices)


@final
@checked
@dataclass(frozen=True)
class WeightL2(WeightTerm):
    """Euclidean norm of all entries of weight matrices: `l2paramall` and `l2paramfirst` of [erion2021], or its square.

        ||W|| = root(sum_{l, i, j} (W^(l)_ij)^2)   as published, or ||W||^2, which is weight decay

    over all matrices, or those of the first layer; biases are left out. The gradient of the norm has length one
    wherever it is not zero, so that it pulls small weights as hard as large ones; at zero it is taken as zero. As part
    of the loss the square is scaled by an adaptive optimizer like any gradient; `weight_decay` of AdamW is not.

    Cost: one pass over the parameters.

    Args:
        layers: "all", or "first".
        weight: a number, or anything a `Penalty` takes as its weight.
        every: evaluated every so many steps only.
        label: name in results; None: the class name.
        squared: the square instead of the norm.

    Raises:
        InputError: a number is out of range; when called, a model without trainable weight matrices.

    Example:
        >>> import torch
        >>> from rightreasons import tasks, training
        >>> model = torch.nn.Linear(2, 1)
        >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> objective = training.Objective(model, tasks.Regression(), [training.WeightL2()])
        >>> objective(torch.zeros(4, 2), torch.zeros(4, 1)).penalties["WeightL2"].item()
        5.0
    """

    squared: bool = False

    def of(self, matrices: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        """The norm, or its square, of the matrices' entries; vectors are left out."""
        square = torch.stack([p.square().sum() for p in matrices]).sum()
        return square if self.squared else safe_root(square)


@final
@checked
@dataclass(frozen=True)
class SparseGroupLasso(WeightTerm):
    """Sparse group lasso, a group for each input of a layer: `sglall` and `sglfirst` of [erion2021], [simon2013].

        sgl(W) = sum_ij |W_ij| + root(n) sum_c ||W_:c||,   n the number of outgoing weights W_:c of the input unit c

    "first": sgl of the first matrix, whose groups are the features. "all": sum_l sgl(W^(l)) + sum_b 2 mean|b| over
    the matrices and the vectors b (biases), as in the published code. Of a convolution the groups are input channels,
    with all taps. The loss approaches zero groups but does not set them to zero exactly, as a proximal step would.

    Cost: one pass over the parameters.

    Args:
        layers: "all", or "first".
        weight: a number, or anything a `Penalty` takes as its weight.
        every: evaluated every so many steps only.
        label: name in results; None: the class name.

    Raises:
        InputError: a number is out of range; when called, a model without trainable weight matrices.

    Example:
        >>> import torch
        >>> from rightreasons import tasks, training
        >>> model = torch.nn.Linear(2, 1)
        >>> _ = model.weight.data.copy_(torch.tensor([[3.0, -4.0]]))
        >>> objective = training.Objective(model, tasks.Regression(), [training.SparseGroupLasso("first")])
        >>> objective(torch.zeros(4, 2), torch.zeros(4, 1)).penalties["SparseGroupLasso"].item()
        14.0
    """

    def of(self, matrices: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        """The sum over the matrices, plus twice the mean magnitude of each vector."""
        parts = [_sparse_groups(p.transpose(0, 1).flatten(1)) for p in matrices]
        return torch.stack([*parts, *(2 * p.abs().mean() for p in vectors)]).sum()


def _sparse_groups(groups: Tensor) -> Tensor:
    """Sum of magnitudes plus root of the group size times the sum of norms, groups in rows."""
    return groups.abs().sum() + groups.shape[1] ** 0.5 * safe_root(groups.square().sum(1)).sum()
