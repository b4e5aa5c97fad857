"""Beliefs about attributions as differentiable penalties of maps (B, *F).

| prior               | belief                                      | scale-free     | coupled      | bilinear     |
|---------------------|---------------------------------------------|----------------|--------------|--------------|
| `TotalVariation`    | neighbours in space or time matter alike    | by default     | no           | no           |
| `Gini`              | few features matter                         | yes            | global level | no           |
| `GraphLaplacian`    | features that interact matter alike         | normalise="l2" | global level | sample level |
| `L1`                | attributions are small                      | no             | global level | no           |
| `L2`                | attributions are small                      | no             | global level | sample level |
| `Mask`              | these features, or pixels, do not matter    | no             | no           | yes          |
| `Alignment`         | what matters is where a human looks         | yes            | no           | no           |
| `FourierSmoothness` | along a sequence, maps are of low frequency | yes            | no           | no           |
| `GroupSparsity`     | few groups of features matter               | penalty="gini" | global level | no           |
| `Monotone`          | these features raise, or lower, the output  | no             | no           | no           |
| `LearnedPrior`      | what matters follows from what is known     | no             | global level | signed l2    |

`Grouped(prior, groups)` is any of them on original columns of a table instead of on the features made from them;
`random_graph` makes the control of a graph.

Priors of |phi| see a noisy map when expected gradients use few draws: E|phi_k| >= |E phi_k|, 2.257 against 1.594
(+42 %) for f(x) = 2x, x ~ N(0, 1), k = 1. Each docstring says what that does to its value; `bilinear` forms are free
of it.
"""

from rightreasons.core._graph import FeatureGraph, feature_graph
from rightreasons.priors._alignment import Alignment
from rightreasons.priors._check import Level
from rightreasons.priors._fourier import FourierSmoothness
from rightreasons.priors._gini import Gini, gini_coefficient
from rightreasons.priors._graph import GraphLaplacian
from rightreasons.priors._group import GroupSparsity
from rightreasons.priors._grouped import Grouped
from rightreasons.priors._mask import Mask
from rightreasons.priors._monotone import Monotone
from rightreasons.priors._norms import L1, L2
from rightreasons.priors._prior import Prior
from rightreasons.priors._random_graph import random_graph
from rightreasons.priors._variation import TotalVariation
from rightreasons.priors.learned._columns import MetaColumn
from rightreasons.priors.learned._interpretation import (
    Dependence,
    Ranked,
    explain_importance,
    partial_dependence,
    top_features,
)
from rightreasons.priors.learned._learned import LearnedPrior, controls
from rightreasons.priors.learned._meta_features import MetaFeatures

__all__ = [
    "L1",
    "L2",
    "Alignment",
    "Dependence",
    "FeatureGraph",
    "FourierSmoothness",
    "Gini",
    "GraphLaplacian",
    "GroupSparsity",
    "Grouped",
    "LearnedPrior",
    "Level",
    "Mask",
    "MetaColumn",
    "MetaFeatures",
    "Monotone",
    "Prior",
    "Ranked",
    "TotalVariation",
    "controls",
    "explain_importance",
    "feature_graph",
    "gini_coefficient",
    "partial_dependence",
    "random_graph",
    "top_features",
]
