"""Gini sparsity prior: few features carry most of the attribution."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.priors._check import Level, checked_maps, magnitudes, unit_scaled


@checked
def gini_coefficient(values: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows"]:
    """Gini coefficient of the last dimension: 0 when all are equal, 1 - 1/p when one has everything [gini1912].

    G(v) = sum_ij |v_i - v_j| / (2 p sum_i v_i) = sum_i (b_i - a_i) v_i / (p sum_i v_i)

    with b_i the number of values below v_i and a_i the number above. Counting below and above, rather than taking
    positions in the sorted order, gives tied values the same gradient, as the pairwise form does. Scale-free.
    A row of zeros has coefficient 0 and gradient 0.

    Cost: one sort, O(p log p) time and O(p) memory for each row.

    Args:
        values: non-negative and finite, such as global importances mean_b |phi_b|, (*rows, p).

    Returns:
        Coefficients in [0, 1 - 1/p], (*rows).

    Raises:
        InputError: a negative, NaN or infinite value.

    Example:
        >>> import torch
        >>> gini_coefficient(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 0.0]]))
        tensor([0.0000, 0.7500])
    """
    if not (torch.isfinite(values) & (values >= 0)).all():
        raise InputError(
            "the Gini coefficient is one of non-negative, finite values; got values from "
            f"{float(values.min()):.3g} to {float(values.max()):.3g}. Attributions have signs: pass maps.abs()."
        )
    return _gini(values)


def _gini(values: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows"]:
    scaled = unit_scaled(values)
    fixed = scaled.detach().contiguous()
    ascending = fixed.sort(-1).values
    below = torch.searchsorted(ascending, fixed, side="left")
    not_above = torch.searchsorted(ascending, fixed, side="right")
    p = values.shape[-1]
    balance = (below + not_above - p).to(values.dtype)
    # The largest scaled value is 1, so the sum falls below 1 only in a row of zeros.
    return (balance * scaled).sum(-1) / (p * scaled.sum(-1).clamp(min=1))


@checked
@dataclass(frozen=True)
class Gini:
    """Minus the Gini coefficient of the attributions' magnitudes: few features matter [erion2021], [hurley2009].

    global: -G(phibar), phibar_i = mean_b |phi_bi| over the batch (and over all ranks).
    sample: -mean_b G(|phi_b|).

    The published *code* uses -G, the paper's formula equals -2G; weights here are those of the code. Scale-free, so
    it cannot be lowered by shrinking the attributions. Values lie in [-(1 - 1/p), 0].

    Bias: with k draws of expected gradients for each row, E|phi_k| >= |E phi_k|. At the global level a factor common to
    all features cancels (a linear model on Gaussian inputs: +42 % everywhere at k = 1, G unchanged), but features whose
    exact map is near zero gain most, so maps look *less* sparse than they are. At the sample level either sign occurs.

    Cost: O(B p + p log p) time (global), O(B p log p) (sample); O(B p) memory.

    Args:
        level: "global", few features matter in the whole data set, or "sample", few matter in each sample.

    Raises:
        InputError: unknown level; maps that are not a finite floating-point tensor.
        ShapeError: maps without rows or features.

    Example:
        >>> import torch
        >>> Gini()(torch.tensor([[0.0, 2.0], [0.0, -4.0]]))
        tensor(-0.5000)
    """

    level: Level = "global"

    @property
    def coupled(self) -> bool:
        """True at the global level: the mean of micro-batches' penalties is not the batch's penalty."""
        return self.level == "global"

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F), all features of a map taken together; `guidance` is not used."""
        return -_gini(magnitudes(checked_maps(maps, self), self.level)).mean()
