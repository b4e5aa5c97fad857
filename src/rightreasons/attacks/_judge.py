"""Maps that attacks use: those of the true model to judge, those of the smooth surrogate to follow."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from rightreasons.attacks._labels import Labels, Rows, predict
from rightreasons.attacks._losses import lead
from rightreasons.attribution import Attribution
from rightreasons.core._called import called
from rightreasons.core._checked import Count
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError
from rightreasons.core.model._grad import score_gradients
from rightreasons.core.model._guard import Model
from rightreasons.core.model._kernels import SecondOrderKernels


@dataclass(eq=False)
class Judge:
    """One call's models and methods.

    Args:
        predictor, explained: the true model, counted for predictions and for maps.
        climbed: its surrogate, counted.
        attribution: the method under attack.
        direction: the method whose maps are climbed.
        seed: of the draws of random methods: the same for every judged map, fresh for every direction.
        chunk: most model rows in a forward pass where no graph is kept.
        rows: the model's keywords.
    """

    predictor: Model
    explained: Model
    climbed: Model
    attribution: Callable[..., Any]
    direction: Callable[..., Any]
    seed: int
    chunk: Count | None
    rows: Rows
    _fresh: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._fresh = torch.Generator().manual_seed(self.seed)

    def _of_rows(self, method: Callable[..., Any], x: Tensor, index: Tensor) -> Callable[..., Any]:
        """The method with the baselines of these rows, where each row of the batch has its own."""
        baseline = getattr(method, "baseline", None)
        if not isinstance(baseline, Tensor) or baseline.dim() != x.dim() or len(baseline) != self.rows.batch:
            return method
        return replace(cast(Any, method), baseline=baseline[index.to(baseline.device)])

    def keeps_label(self, x: Tensor, labels: Labels, index: Tensor) -> Tensor:
        """Rows of x that the true model predicts as their label."""
        return labels.of(index).predicted(predict(self.predictor, x, self.rows, index, self.chunk))

    def way_back(self, x: Tensor, labels: Labels, index: Tensor) -> Tensor:
        """The gradient of the label's margin on the true model."""
        leaf = x.detach().requires_grad_()
        outputs = called(self.predictor, (leaf.clone(),), self.rows.of(index))
        (gradient,) = score_gradients(-lead(outputs, labels.of(index)), [leaf])
        return gradient

    def maps(self, x: Tensor, labels: Labels, index: Tensor) -> Tensor:
        """Maps on the true model, detached; the draws of a random method are the same at every call."""
        if len(x) == 0:
            return x
        maps = self._of_rows(self.attribution, x, index)(
            self.explained,
            x,
            labels.of(index).target,
            generator=torch.Generator().manual_seed(self.seed),
            chunk=self.chunk,
            model_kwargs=self.rows.for_method(self.attribution, index),
        )
        return _one_tensor(maps, self.attribution, len(x)).detach()

    def climbable(self, x: Tensor, labels: Labels, index: Tensor) -> Tensor:
        """Maps on the surrogate, with a graph to x."""
        ours = isinstance(self.direction, Attribution)  # which sees to it that there is a second derivative
        with nullcontext() if ours else SecondOrderKernels():
            maps = self._of_rows(self.direction, x, index)(
                self.climbed,
                x,
                labels.of(index).target,
                generator=self._fresh,
                create_graph=True,
                model_kwargs=self.rows.for_method(self.direction, index),
            )
        maps = _one_tensor(maps, self.direction, len(x))
        if not maps.requires_grad:
            raise DifferentiabilityError(
                f"the maps of {self.direction!r} carry no graph under create_graph=True, so there is nothing to climb. "
                "Climb those of another method, direction=rr.Gradient(), and be judged by this one."
            )
        return maps


def _one_tensor(maps: Any, method: Callable[..., Any], rows: int) -> Tensor:
    if not isinstance(maps, Tensor):
        raise InputError(
            f"{method!r} returned {type(maps).__name__}; attacks take one tensor of maps for one input."
        )
    if maps.dim() < 2 or len(maps) != rows:
        raise ShapeError(
            f"{method!r} returned maps {tuple(maps.shape)} for {rows} rows: one map for each is needed."
        )
    return maps
