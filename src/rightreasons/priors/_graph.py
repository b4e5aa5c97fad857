"""Graph Laplacian prior: features that interact should matter alike."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, Literal

from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import ShapeError
from rightreasons.core._graph import FeatureGraph, feature_graph
from rightreasons.priors._check import (
    Level,
    NoBilinearForm,
    checked_maps,
    magnitudes,
    unit_scaled,
)

_NORMALISATIONS = Literal["l2", None]


@checked
@dataclass(frozen=True, eq=False, repr=False)
class GraphLaplacian:
    """Quadratic form of the graph Laplacian L = D - W: joined features should matter alike [erion2021], [smola2003].

    global: phibar' L phibar = sum over edges {i, j} of W_ij (phibar_i - phibar_j)^2, phibar_i = mean_b |phi_bi|.
    sample: mean_b phi_b' L phi_b, on signed maps: joined features should push the same way in each sample.

    Each edge counts once, as in the published code; the paper's sum over ordered pairs is twice this. Self loops
    cancel in L. Features without edges are free.

    As published it is not scale-free: shrinking every attribution lowers it. `normalise="l2"` divides by phibar' phibar
    (or phi_b' phi_b) and gives the Rayleigh quotient, between 0 and the largest eigenvalue of L.

    Bias: with k draws of expected gradients for each row, phibar is biased upward through |.| (by 42 % for a linear
    model at k = 1), and the global form with it (by 100 % there). The sample form adds the draws' variance,
    tr(L Cov(phi_k)); its `bilinear` form of two independent draws does not. With `normalise` the factor cancels, and
    what remains is of either sign.

    Cost: O(B p + E) time and memory (global), O(B (p + E)) (sample); no p x p matrix is made. Keep the adjacency on the
    device of the maps, otherwise the edges are copied there at each call.

    Args:
        adjacency: symmetric non-negative W, (p, p), with p the number of features of one map: a tensor (strided or
            sparse), an array, a scipy sparse matrix, a networkx graph, or a `FeatureGraph`, to which all are converted.
        features: names of the p features in column order; with a networkx graph only. Features that are not nodes
            have no edges, so one-hot columns beside the graph's genes are simply named too.
        level: "global" or "sample".
        normalise: None as published, or "l2".

    Raises:
        InputError: an adjacency that is not symmetric, non-negative and finite, or has no edge; names that do not
            match; an unknown field value; maps that are not a finite floating-point tensor.
        ShapeError: an adjacency that is not square; maps whose number of features is not p.

    Example:
        >>> import torch
        >>> chain = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
        >>> prior = GraphLaplacian(chain)
        >>> prior
        GraphLaplacian(FeatureGraph(nodes=3, edges=2), level='global', normalise=None)
        >>> prior(torch.tensor([[1.0, 2.0, 0.0], [-1.0, 0.0, 0.0]]))
        tensor(2.)
    """

    adjacency: Any
    features: InitVar[Sequence[Hashable] | None] = None
    level: Level = "global"
    normalise: Literal["l2"] | None = None

    def __post_init__(self, features: Sequence[Hashable] | None) -> None:
        object.__setattr__(self, "adjacency", feature_graph(self.adjacency, features))

    def __repr__(self) -> str:
        return f"GraphLaplacian({self.graph!r}, level={self.level!r}, normalise={self.normalise!r})"

    @property
    def graph(self) -> FeatureGraph:
        """The validated edge list."""
        return self.adjacency

    @property
    def coupled(self) -> bool:
        """True at the global level: the mean of micro-batches' penalties is not the batch's penalty."""
        return self.level == "global"

    @property
    def bilinear(self) -> Callable[..., Float[Tensor, ""]]:
        """`bilinear(a, b, guidance=None)` = mean_b a_b' L b_b for two independent draws of the maps (B, *F).

        Its mean over draws is the penalty of the expected maps; a single value may be negative. Sample level without
        normalisation only.
        """
        if self.level == "global" or self.normalise is not None:
            raise NoBilinearForm(
                f"GraphLaplacian(level={self.level!r}, normalise={self.normalise!r}) is not quadratic in signed maps, "
                "so two draws give no unbiased form. Use level='sample' with normalise=None, or one draw."
            )
        return self._bilinear

    def _bilinear(self, a: Tensor, b: Tensor, guidance: Tensor | None = None) -> Tensor:
        weights_E = self.graph.weights.to(a)
        return (weights_E * self._differences(a) * self._differences(b)).sum(1).mean()

    def _differences(self, maps: Tensor) -> Float[Tensor, "rows E"]:
        """phi_i - phi_j over the edges."""
        return self._over_edges(self._flat(maps))

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F) with p features each; `guidance` is not used."""
        maps_Bp = self._flat(maps)
        rows = magnitudes(maps_Bp, "global") if self.level == "global" else maps_Bp
        if self.normalise == "l2":
            rows = unit_scaled(rows)
        weights_E = self.graph.weights.to(rows)
        energy = (weights_E * self._over_edges(rows).square()).sum(1)
        if self.normalise == "l2":
            energy = energy / rows.square().sum(1).clamp(min=1)  # below 1 only in a row of zeros
        return energy.mean()

    def _flat(self, maps: Tensor) -> Float[Tensor, "B p"]:
        maps_Bp = checked_maps(maps, self).flatten(1)
        if maps_Bp.shape[1] != self.graph.nodes:
            raise ShapeError(
                f"GraphLaplacian has {self.graph.nodes} nodes and needs maps with as many features; got "
                f"{maps_Bp.shape[1]} (maps {tuple(maps.shape)}). Columns outside the graph, such as one-hot ones, get "
                "rows and columns of zeros in the adjacency."
            )
        return maps_Bp

    def _over_edges(self, rows: Float[Tensor, "rows p"]) -> Float[Tensor, "rows E"]:
        i_E, j_E = self.graph.edges.to(rows.device)
        return rows[:, i_E] - rows[:, j_E]
