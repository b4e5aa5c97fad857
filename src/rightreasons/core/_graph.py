"""Feature graphs as validated edge lists.

Legend: p nodes (features), E undirected edges, N stored entries of the given adjacency.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError

_RELATIVE_ASYMMETRY = 1e-6  # float32 correlations computed twice differ by a few 1e-7
_SHOWN = 3


@checked
@dataclass(frozen=True, eq=False, repr=False)
class FeatureGraph:
    """An undirected weighted graph over p features; each edge appears once and joins two different features.

    Args:
        edges: pairs of feature indices i < j, (2, E).
        weights: positive weights W_ij, (E,).
        nodes: number of features p, isolated ones included.
    """

    edges: Int64[Tensor, "2 E"]
    weights: Float[Tensor, "E"]
    nodes: int

    def __repr__(self) -> str:
        return f"FeatureGraph(nodes={self.nodes}, edges={self.weights.numel()})"


class _Entries(NamedTuple):
    """Stored entries W[rows[n], columns[n]] += weights[n] of a p x p matrix, on the CPU, weights in float64."""

    rows: Int64[Tensor, "N"]
    columns: Int64[Tensor, "N"]
    weights: Float[Tensor, "N"]
    nodes: int


@checked
def feature_graph(adjacency: Any, features: Sequence[Hashable] | None = None) -> FeatureGraph:
    """Validate an adjacency and convert it to an edge list.

    W must be square, symmetric (to a relative 1e-6; the mean of W_ij and W_ji is kept), finite and non-negative,
    and join at least two different features. Self loops are dropped: they cancel in the Laplacian D - W.

    Cost: O(N log N) time and O(N) memory for N stored entries; a sparse matrix is never made dense.

    Args:
        adjacency: p x p matrix as tensor (strided or any sparse layout), array or nested lists, scipy sparse
            matrix, or a networkx graph (edge attribute `weight`, 1 where absent; parallel edges add up). A
            `FeatureGraph` is returned as it is.
        features: names of the p features in the order of the maps' columns. Required for a networkx graph, whose
            nodes have no other order, and refused otherwise. Features that are not nodes become isolated.

    Returns:
        The graph, on the device of a tensor adjacency and in its floating dtype; otherwise on the CPU in float64.

    Raises:
        ShapeError: the adjacency is not a square matrix.
        InputError: it breaks another rule above, or names do not match.

    Example:
        >>> feature_graph([[0.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 5.0]])
        FeatureGraph(nodes=3, edges=2)
    """
    if isinstance(adjacency, FeatureGraph):
        if features is not None:
            raise InputError(_features_unused("FeatureGraph"))
        return adjacency
    entries = _entries(adjacency, features)
    finite = torch.isfinite(entries.weights)
    if not finite.all():
        where = int((~finite).nonzero()[0])
        raise InputError(
            "adjacency weights must be finite; got "
            f"W[{int(entries.rows[where])}, {int(entries.columns[where])}] = {float(entries.weights[where])}. "
            "Remove the edge (weight 0) where a weight is unknown."
        )
    edges_2E, weights_E = _undirected(entries)
    if isinstance(adjacency, Tensor):
        dtype = adjacency.dtype if adjacency.is_floating_point() else torch.float64
        return FeatureGraph(
            edges_2E.to(adjacency.device), weights_E.to(adjacency.device, dtype), entries.nodes
        )
    return FeatureGraph(edges_2E, weights_E, entries.nodes)


def _features_unused(kind: str) -> str:
    return (
        f"features= orders the nodes of a networkx graph; got it with a {kind}, whose rows are ordered already, so it "
        "would be ignored. Order the rows like the features and leave features=None."
    )


def _entries(adjacency: Any, features: Sequence[Hashable] | None) -> _Entries:
    if hasattr(adjacency, "nodes") and hasattr(adjacency, "edges"):
        return _from_networkx(adjacency, features)
    if features is not None:
        raise InputError(_features_unused(type(adjacency).__name__))
    if isinstance(adjacency, Tensor):
        return _from_tensor(adjacency.detach())
    if hasattr(adjacency, "tocoo"):
        nodes = _square(adjacency.shape)
        _real(np.dtype(adjacency.dtype).kind, adjacency.dtype)
        matrix = adjacency.tocoo()
        return _Entries(_int64(matrix.row), _int64(matrix.col), _float64(matrix.data), nodes)
    try:
        matrix = np.asarray(adjacency)
    except ValueError as error:  # ragged nested lists
        raise ShapeError(
            f"adjacency must be a square p x p matrix; got rows of different lengths ({error})."
        ) from error
    nodes = _square(matrix.shape)
    _real(matrix.dtype.kind, matrix.dtype)
    rows, columns = np.nonzero(matrix)
    return _Entries(_int64(rows), _int64(columns), _float64(matrix[rows, columns]), nodes)


def _from_tensor(adjacency: Tensor) -> _Entries:
    nodes = _square(adjacency.shape)
    _real("c" if adjacency.is_complex() else "f", adjacency.dtype)
    if adjacency.layout is torch.strided:
        rows, columns = adjacency.nonzero().T.cpu()
        return _Entries(rows, columns, adjacency[adjacency != 0].cpu().double(), nodes)
    matrix = adjacency.cpu().to_sparse_coo().coalesce()
    rows, columns = matrix.indices()
    return _Entries(rows, columns, matrix.values().double(), nodes)


def _from_networkx(graph: Any, features: Sequence[Hashable] | None) -> _Entries:
    if features is None:
        raise InputError(
            "the nodes of a networkx graph have no order of their own, the columns of the maps have: pass the names of "
            "the features in column order, e.g. features=list(frame.columns)."
        )
    index = {name: position for position, name in enumerate(features)}
    if len(index) != len(features):
        raise InputError(
            f"features must be unique names; got {len(features)} names of which {len(index)} differ."
        )
    unknown = [node for node in graph.nodes if node not in index]
    if unknown:
        raise InputError(
            f"every node of the graph must be a feature; {len(unknown)} of {len(graph.nodes)} nodes are not, e.g. "
            f"{unknown[:_SHOWN]}, and their edges would be lost. Features look like {list(features[:_SHOWN])}. Rename "
            "the nodes with networkx.relabel_nodes, or keep graph.subgraph(features)."
        )
    ends = [(index[one], index[other]) for one, other in graph.edges()]
    rows, columns = torch.tensor(ends, dtype=torch.int64).reshape(-1, 2).T
    given = [_edge_weight(*edge) for edge in graph.edges(data="weight", default=1.0)]
    weights = torch.tensor(given, dtype=torch.float64)
    if not graph.is_directed():
        rows, columns = torch.cat([rows, columns]), torch.cat([columns, rows])
        weights = torch.cat([weights, weights])
    return _Entries(rows, columns, weights, len(features))


def _edge_weight(one: Hashable, other: Hashable, weight: Any) -> float:
    try:
        return float(weight)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the edge attribute `weight` must be a number; got {weight!r} on edge ({one!r}, {other!r})."
        ) from error


def _square(shape: Sequence[int]) -> int:
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise ShapeError(
            f"adjacency must be a square p x p matrix, a row and a column for each feature; got shape {tuple(shape)}. "
            "A list of edges becomes one with scipy.sparse.coo_array((weights, (i, j)), shape=(p, p))."
        )
    return int(shape[0])


def _real(kind: str, dtype: object) -> None:
    if kind not in "biuf":
        raise InputError(f"adjacency must hold real numbers; got dtype {dtype}.")


def _int64(index: Any) -> Int64[Tensor, "N"]:
    return torch.tensor(np.asarray(index, dtype=np.int64))


def _float64(weights: Any) -> Float[Tensor, "N"]:
    return torch.tensor(np.asarray(weights, dtype=np.float64))


def _undirected(entries: _Entries) -> tuple[Int64[Tensor, "2 E"], Float[Tensor, "E"]]:
    """Edges i < j with the weight both directions agree on; self loops and zeros dropped."""
    rows, columns, weights, nodes = entries
    keys_E, edge_N = torch.unique(
        torch.minimum(rows, columns) * nodes + torch.maximum(rows, columns), return_inverse=True
    )
    upper_E, lower_E = (
        torch.zeros(keys_E.numel(), dtype=torch.float64).index_add(0, edge_N[half], weights[half])
        for half in (rows <= columns, rows >= columns)
    )
    edges_2E = torch.stack([keys_E // nodes, keys_E % nodes])
    asymmetric_E = (upper_E - lower_E).abs() > _RELATIVE_ASYMMETRY * torch.maximum(
        upper_E.abs(), lower_E.abs()
    )
    if asymmetric_E.any():
        edge = int(asymmetric_E.nonzero()[0])
        i, j = edges_2E[:, edge].tolist()
        raise InputError(
            f"adjacency must be symmetric, the penalty knows no direction; got W[{i}, {j}] = {float(upper_E[edge])} "
            f"but W[{j}, {i}] = {float(lower_E[edge])} ({int(asymmetric_E.sum())} such pairs). "
            "Pass (W + W.T) / 2, or W + W.T if each edge is stored once."
        )
    weights_E = (upper_E + lower_E) / 2
    if (weights_E < 0).any():
        edge = int((weights_E < 0).nonzero()[0])
        i, j = edges_2E[:, edge].tolist()
        raise InputError(
            f"adjacency must be non-negative; got W[{i}, {j}] = {float(weights_E[edge])}. A negative weight rewards "
            "differences without bound. Pass abs(W) or W.clip(min=0)."
        )
    kept_E = (weights_E > 0) & (edges_2E[0] != edges_2E[1])
    if not kept_E.any():
        raise InputError(
            f"no edge of the adjacency joins two different features ({nodes} features, {rows.numel()} stored entries), "
            "so the penalty would always be 0. Check the order and names of the features."
        )
    return edges_2E[:, kept_E], weights_E[kept_E]
