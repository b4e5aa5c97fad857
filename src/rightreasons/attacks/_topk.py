"""Attack that moves attribution out of the top-k positions, or out of their neighbourhood."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, Goal
from rightreasons.attacks._mass import shares
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.metrics import dilate, diverse_topk, lens_recall, topk_mask


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TopK(AttributionAttack):
    """Move attribution away from the k most important positions [ghorbani2019], or from around them [kamath2024].

        climb    - sum_{p in N_w(S)} a_p(x'),   a = |map| / sum |map|,   S = top k of the clean map
        measure  |N_w(S) and T(x')| / k,        T(x') = top k of the map at x'

    With `window=0` this is the published top-k attack and top-k intersection; with a window it adapts to
    w-LENS-recall@k; with `diverse` both sets are spread out (w-LENS-recall@k-div) and it adapts to that. S is of the
    clean map on the true model throughout. Cost for each step and restart: a map with its second-order gradient, a
    map on the true model and a prediction.

    Args:
        k: how many positions count, or their share (float in (0, 1)).
        window: radius w in positions.
        diverse: picks block their window, which then must be at least 1.
        eps: and the other arguments of the ball, the search and the judging: see `PGD` and `MassCentre`.

    Raises:
        InputError: k beyond the positions of a map, a diverse set that does not reach k, a number out of range.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(4, 6)
        >>> result = TopK(k=2, eps=0.5, steps=5)(model, x, model(x).argmax(1), attribution=rr.Gradient())
        >>> bool((result.after <= result.before).all())
        True
    """

    k: int | float
    window: int = 0
    diverse: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.window, int) or self.window < 0:
            raise InputError(f"window is a radius in positions, at least 0; got {self.window!r}.")
        if self.diverse and self.window == 0:
            raise InputError(
                "diverse=True needs window >= 1: a window of 0 blocks nothing and leaves plain top-k."
            )

    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        region = dilate(self._picks(clean), self.window)
        diversity = self.window if self.diverse else 0

        def climb(maps: Tensor, rows: Tensor) -> Tensor:
            return -(shares(maps, self.reduce) * region[rows]).flatten(1).sum(1)

        def measure(maps: Tensor, rows: Tensor) -> Tensor:
            return lens_recall(
                clean[rows], maps, self.k, self.window, diversity=diversity, reduce=self.reduce
            )

        return Goal(climb, measure, reached=0.0)

    def _picks(self, clean: Tensor) -> Tensor:
        if not self.diverse:
            return topk_mask(clean, self.k, reduce=self.reduce)
        picks, achieved = diverse_topk(clean, self.k, self.window, reduce=self.reduce)
        wanted = self.k if isinstance(self.k, int) else max(1, round(self.k * picks[0].numel()))
        if bool((achieved < wanted).any()):
            raise InputError(
                f"windows of radius {self.window} leave room for {int(achieved.min())} diverse positions in some map, "
                f"fewer than k={self.k}: the measure is not defined there. Lower k or window."
            )
        return picks
