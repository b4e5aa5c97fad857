"""Random graphs: the control of a graph prior.

Legend: p nodes (features), E undirected edges.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._graph import FeatureGraph

_SWAPS_PER_EDGE = 10  # customary for the chain of double edge swaps to forget where it started


@checked
def random_graph(
    graph: FeatureGraph, generator: torch.Generator | None = None, *, degrees: bool = False
) -> FeatureGraph:
    """A random graph with as many edges over the same features, and the same weights in random order.

    Without `degrees` every set of E pairs is as likely. With `degrees` each feature keeps its number of edges: 10 E
    swaps {a, b}, {c, d} -> {a, d}, {c, b} are tried, and those that would make a loop or a double edge left out.

    Cost: O(E), or O(10 E) steps of Python with `degrees`.

    Args:
        graph: whose edges are replaced.
        generator: CPU generator; None: the global one.
        degrees: keep each feature's number of edges.

    Raises:
        InputError: a complete graph, or one that its degrees determine: there is no other.

    Example:
        >>> chain = FeatureGraph(torch.tensor([[0, 1], [1, 2]]), torch.tensor([1.0, 2.0]), nodes=9)
        >>> random_graph(chain, torch.Generator().manual_seed(0))
        FeatureGraph(nodes=9, edges=2)
    """
    nodes, count = graph.nodes, graph.weights.numel()
    pairs = nodes * (nodes - 1) // 2
    if count == pairs:
        raise InputError(
            f"a graph that joins all {nodes} features is the only one with {count} edges, so a random graph would be "
            "the same belief. Leave its control out."
        )
    if degrees:
        edges = _swapped(graph, generator)
    else:
        edges = _pairs(_distinct(pairs, count, generator), nodes)
    order = torch.randperm(count, generator=generator).to(graph.weights.device)
    return FeatureGraph(edges.to(graph.edges.device), graph.weights[order], nodes)


def _distinct(pairs: int, count: int, generator: torch.Generator | None) -> Int64[Tensor, " E"]:
    """`count` different numbers below `pairs`, every set as likely (Floyd)."""
    chosen: dict[int, None] = {}
    for last in range(pairs - count, pairs):
        drawn = int(torch.randint(last + 1, (), generator=generator))
        chosen[last if drawn in chosen else drawn] = None
    return torch.tensor(sorted(chosen))


def _pairs(numbers: Int64[Tensor, " E"], nodes: int) -> Int64[Tensor, "2 E"]:
    """The pairs i < j of these numbers, counted along the rows of the upper triangle."""
    row_starts = torch.arange(nodes).mul(nodes - 1) - torch.arange(nodes).mul(torch.arange(nodes) - 1) // 2
    i = torch.searchsorted(row_starts, numbers, right=True) - 1
    return torch.stack([i, numbers - row_starts[i] + i + 1])


def _swapped(graph: FeatureGraph, generator: torch.Generator | None) -> Int64[Tensor, "2 E"]:
    edges = graph.edges.T.tolist()
    there = {tuple(edge) for edge in edges}
    tries = torch.randint(len(edges), (_SWAPS_PER_EDGE * len(edges), 2), generator=generator).tolist()
    turned = torch.rand(len(tries), generator=generator, dtype=torch.float32).lt(0.5).tolist()
    swaps = 0
    for (one, other), turn in zip(tries, turned, strict=True):
        (a, b), (c, d) = edges[one], edges[other]
        c, d = (d, c) if turn else (c, d)
        new = tuple(sorted((a, d))), tuple(sorted((c, b)))
        if a == d or c == b or new[0] == new[1] or there & set(new):
            continue
        there -= {tuple(edges[one]), tuple(edges[other])}
        there |= set(new)
        edges[one], edges[other] = list(new[0]), list(new[1])
        swaps += 1
    if not swaps:
        raise InputError(
            f"no other graph with the same number of edges at each of the {graph.nodes} features was found (a star "
            "has none), so the control would be the same belief. Use degrees=False (in a "
            "recipe: controls: [random], without degrees)."
        )
    return torch.tensor(sorted(edges)).T
