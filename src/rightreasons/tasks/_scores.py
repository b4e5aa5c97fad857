"""Scores (AUC, accuracy, R2, concordance, ...) on tensors, in float64."""

from itertools import groupby

from jaxtyping import Bool, Float
from torch import Tensor

from rightreasons.stats import recovery_auc

NAN = float("nan")


def auc(score: Float[Tensor, " B"], positive: Bool[Tensor, " B"]) -> float:
    """Area under the ROC curve: the Mann-Whitney probability P(s+ > s-) + P(s+ = s-) / 2.

    Computed from mid-ranks, so ties count one half. Cost: one sort. Returns NaN if a class is missing.

    >>> import torch
    >>> auc(torch.tensor([0.1, 0.4, 0.4, 0.9]), torch.tensor([False, False, True, True]))
    0.875
    """
    if bool(positive.all()) or not bool(positive.any()):
        return NAN
    return recovery_auc(score.cpu().double().numpy(), positive.cpu().numpy())


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


def concordance(risk: Float[Tensor, " B"], time: Float[Tensor, " B"], event: Bool[Tensor, " B"]) -> float:
    """Harrell's index: the share of comparable pairs in which the higher risk has the earlier event [harrell1982].

    A pair is comparable if the earlier time is an event; at equal times, if one is an event and the other is not (the
    event came first). Equal risks count one half. Cost: O(B log B). Returns NaN if no pair is comparable.

    >>> import torch
    >>> time, event = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, False, True, True])
    >>> concordance(torch.tensor([3.0, 9.0, 1.0, 1.0]), time, event)
    0.625
    """
    level = risk.unique(return_inverse=True)[1].tolist()
    times, seen = time.tolist(), event.tolist()
    # From the last time to the first, at equal times the unseen first: those already in the tree are the rows that
    # an event is compared with. Events of one time are not compared with each other, so they enter it together.
    order = sorted(range(len(level)), key=lambda i: (-times[i], seen[i]))
    tree = [0] * (max(level, default=0) + 2)
    twice_wins = pairs = counted = 0
    for _, rows in groupby(order, key=lambda i: (times[i], seen[i])):
        members = list(rows)
        if seen[members[0]]:
            twice_wins += sum(_up_to(tree, level[i] - 1) + _up_to(tree, level[i]) for i in members)
            pairs += counted * len(members)
        for i in members:
            _add(tree, level[i])
        counted += len(members)
    return twice_wins / (2 * pairs) if pairs else NAN


def _add(tree: list[int], level: int) -> None:
    """Count a risk level in a Fenwick tree."""
    place = level + 1
    while place < len(tree):
        tree[place] += 1
        place += place & -place


def _up_to(tree: list[int], level: int) -> int:
    """How many counted risk levels are at most this one."""
    place, total = level + 1, 0
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total
