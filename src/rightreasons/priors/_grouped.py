"""Apply a prior to original columns, where a model sees several features per column."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._groups import sum_groups
from rightreasons.priors._check import NoBilinearForm, checked_maps
from rightreasons.priors._prior import Prior


@checked
@dataclass(frozen=True, repr=False)
class Grouped:
    """A prior on the columns that features were made from instead of on the features.

    Omega(phi) = prior(psi),  psi_bg = sum_{i in g} phi_bi.

    A category of many levels is one piece of knowledge, though the model sees a feature for each; reports add its
    maps up in the same way. Guidance, graphs, masks and signs are then about columns, in the order of the groups.
    Coupled, and with a bilinear form, where the prior is. Its bias is the prior's, of the summed maps.

    Cost: one scatter-add of O(B p), and the prior's on g columns.

    Args:
        prior: what is believed about the columns.
        groups: positions of the features of each column, `DataSet.groups`.

    Raises:
        ShapeError: groups that do not hold each feature of the maps once.
        InputError: whatever the prior refuses.

    Example:
        >>> import torch
        >>> from rightreasons.priors import L1
        >>> Grouped(L1(), {"age": (0,), "sex": (1, 2)})(torch.tensor([[1.0, 2.0, -2.0]]))
        tensor(0.5000)
    """

    prior: Prior
    groups: Mapping[str, Sequence[int]]

    def __repr__(self) -> str:
        return f"Grouped({self.prior!r}, <{len(self.groups)} groups>)"

    @property
    def coupled(self) -> bool:
        """Whether the prior is."""
        return self.prior.coupled

    @property
    def bilinear(self) -> Callable[..., Float[Tensor, ""]]:
        """`bilinear(a, b, guidance=None)` of the prior, for two independent draws of the features' maps."""
        inner = getattr(self.prior, "bilinear", None)
        if inner is None:
            raise NoBilinearForm(
                f"{self.prior!r} has no bilinear form, so neither has Grouped of it. Use one draw."
            )

        def of_columns(a: Tensor, b: Tensor, guidance: Tensor | None = None) -> Tensor:
            return inner(self._columns(a), self._columns(b), guidance)

        return of_columns

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The prior's penalty of the summed maps; `guidance` is passed on to it."""
        return self.prior(self._columns(maps), guidance)

    def _columns(self, maps: Tensor) -> Float[Tensor, "B g"]:
        return sum_groups(checked_maps(maps, self), self.groups)[1]
