"""The protocol of priors."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor


@runtime_checkable
class Prior(Protocol):
    """A belief about attributions as a differentiable penalty: maps in, one number out, smaller is better.

    It knows no model and no attribution method. Anything with this signature is a prior; subclassing is not needed.
    A prior that is quadratic in signed maps also offers `bilinear(a, b, guidance=None)`, linear in each of two
    independent draws a, b of the maps, with `bilinear(a, a) == prior(a)`: its mean over draws is the penalty of the
    *expected* maps, where `prior(a)` adds the draws' variance. Ask with `hasattr(prior, "bilinear")`.
    """

    @property
    def coupled(self) -> bool:
        """Whether the penalty depends on the batch as a whole instead of being a mean over rows.

        A mean over rows may be computed on a subset of rows, a micro-batch or one rank; a coupled penalty may not.
        """
        ...

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F); `guidance`, side data of each sample, is ignored by priors that use none."""
        ...
