"""L1 and L2 priors on attributions."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.priors._check import Level, NoBilinearForm, checked_maps, magnitudes


@checked
@dataclass(frozen=True)
class L1:
    """Mean absolute attribution, the published `l1eg` baseline [erion2021].

    sample: mean_b mean_i |phi_bi|.
    global: mean_i phibar_i, phibar_i = mean_b |phi_bi|.

    The two are the same number; only across ranks with unequal numbers of rows is "global" exactly that of the union
    and "sample" the mean of the ranks' means. Not scale-free: shrinking every attribution lowers it, and is meant to.

    Bias: with k draws of expected gradients for each row, |phi| is larger in expectation than the magnitude of the
    exact map (by 42 % for a linear model at k = 1), and the gradient shrinks the draws' spread along with the map.

    Cost: O(B p).

    Args:
        level: "sample" or "global".

    Raises:
        InputError: unknown level; maps that are not a finite floating-point tensor.
        ShapeError: maps without rows or features.

    Example:
        >>> import torch
        >>> L1()(torch.tensor([[1.0, -2.0], [0.0, 5.0]]))
        tensor(2.)
    """

    level: Level = "sample"

    @property
    def coupled(self) -> bool:
        """True at the global level, whose mean is taken over all ranks."""
        return self.level == "global"

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F); `guidance` is not used."""
        return magnitudes(checked_maps(maps, self), self.level).mean()


@checked
@dataclass(frozen=True)
class L2:
    """Sum of squared attributions [erion2021].

    sample: (1/B) sum_b sum_i phi_bi^2 = ||phi||_F^2 / B.
    global: sum_i phibar_i^2 = ||phibar||^2, phibar_i = mean_b |phi_bi|.

    The published `l2eg` is the root ||phi||_F in the code and ||phibar|| in the paper, that is sqrt(B x sample) and
    sqrt(global) here. The square has a gradient at zero, is a mean over rows, and has an unbiased two-draw form; the
    published weights do not carry over. Not scale-free: shrinking every attribution lowers it, and is meant to.

    Bias: with k draws of expected gradients for each row the sample form adds the variance of the draws,
    E||phi_k||^2 = ||phi||^2 + tr Cov(phi_k); `bilinear` of two independent draws does not. The global form is biased
    upward through |.| (phibar by 42 % for a linear model at k = 1) and has no unbiased form.

    Cost: O(B p).

    Args:
        level: "sample" or "global".

    Raises:
        InputError: unknown level; maps that are not a finite floating-point tensor.
        ShapeError: maps without rows or features.

    Example:
        >>> import torch
        >>> L2()(torch.tensor([[1.0, -2.0], [0.0, 5.0]]))
        tensor(15.)
        >>> L2("global")(torch.tensor([[1.0, -2.0], [0.0, 5.0]]))
        tensor(12.5000)
    """

    level: Level = "sample"

    @property
    def coupled(self) -> bool:
        """True at the global level: the mean of micro-batches' penalties is not the batch's penalty."""
        return self.level == "global"

    @property
    def bilinear(self) -> Callable[..., Float[Tensor, ""]]:
        """`bilinear(a, b, guidance=None)` = mean_b sum_i a_bi b_bi for two independent draws of the maps (B, *F).

        Its mean over draws is the penalty of the expected maps; a single value may be negative. Sample level only.
        """
        if self.level == "global":
            raise NoBilinearForm(
                "L2('global') squares the mean of |phi|, which is not quadratic in phi, so two draws give no unbiased "
                "form. Use L2('sample'), or one draw."
            )
        return self._bilinear

    def _bilinear(self, a: Tensor, b: Tensor, guidance: Tensor | None = None) -> Tensor:
        return (checked_maps(a, self) * checked_maps(b, self)).flatten(1).sum(1).mean()

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F); `guidance` is not used."""
        return magnitudes(checked_maps(maps, self), self.level).square().sum(1).mean()
