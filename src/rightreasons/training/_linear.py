"""Linear peers: lasso, ridge and elastic net for every task.

Legend: n rows, p features, K outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DivergedError, InputError
from rightreasons.core.model._grad import loss_gradients
from rightreasons.models import MLP
from rightreasons.tasks import Task
from rightreasons.training._forest import Labelled

_MOST_STEPS = 20_000
_TOLERANCE = 1e-7


@final
@checked
@dataclass(frozen=True)
class ElasticNet:
    """Lasso, ridge and what is between, for any task that is convex in the outputs [tibshirani1996], [zou2005].

        minimise over W, b:  task loss of (W x + b) + strength [ l1_ratio |W|_1 + (1 - l1_ratio) / 2 ||W||^2 ]

    By the task it is the linear, logistic, softmax or Cox model of that name. The bias is free. Minimised in float64 by
    accelerated proximal gradient steps with backtracking and restarts [beck2009], until no coefficient breaks its
    optimality condition by more than 1e-7 of the largest gradient at zero. Scale the features first: one penalty
    is for all.

    Losses are means over rows, so `strength` is 1 / (n C) of scikit-learn's logistic models, and 2 alpha of its linear
    ones, whose loss is half the mean square.

    Cost: some hundred passes over the n x p numbers.

    Args:
        strength: of the penalty.
        l1_ratio: 1 is the lasso, 0 ridge.

    Raises:
        InputError: a strength that is negative or not finite, l1_ratio outside 0 to 1.

    Example:
        >>> import torch
        >>> from rightreasons import tasks
        >>> x = torch.tensor([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
        >>> rows = (x, 3 * x[:, 0] + 0.1 * x[:, 1])
        >>> model, steps = ElasticNet(strength=1.0).fit(tasks.Regression(), rows, rows)
        >>> model.layers[-1].weight.data
        tensor([[2.5000, 0.0000]])
    """

    strength: float = 1.0
    l1_ratio: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise InputError(f"ElasticNet: strength is finite and not negative; got {self.strength}.")
        if not 0 <= self.l1_ratio <= 1:
            raise InputError(
                f"ElasticNet: l1_ratio is a share, 1 for the lasso and 0 for ridge; got {self.l1_ratio}."
            )

    def fit(
        self, task: Task, train: Labelled, validation: Labelled, *, outputs: int = 1, seed: int = 0
    ) -> tuple[MLP, int]:
        """A network of one linear layer at the optimum, and the steps to it; validation and seed play no part.

        Raises:
            InputError: rows that are no vectors.
            DivergedError: no optimum was reached, as when a weak penalty does not keep separable classes finite.
        """
        x, y = train
        if x.ndim != 2:
            raise InputError(f"a linear model takes rows of a table, (n, p); got {tuple(x.shape)}.")
        columns = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64)], 1)
        labels = y.double() if y.is_floating_point() else y

        def smooth(w: Tensor) -> Tensor:
            z = columns @ w
            loss = task.loss(z[:, 0] if outputs == 1 else z, labels)
            return loss + self.strength * (1 - self.l1_ratio) / 2 * w[:-1].square().sum()

        start = torch.zeros(x.shape[1] + 1, outputs, dtype=torch.float64)
        found, steps = _minimised(smooth, start, self.strength * self.l1_ratio)
        model = linear(x.shape[1], outputs)
        model.load_state_dict(
            dict(zip(model.state_dict(), (found[:-1].T.float(), found[-1].float()), strict=True))
        )
        return model, steps


def linear(features: int, outputs: int) -> MLP:
    """A network of one linear layer."""
    return MLP(features, (), outputs)


def _minimised(smooth: Callable[[Tensor], Tensor], start: Tensor, l1: float) -> tuple[Tensor, int]:
    """Minimise smooth(w) + l1 |w without its last row|_1."""
    w = ahead = start
    momentum, curvature = 1.0, 1.0
    scale = _gradient(smooth, start)[1].abs().max().clamp(min=torch.finfo(start.dtype).tiny)
    for step in range(_MOST_STEPS):
        value, slope = _gradient(smooth, ahead)
        while True:
            new = _shrunk(ahead - slope / curvature, l1 / curvature)
            moved = new - ahead
            bound = value + (slope * moved).sum() + curvature / 2 * moved.square().sum()
            if smooth(new) <= bound + 1e-12 * value.abs() or curvature > 1e12:
                break
            curvature *= 2
        if _violation(_gradient(smooth, new)[1], new, l1) <= _TOLERANCE * scale:
            return new, step + 1
        if ((ahead - new) * (new - w)).sum() > 0:  # the momentum points uphill: start it anew
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = new + (momentum - 1) / following * (new - w)
        w, momentum, curvature = new, following, curvature * 0.98
    raise DivergedError(
        f"the linear model did not reach its optimum in {_MOST_STEPS} steps, as where classes can be separated and the "
        "penalty hardly holds the coefficients. Use a larger weight."
    )


def _gradient(smooth: Callable[[Tensor], Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    w = w.detach().requires_grad_()
    with torch.enable_grad():
        value = smooth(w)
        (slope,) = loss_gradients(value, [w])
    return value.detach(), torch.zeros_like(w) if slope is None else slope


def _shrunk(w: Tensor, by: float) -> Tensor:
    """Soft threshold of all rows but the last, the bias."""
    return torch.cat([torch.nn.functional.softshrink(w[:-1], by), w[-1:]])


def _violation(slope: Tensor, w: Tensor, l1: float) -> Tensor:
    """How far the subgradient is from holding zero."""
    inner = slope[:-1]
    at_zero = (inner.abs() - l1).clamp(min=0)
    elsewhere = (inner + l1 * w[:-1].sign()).abs()
    return torch.cat([torch.where(w[:-1] == 0, at_zero, elsewhere), slope[-1:].abs()]).max()
