"""Figures of merit on plain tensors, in float64."""

from jaxtyping import Bool, Float
from torch import Tensor

NAN = float("nan")


def auc(score: Float[Tensor, " B"], positive: Bool[Tensor, " B"]) -> float:
    """Area under the ROC curve: the Mann-Whitney probability P(s+ > s-) + P(s+ = s-) / 2.

    Computed from mid-ranks, so ties count one half. Cost: one sort. Returns NaN if a class is missing.

    >>> import torch
    >>> auc(torch.tensor([0.1, 0.4, 0.4, 0.9]), torch.tensor([False, False, True, True]))
    0.875
    """
    n_positive = int(positive.sum())
    n_negative = positive.numel() - n_positive
    if n_positive == 0 or n_negative == 0:
        return NAN
    _, level, ties = score.unique(return_inverse=True, return_counts=True)
    last_rank = ties.cumsum(0).double()
    mid_rank = last_rank - (ties.double() - 1) / 2
    wins = float(mid_rank[level][positive].sum()) - n_positive * (n_positive + 1) / 2
    return wins / (n_positive * n_negative)


def r2(prediction: Float[Tensor, " B"], truth: Float[Tensor, " B"]) -> float:
    """Share of variance explained: 1 - sum (y - f)^2 / sum (y - mean y)^2; NaN if the labels are constant.

    >>> import torch
    >>> r2(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    1.0
    """
    spread = float((truth - truth.mean()).square().sum())
    return 1 - float((truth - prediction).square().sum()) / spread if spread > 0 else NAN


def finite(outputs: Tensor) -> bool:
    """Whether a diverged model can be told apart: its metrics are all NaN, never a number."""
    return bool(outputs.isfinite().all())
