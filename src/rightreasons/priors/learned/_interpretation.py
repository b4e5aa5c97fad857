"""Interpretation of a learned prior: importance and partial dependence of meta-features.

Legend: S priors (one for each seed or split), p features, q columns, G values of a grid, R references.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attribution import IntegratedGradients
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import as_tuple
from rightreasons.core._suggest import names_in
from rightreasons.priors.learned._learned import Constant, LearnedPrior

_ROWS = 4096  # of points with their references at once
ALL_REFERENCES = 512
"""With more features than this, that many of them are the references of `explain_importance`."""


@dataclass(frozen=True, eq=False)
class Dependence:
    """How g depends on one meta-feature.

    Attributes:
        source: the meta-feature.
        values: the grid, in the meta-feature's own unit; positions of `levels` for a category.
        levels: names of the categories; empty for a number.
        runs: (S, G), mean of g over features in each run, signed.
        curves: (p, G), g of each feature, mean over runs.
    """

    source: str
    values: Float[Tensor, " G"]
    levels: tuple[str, ...]
    runs: Float[Tensor, "S G"]
    curves: Float[Tensor, "p G"]

    @property
    def mean(self) -> Float[Tensor, " G"]:
        """Mean over runs."""
        return self.runs.mean(0)

    def band(self, coverage: float = 0.9) -> tuple[Float[Tensor, " G"], Float[Tensor, " G"]]:
        """Ends of the central part of the runs, value by value: quantiles of them, no interval of their mean."""
        if not 0 < coverage <= 1:
            raise InputError(f"coverage is the central share of the runs, in (0, 1]; got {coverage}.")
        low, high = self.runs.quantile(self.runs.new_tensor([(1 - coverage) / 2, (1 + coverage) / 2]), 0)
        return low, high


@checked
def partial_dependence(
    priors: LearnedPrior | Sequence[LearnedPrior], source: str, points: int = 25
) -> Dependence:
    """g with one meta-feature set to the same value for all features, over a grid of values [friedman2001].

    g itself is averaged, with its sign, not abs(g): a change of sign would look like a minimum of influence. Where
    meta-features go together the grid visits combinations that no feature has; `curves` show whether features differ.

    Cost: S G p rows through g.

    Args:
        priors: one, or those of several seeds or splits, on the same columns and features. The grid is the first's;
            each reads it in the units that its own meta-features were standardised with.
        source: an original meta-feature, one of `meta_features.sources`: a number, a category or a set.
        points: values between its smallest and largest.

    Raises:
        InputError: no priors, priors on other columns or features, an unknown meta-feature, fewer than two points.

    Example:
        >>> from rightreasons.priors import MetaFeatures
        >>> meta = MetaFeatures.from_table({"size": [1.0, 2.0, 4.0]}, ["a", "b", "c"], names=["a", "b", "c"])
        >>> prior = LearnedPrior(meta)
        >>> torch.nn.init.constant_(prior.network.weight, -2.0 * meta.columns[0].scale).shape
        torch.Size([1, 1])
        >>> found = partial_dependence(prior, "size", points=4)
        >>> found.values, found.mean.diff().round(decimals=3)
        (tensor([1., 2., 3., 4.]), tensor([-2., -2., -2.]))
    """
    runs = _checked(priors)
    meta = runs[0].meta_features
    if source not in meta.sources:
        raise InputError(
            f"there is no meta-feature {source!r}; there are {', '.join(map(repr, meta.sources[:10]))}"
            f"{', ...' if len(meta.sources) > 10 else ''}."
        )
    if points < 2:
        raise InputError(f"a curve needs at least two points; got {points}.")
    positions = [i for i, column in enumerate(meta.columns) if column.source == source]
    values, levels = _grid(runs[0], positions, points)
    answers_SGp = torch.stack(
        [
            torch.stack([_at(prior, positions, row) for row in _settings(prior, positions, values)])
            for prior in runs
        ]
    )
    return Dependence(source, values, levels, answers_SGp.mean(2), answers_SGp.mean(0).T)


@checked
def explain_importance(
    prior: LearnedPrior,
    features: Sequence[str] | None = None,
    *,
    steps: int = 8,
    references: int | None = None,
    seed: int = 0,
) -> Float[Tensor, "n q"]:
    """Which meta-features make g of a feature what it is: expected gradients of g, with the features as references.

    Every reference is used, on a straight path with Gauss-Legendre points, so nothing is drawn: the maps of a feature
    sum to g(m_j) - mean_r g(m_r), up to the quadrature of a network that is not smooth. The published plot took one
    random reference for each feature.

    Cost: R steps n rows through g and back.

    Args:
        prior: trained.
        features: names of the n features whose g is explained; None: all.
        steps: points on each path.
        references: how many features are references, chosen at random; None: all, at most 512.
        seed: of that choice.

    Raises:
        InputError: fewer than one reference, or a name that is no feature's.
    """
    meta = prior.meta.detach()
    features = None if features is None else names_in("features", features)
    known = {name: i for i, name in enumerate(prior.meta_features.features)}
    unknown = [name for name in features or () if name not in known]
    if unknown:
        raise InputError(
            f"the prior has no feature {unknown[0]!r}; it has {', '.join(map(repr, list(known)[:3]))}, ..."
        )
    most = ALL_REFERENCES if references is None else references
    if most < 1:
        raise InputError(f"references counts features, at least 1; got {references}.")
    rows = torch.arange(len(meta))
    if most < len(meta):
        rows = torch.randperm(len(meta), generator=torch.Generator().manual_seed(seed))[:most]
    dtype = next((p.dtype for p in prior.network.parameters()), meta.dtype)
    baselines = meta[rows].to(dtype)
    points = (meta if features is None else meta[[known[name] for name in features]]).to(dtype)
    total = torch.zeros_like(points)
    if isinstance(prior.network, Constant) or not len(points):
        return total
    for part in baselines.split(max(1, _ROWS // len(points))):
        starts = part.repeat_interleave(len(points), 0)
        method = IntegratedGradients(starts, steps=steps)
        maps = as_tuple(method(_Flat(prior), points.repeat(len(part), 1)))[0]
        total += maps.reshape(len(part), *points.shape).sum(0)
    return total / len(rows)


@dataclass(frozen=True)
class Ranked:
    """A feature with what a learned prior says of it: mean of g over runs, and its standard deviation (0 for one)."""

    feature: str
    importance: float
    spread: float


@checked
def top_features(priors: LearnedPrior | Sequence[LearnedPrior], k: int = 10) -> list[Ranked]:
    """The k features with the largest abs(g), mean over runs, signs kept; with `signed=False` the largest g, a size.

    Raises: InputError for no priors, priors on other columns or features, or k outside 1..p.
    """
    runs = _checked(priors)
    features = runs[0].meta_features.features
    if not 1 <= k <= len(features):
        raise InputError(f"k must lie in 1..{len(features)}, the number of features; got {k}.")
    values_Sp = torch.stack([prior.importance().detach() for prior in runs])
    mean, spread = values_Sp.mean(0), values_Sp.std(0, correction=min(1, len(runs) - 1))
    size = mean.abs() if runs[0].signed else mean
    order = size.argsort(descending=True, stable=True)[:k]
    return [Ranked(features[i], float(mean[i]), float(spread[i])) for i in order.tolist()]


class _Flat:
    """g as a model of one output."""

    def __init__(self, prior: LearnedPrior) -> None:
        self.prior = prior

    def __call__(self, meta: Tensor) -> Tensor:
        return self.prior.importance_at(meta)


def _checked(priors: LearnedPrior | Sequence[LearnedPrior]) -> list[LearnedPrior]:
    runs = [priors] if isinstance(priors, LearnedPrior) else list(priors)
    if not runs:
        raise InputError("interpretation needs at least one learned prior; got none.")
    names = runs[0].meta_features.names
    if any(prior.meta_features.names != names for prior in runs):
        raise InputError(
            "priors can be averaged only if they have the same meta-features, in the same order."
        )
    features = runs[0].meta_features.features
    if any(prior.meta_features.features != features for prior in runs):
        raise InputError(
            "the priors are about different features, whose g cannot be averaged. Make their meta-features for those "
            "all have in common, in one order."
        )
    return runs


def _grid(
    prior: LearnedPrior, positions: list[int], points: int
) -> tuple[Float[Tensor, " G"], tuple[str, ...]]:
    """Values of the original meta-feature, and names of categories."""
    column = prior.meta_features.columns[positions[0]]
    if column.kind == "number":
        present = prior.meta[:, positions[0]]
        standard = torch.linspace(float(present.min()), float(present.max()), points).to(present)
        return standard * column.scale + column.centre, ()
    if column.kind == "level":
        names = tuple(prior.meta_features.columns[i].name.split("=", 1)[1] for i in positions)
        return torch.arange(float(len(names))), names
    return torch.tensor([0.0, 1.0]), ()


def _settings(prior: LearnedPrior, positions: list[int], values: Float[Tensor, " G"]) -> Float[Tensor, "G n"]:
    """What the columns are at each value."""
    column = prior.meta_features.columns[positions[0]]
    if column.kind == "level":
        return torch.eye(len(positions)).to(prior.meta)
    return ((values - column.centre) / column.scale).to(prior.meta)[:, None]


@torch.no_grad()
def _at(prior: LearnedPrior, positions: list[int], values: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
    meta = prior.meta.clone()
    meta[:, positions] = values
    return prior.importance_at(meta).clone()  # of a constant g it is a view of the parameter
