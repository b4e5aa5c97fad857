"""What one split of a drug's cell lines is trained on. Whatever is learned from rows is learned from training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor

from rightreasons import data
from rightreasons.priors import FeatureGraph, MetaFeatures, feature_graph

GENES = 1000
COUNTS = ("publications", "processes", "functions", "places", "domains")
LARGEST_SET = 30  # genes of a pathway that is specific enough to join them
SET_SIZES = (20, 100)  # members, among the genes of the split, of pathways that are meta-features


@dataclass(frozen=True)
class Knowledge:
    """What is known about genes, whatever the cell lines: annotation, pathways, and what co-membership joins."""

    genes: tuple[str, ...]
    annotation: Mapping[str, Sequence[Any]]
    pathways: Mapping[str, Sequence[str]]

    def graph(self, genes: Sequence[str]) -> FeatureGraph:
        """Genes that share pathways of at most 30 genes; the weight is how many they share."""
        position = {gene: i for i, gene in enumerate(genes)}
        shared: dict[tuple[int, int], float] = {}
        for members in self.pathways.values():
            if len(members) > LARGEST_SET:
                continue
            inside = sorted(position[gene] for gene in members if gene in position)
            for pair in combinations(inside, 2):
                shared[pair] = shared.get(pair, 0.0) + 1.0
        i, j = zip(*shared, strict=True)
        upper = coo_array((list(shared.values()), (i, j)), shape=(len(genes), len(genes)))
        return feature_graph(upper + upper.T)


@dataclass(frozen=True, eq=False)
class Material:
    """Standardised rows of the chosen genes; labels in units of their spread in training."""

    genes: tuple[str, ...]
    x: dict[str, Tensor]
    y: dict[str, Tensor]
    mean: float
    scale: float
    meta: MetaFeatures
    graph: FeatureGraph


@cache
def knowledge(genes: tuple[str, ...]) -> Knowledge:
    return Knowledge(genes, data.gene_annotation(genes), data.reactome(genes))


def prepared(
    rows: data.DataSet,
    known: Knowledge,
    alterations: data.Alterations,
    split: data.Split,
    genes: int = GENES,
) -> Material:
    """Choose genes by their variance, standardise, and count alterations, in the training cell lines alone."""
    train = rows.rows(split.train)
    variance, mean = torch.var_mean(train.x, 0)
    chosen = variance.argsort(descending=True)[:genes].sort().values
    names = tuple(rows.feature_names[i] for i in chosen.tolist())
    centre, spread = mean[chosen], variance[chosen].sqrt()
    level, scale = train.y.mean(), train.y.std()
    x, y = {}, {}
    for part, index in split._asdict().items():
        x[part] = (rows.x[index][:, chosen] - centre) / spread
        y[part] = (rows.y[index] - level) / scale
    graph = known.graph(names)
    meta = _meta_features(names, known, graph, alterations.among(train.ids), spread, centre)
    return Material(names, x, y, float(level), float(scale), meta, graph)


def _meta_features(
    names: tuple[str, ...],
    known: Knowledge,
    graph: FeatureGraph,
    altered: data.Alterations,
    spread: Tensor,
    mean: Tensor,
) -> MetaFeatures:
    place = {gene: i for i, gene in enumerate(known.genes)}
    column = {gene: i for i, gene in enumerate(altered.genes)}
    at, of = [place[gene] for gene in names], [column[gene] for gene in names]
    table: dict[str, Any] = {
        "mutated": np.log1p(100 * altered.mutated[:, of].mean(0)),
        "gained": (altered.copies[:, of] > 0).mean(0),
        "lost": (altered.copies[:, of] < 0).mean(0),
        "spread of expression": spread.numpy(),
        "mean expression": mean.numpy(),
    }
    for name in COUNTS:
        counts = [known.annotation[name][i] for i in at]
        table[name] = [None if count is None else float(np.log1p(count)) for count in counts]
    number = dict.fromkeys(names, 0)
    for members in known.pathways.values():
        for gene in members:
            if gene in number:
                number[gene] += 1
    table["pathways"] = [float(np.log1p(number[gene])) for gene in names]
    smallest, largest = SET_SIZES
    return MetaFeatures.join(
        MetaFeatures.from_table(table, names, names=names),
        MetaFeatures.from_sets(known.pathways, names, smallest=smallest, largest=largest),
        MetaFeatures.from_graph(graph, names),
    )
