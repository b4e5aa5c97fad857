"""Group sparsity prior: few columns, pathways or regions should matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._distributed import batch_mean
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._safe_sqrt import safe_root
from rightreasons.priors._check import Level, checked_maps
from rightreasons.priors._gini import gini_coefficient

_PENALTY = Literal["gini", "lasso"]


@checked
@dataclass(frozen=True, repr=False)
class GroupSparsity:
    """Few groups of features matter: Gini coefficient or group lasso over groups [yuan2006], [hurley2009].

    | penalty   | level    | Omega                                                                 | scale-free |
    |-----------|----------|-----------------------------------------------------------------------|------------|
    | `"gini"`  | "global" | -G(s), s_g = mean_b abs(sum_{i in g} phi_bi)                          | yes        |
    | `"gini"`  | "sample" | -mean_b G(s_b), s_bg = abs(sum_{i in g} phi_bi)                       | yes        |
    | `"lasso"` | "sample" | mean_b sum_g sqrt(p_g) root(sum_{i in g} phi_bi^2)                    | no         |
    | `"lasso"` | "global" | sum_g sqrt(p_g) root(sum_{i in g} phibar_i^2), phibar_i = mean_b abs(phi_bi) | no  |

    with p_g features in group g. "gini" adds a group's attributions with their signs, as reports do to give a one-hot
    column its share back: a column of many categories is one piece of knowledge, not many. "lasso" sets whole groups
    to zero, and is meant to shrink. Groups may overlap; features in no group are free.

    Bias: with k draws of expected gradients for each row every magnitude is larger than that of the exact map, those
    near zero most, so that maps look less sparse than they are; see `Gini` and `L1`.

    Cost: O(B E) with E = sum_g p_g, and one sort of the groups for "gini".

    Args:
        groups: positions of the features of each group: `DataSet.groups`, or a sequence of sequences.
        penalty: "gini" or "lasso".
        level: "global", few groups matter in the whole data set, or "sample", few matter in each sample.

    Raises:
        InputError: no groups, an empty one, or positions that are not whole numbers from 0, each once in a group; an
            unknown field value; maps that are not a finite floating-point tensor.
        ShapeError: maps without rows, or with fewer features than the groups name.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[3.0, 1.0, -1.0], [-3.0, 2.0, -2.0]])
        >>> GroupSparsity({"age": (0,), "sex": (1, 2)})(maps)
        tensor(-0.5000)
        >>> GroupSparsity([(0,), (1, 2)], penalty="lasso", level="sample")(maps)
        tensor(6.)
    """

    groups: Mapping[str, Sequence[int]] | Sequence[Sequence[int]]
    penalty: Literal["gini", "lasso"] = "gini"
    level: Level = "global"

    def __post_init__(self) -> None:
        listed = self.groups.values() if isinstance(self.groups, Mapping) else self.groups
        groups = tuple(tuple(group) for group in listed)
        for group in groups:
            whole = all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in group)
            if not group or not whole or len(set(group)) < len(group):
                raise InputError(
                    "GroupSparsity: a group holds positions of features, whole numbers from 0, each once; got "
                    f"{list(group)}. Pass DataSet.groups of the data the model sees."
                )
        if not groups:
            raise InputError("GroupSparsity needs at least one group of features; got none.")
        object.__setattr__(self, "groups", groups)

    def __repr__(self) -> str:
        return f"GroupSparsity(<{len(self.groups)} groups>, penalty={self.penalty!r}, level={self.level!r})"

    @property
    def coupled(self) -> bool:
        """True at the global level: the mean of micro-batches' penalties is not the batch's penalty."""
        return self.level == "global"

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F), features counted along the flattened map; `guidance` is not used."""
        rows_Bp = checked_maps(maps, self).flatten(1)
        feature_E, group_E, sizes_G = (index.to(rows_Bp.device) for index in self._edges)
        if rows_Bp.shape[1] <= int(feature_E.max()):
            raise ShapeError(
                f"GroupSparsity names feature {int(feature_E.max())}, but the maps {tuple(maps.shape)} have "
                f"{rows_Bp.shape[1]} features, 0 to {rows_Bp.shape[1] - 1}. Pass DataSet.groups of the data the "
                "model sees."
            )
        if self.penalty == "gini":
            # Divided by one number, which the coefficient does not see, so that no sum overflows.
            members_BE = rows_Bp[:, feature_E] / len(feature_E)
            sums_BG = _added(members_BE, group_E, len(sizes_G)).abs()
            rows = sums_BG if self.level == "sample" else batch_mean(sums_BG)[None]
            return -gini_coefficient(rows).mean()
        rows = rows_Bp if self.level == "sample" else batch_mean(rows_Bp.abs())[None]
        squares = _added(rows[:, feature_E].square(), group_E, len(sizes_G))
        return (safe_root(squares) * sizes_G.to(rows).sqrt()).sum(1).mean()

    @cached_property
    def _edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Feature and group of each membership, and the size of each group."""
        pairs = [(i, g) for g, group in enumerate(self.groups) for i in group]
        feature_E, group_E = torch.tensor(pairs).T
        return feature_E, group_E, torch.tensor([len(group) for group in self.groups])


def _added(values: Float[Tensor, "rows E"], group_E: Tensor, groups: int) -> Float[Tensor, "rows G"]:
    return values.new_zeros(len(values), groups).index_add(1, group_E, values)
