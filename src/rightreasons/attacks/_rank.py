"""Attack that lowers the rank correlation of a map."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, Goal
from rightreasons.attacks._mass import shares
from rightreasons.core._checked import checked
from rightreasons.metrics import spearman
from rightreasons.metrics.agreement._rank import centred_ranks


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RankCorrelation(AttributionAttack):
    """Lower the rank correlation with the clean map.

        climb    - corr(log(n a(x') + 1), rank of a(x)),   a = |map| / sum |map|, n positions, ties share their rank
        measure  Spearman's correlation of the map at x' with the clean map

    Ranks have gradient zero, so only the clean side is ranked and the moving side is a logarithm of itself, which
    keeps a few large values from deciding. The correlation is maximal in the ranks' order, wherever that is.

    Args:
        eps: and the other arguments: see `MassCentre`.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(4, 6)
        >>> attack = RankCorrelation(eps=0.5, steps=5)
        >>> attack(model, x, model(x).argmax(1), attribution=rr.Gradient()).before.round(decimals=4)
        tensor([1., 1., 1., 1.])
    """

    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        ranks = _standardised(centred_ranks(shares(clean, self.reduce).flatten(1)))

        def climb(maps: Tensor, rows: Tensor) -> Tensor:
            values = shares(maps, self.reduce).flatten(1)
            return -(_standardised((values * values.shape[1]).log1p()) * ranks[rows]).sum(1)

        def measure(maps: Tensor, rows: Tensor) -> Tensor:
            return spearman(clean[rows], maps, reduce=self.reduce)

        return Goal(climb, measure, reached=-1.0)


def _standardised(values: Float[Tensor, "N n"]) -> Float[Tensor, "N n"]:
    centred = values - values.mean(1, keepdim=True)
    length = centred.square().sum(1, keepdim=True)
    return centred / torch.where(length > 0, length, 1.0).sqrt()
