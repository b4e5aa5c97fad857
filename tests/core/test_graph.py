import networkx
import numpy as np
import pytest
import scipy.sparse
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._graph import FeatureGraph, feature_graph

W = np.array([[3.0, 2.0, 0.0, 0.5], [2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 1.0]])
EDGES = {(0, 1): 2.0, (0, 3): 0.5, (1, 2): 1.0}


def as_dict(graph: FeatureGraph) -> dict[tuple[int, int], float]:
    pairs = zip(graph.edges.T.tolist(), graph.weights.tolist(), strict=True)
    return {(i, j): weight for (i, j), weight in pairs}


def compressed(matrix: np.ndarray) -> torch.Tensor:
    return torch.tensor(matrix).to_sparse_csr()


FORMS = {
    "tensor": torch.tensor,
    "tensor with gradient": lambda m: torch.tensor(m, requires_grad=True),
    "transposed tensor": lambda m: torch.tensor(m).T,
    "array": np.asarray,
    "read-only array": lambda m: np.broadcast_to(m, m.shape),
    "nested lists": lambda m: m.tolist(),
    "torch coo": lambda m: torch.tensor(m).to_sparse(),
    "torch csr": compressed,
    "scipy coo": scipy.sparse.coo_array,
    "scipy csr": scipy.sparse.csr_array,
    "scipy lil matrix": scipy.sparse.lil_matrix,
    "itself": lambda m: feature_graph(m),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_edges(form: str):
    graph = feature_graph(FORMS[form](W))
    assert as_dict(graph) == EDGES
    assert graph.nodes == 4
    assert not graph.weights.requires_grad


@pytest.mark.parametrize("kind", [bool, np.int32, np.uint8, np.float32])
def test_real_dtypes(kind):
    pattern = (W > 0).astype(kind)
    assert as_dict(feature_graph(pattern)) == dict.fromkeys(EDGES, 1.0)
    assert as_dict(feature_graph(scipy.sparse.csr_array(pattern))) == dict.fromkeys(EDGES, 1.0)
    assert as_dict(feature_graph(torch.tensor(pattern))) == dict.fromkeys(EDGES, 1.0)


def test_weights_keep_the_floating_dtype_of_a_tensor():
    assert feature_graph(torch.tensor(W, dtype=torch.float32)).weights.dtype == torch.float32
    assert feature_graph(torch.tensor(W > 0)).weights.dtype == torch.float64


def test_stored_duplicates_add_up():
    i, j = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    matrix = scipy.sparse.coo_array((np.array([3.0, -1.0, 1.0, 1.0]), (i, j)), shape=(2, 2))
    assert as_dict(feature_graph(matrix)) == {(0, 1): 2.0}
    assert matrix.nnz == 4  # the caller's matrix is as it was


def test_explicit_zeros_are_no_edges():
    matrix = scipy.sparse.coo_array((np.array([0.0, 1.0, 1.0]), ([0, 1, 2], [1, 2, 1])), shape=(3, 3))
    assert as_dict(feature_graph(matrix)) == {(1, 2): 1.0}


def test_rounding_is_not_asymmetry():
    nearly = W.copy()
    nearly[0, 1] *= 1 + 1e-7
    assert as_dict(feature_graph(nearly))[0, 1] == pytest.approx(2.0, rel=1e-6)


class TestNetworkx:
    def test_columns_are_ordered_by_name(self):
        graph = networkx.Graph([("b", "a"), ("c", "b")])
        graph["a"]["b"]["weight"] = 4
        graph.add_edge("a", "a")
        converted = feature_graph(graph, features=["unjoined", "c", "b", "a"])
        assert as_dict(converted) == {(2, 3): 4.0, (1, 2): 1.0}
        assert converted.nodes == 4

    def test_agrees_with_its_own_matrix(self):
        graph = networkx.les_miserables_graph()
        names = sorted(graph)
        matrix = networkx.to_scipy_sparse_array(graph, nodelist=names)
        assert as_dict(feature_graph(graph, names)) == as_dict(feature_graph(matrix))

    def test_parallel_edges_add_up(self):
        assert as_dict(feature_graph(networkx.MultiGraph([(0, 1), (0, 1)]), [0, 1])) == {(0, 1): 2.0}

    def test_directed_graphs_must_hold_both_directions(self):
        assert as_dict(feature_graph(networkx.DiGraph([(0, 1), (1, 0)]), [0, 1])) == {(0, 1): 1.0}
        with pytest.raises(InputError, match=r"must be symmetric.*W\[0, 1\] = 1.0 but W\[1, 0\] = 0.0"):
            feature_graph(networkx.DiGraph([(0, 1)]), [0, 1])

    def test_names_are_required(self):
        with pytest.raises(InputError, match=r"have no order of their own.*features=list\(frame.columns\)"):
            feature_graph(networkx.path_graph(3))

    def test_names_must_differ(self):
        with pytest.raises(InputError, match="unique names; got 3 names of which 2 differ"):
            feature_graph(networkx.Graph([("a", "b")]), ["a", "b", "a"])

    def test_nodes_must_be_features(self):
        with pytest.raises(
            InputError, match=r"2 of 3 nodes are not, e.g. \['B', 'C'\].*look like \['A', 'b'\]"
        ):
            feature_graph(networkx.Graph([("A", "B"), ("B", "C")]), ["A", "b"])

    def test_weights_must_be_numbers(self):
        graph = networkx.Graph()
        graph.add_edge("a", "b", weight="strong")
        with pytest.raises(InputError, match=r"must be a number; got 'strong' on edge \('a', 'b'\)"):
            feature_graph(graph, ["a", "b"])

    def test_no_edges(self):
        with pytest.raises(InputError, match="no edge of the adjacency joins two different features"):
            feature_graph(networkx.empty_graph(2), [0, 1])


@pytest.mark.parametrize("adjacency", [W, W[:2], feature_graph(W)], ids=["array", "oblong", "graph"])
def test_names_are_refused_where_they_would_be_ignored(adjacency):
    with pytest.raises(InputError, match="features= orders the nodes of a networkx graph; got it with a"):
        feature_graph(adjacency, features=list("abcd"))


@pytest.mark.parametrize("form", [torch.tensor, np.asarray, scipy.sparse.coo_array])
def test_must_be_square(form):
    with pytest.raises(ShapeError, match=r"square p x p matrix.*got shape \(3, 4\)"):
        feature_graph(form(W[:3]))


def test_must_be_a_matrix():
    with pytest.raises(ShapeError, match=r"got shape \(4,\)"):
        feature_graph([0.0, 1.0, 0.0, 1.0])
    with pytest.raises(ShapeError, match=r"got shape \(0, 0\)"):
        feature_graph(np.zeros((0, 0)))
    with pytest.raises(ShapeError, match="rows of different lengths"):
        feature_graph([[0.0, 1.0], [1.0]])


@pytest.mark.parametrize("form", [torch.tensor, np.asarray, scipy.sparse.csr_array])
def test_must_be_real(form):
    with pytest.raises(InputError, match=r"must hold real numbers; got dtype .*complex"):
        feature_graph(form(W.astype(complex)))


def test_must_be_numbers():
    with pytest.raises(InputError, match="must hold real numbers; got dtype <U1"):
        feature_graph([["a", "b"], ["b", "a"]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("form", ["tensor", "array", "torch coo", "scipy csr"])
def test_must_be_finite(bad: float, form: str):
    spoilt = W.copy()
    spoilt[1, 2] = spoilt[2, 1] = bad
    with pytest.raises(InputError, match=rf"must be finite; got W\[1, 2\] = {bad}"):
        feature_graph(FORMS[form](spoilt))


def test_must_be_symmetric():
    with pytest.raises(
        InputError, match=r"W\[0, 1\] = 2.0 but W\[1, 0\] = 0.0 \(3 such pairs\).*W \+ W.T if each edge"
    ):
        feature_graph(np.triu(W))


def test_must_be_non_negative():
    laplacian = np.diag(W.sum(1)) - W
    with pytest.raises(InputError, match=r"non-negative; got W\[0, 1\] = -2.0.*W.clip\(min=0\)"):
        feature_graph(laplacian)


def test_must_join_something():
    with pytest.raises(InputError, match=r"joins two different features \(3 features, 3 stored entries\)"):
        feature_graph(np.eye(3))


def test_weights_of_a_graph_are_double_precision_whatever_torch_s_default() -> None:
    graph = networkx.Graph()
    graph.add_edge("a", "b", weight=0.1)
    torch.set_default_dtype(torch.float16)
    try:
        found = feature_graph(graph, features=["a", "b"])
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.weights.tolist() == [0.1]
