import itertools
from collections import Counter

import pytest
import torch

from rightreasons.core._errors import InputError
from rightreasons.core._graph import FeatureGraph, feature_graph
from rightreasons.priors._random_graph import random_graph

CHAIN = FeatureGraph(torch.stack([torch.arange(7), torch.arange(1, 8)]), torch.arange(1.0, 8.0), nodes=9)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def degrees(graph: FeatureGraph) -> list[int]:
    return graph.edges.flatten().bincount(minlength=graph.nodes).tolist()


@pytest.mark.parametrize("keep", [False, True])
def test_has_the_edges_and_weights_of_the_graph_in_other_places(keep: bool) -> None:
    made = random_graph(CHAIN, seeded(0), degrees=keep)
    assert made.nodes == CHAIN.nodes
    pairs = [tuple(edge) for edge in made.edges.T.tolist()]
    assert len(set(pairs)) == 7
    assert all(i < j for i, j in pairs)
    assert sorted(made.weights.tolist()) == CHAIN.weights.tolist()
    assert not torch.equal(made.edges, CHAIN.edges)


def test_degrees_are_kept_on_request_only() -> None:
    assert all(degrees(random_graph(CHAIN, seeded(s), degrees=True)) == degrees(CHAIN) for s in range(9))
    assert any(degrees(random_graph(CHAIN, seeded(s))) != degrees(CHAIN) for s in range(9))


def test_every_set_of_pairs_is_as_likely() -> None:
    graph = feature_graph(torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).float())
    generator = seeded(3)
    seen = Counter(tuple(map(tuple, random_graph(graph, generator).edges.T.tolist())) for _ in range(3000))
    possible = [tuple(two) for two in itertools.combinations(itertools.combinations(range(4), 2), 2)]
    assert sorted(seen) == possible
    chi_square = sum((count - 200) ** 2 / 200 for count in seen.values())
    assert chi_square < 36  # 14 degrees of freedom: exceeded by chance once in a thousand


def test_depends_on_the_generator_alone() -> None:
    assert torch.equal(random_graph(CHAIN, seeded(5)).edges, random_graph(CHAIN, seeded(5)).edges)


def test_a_graph_without_alternative_is_refused() -> None:
    with pytest.raises(InputError, match="joins all 3 features is the only one with 3 edges"):
        random_graph(feature_graph(torch.ones(3, 3)))
    star = FeatureGraph(torch.tensor([[0, 0, 0], [1, 2, 3]]), torch.ones(3), nodes=5)
    with pytest.raises(InputError, match=r"each of the 5 features .*degrees=False .*controls: \[random\]"):
        random_graph(star, degrees=True)


def test_draws_do_not_depend_on_the_default_dtype() -> None:
    wanted = random_graph(CHAIN, seeded(3), degrees=True)
    torch.set_default_dtype(torch.float64)
    try:
        found = random_graph(CHAIN, seeded(3), degrees=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found.edges, wanted.edges)
