import networkx
import pytest
import scipy.sparse
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import GraphLaplacian

CHAIN = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]])


def test_each_edge_counts_once():
    # (1 - 3)^2 * 1 + (3 - 0)^2 * 2, from the mean magnitudes 1, 3, 0; the paper's ordered pairs would give 44.
    maps = torch.tensor([[2.0, -3.0, 0.0], [0.0, 3.0, 0.0]])
    assert float(GraphLaplacian(CHAIN)(maps)) == 22.0


def test_sample_level_sees_signs():
    opposed = torch.tensor([[1.0, -1.0, 0.0]])
    assert float(GraphLaplacian(CHAIN, level="global")(opposed)) == 2.0
    assert float(GraphLaplacian(CHAIN, level="sample")(opposed)) == 6.0


@pytest.mark.parametrize("level", ["global", "sample"])
def test_self_loops_change_nothing(level):
    maps = torch.randn(4, 3)
    looped = CHAIN + torch.diag(torch.tensor([1.0, 0.0, 9.0]))
    assert torch.equal(GraphLaplacian(looped, level=level)(maps), GraphLaplacian(CHAIN, level=level)(maps))


def test_equal_importance_costs_nothing_and_isolated_features_are_free():
    prior = GraphLaplacian(torch.block_diag(torch.zeros(1, 1), CHAIN))
    assert float(prior(torch.tensor([[100.0, 2.0, -2.0, 2.0]]))) == 0.0


def test_rayleigh_quotient_lies_between_the_eigenvalues():
    laplacian = torch.diag(CHAIN.sum(1)) - CHAIN
    values, vectors = torch.linalg.eigh(laplacian)
    prior = GraphLaplacian(CHAIN, level="sample", normalise="l2")
    for value, vector in zip(values, vectors.T, strict=True):
        torch.testing.assert_close(prior(1e-4 * vector[None]), value, atol=1e-5, rtol=1e-5)
    assert values[0] - 1e-6 <= prior(torch.randn(50, 3)) <= values[-1]


def test_names_say_which_column_is_which_node():
    graph = networkx.Graph()
    graph.add_edge("TP53", "FLT3", weight=2.0)
    prior = GraphLaplacian(graph, features=["drug_a", "FLT3", "NPM1", "TP53"])
    assert float(prior(torch.tensor([[9.0, 1.0, 7.0, 4.0]]))) == 18.0


def test_a_hundred_thousand_features_need_no_dense_matrix():
    p = 100_000  # p x p floats would take 40 GB
    i = torch.arange(p - 1).numpy()
    half = scipy.sparse.coo_array((torch.ones(p - 1).numpy(), (i, i + 1)), shape=(p, p))
    prior = GraphLaplacian(half + half.T)
    maps = torch.randn(2, p, requires_grad=True)
    prior(maps).backward()
    assert maps.grad is not None
    assert (
        repr(prior)
        == "GraphLaplacian(FeatureGraph(nodes=100000, edges=99999), level='global', normalise=None)"
    )


def test_number_of_features_must_be_that_of_nodes():
    with pytest.raises(
        ShapeError, match=r"has 3 nodes and needs maps with as many features; got 8 \(maps \(2, 2, 4\)\)"
    ):
        GraphLaplacian(CHAIN)(torch.ones(2, 2, 4))


@pytest.mark.parametrize("fields", [{"level": "global"}, {"level": "sample", "normalise": "l2"}])
def test_no_bilinear_form_unless_quadratic_in_signed_maps(fields):
    prior = GraphLaplacian(CHAIN, **fields)
    with pytest.raises(
        InputError, match=r"is not quadratic in signed maps.*Use level='sample' with normalise=None"
    ):
        _ = prior.bilinear
    assert getattr(prior, "bilinear", None) is None


def test_bilinear_refuses_maps_of_another_size():
    with pytest.raises(ShapeError, match="has 3 nodes"):
        GraphLaplacian(CHAIN, level="sample").bilinear(torch.ones(2, 3), torch.ones(2, 4))
