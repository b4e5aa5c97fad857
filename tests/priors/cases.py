"""One row for each configuration of a prior; the conformance suite runs over all of them.

To add a prior: one row here and one loop in oracles.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rightreasons.priors import (
    L1,
    L2,
    Alignment,
    FourierSmoothness,
    Gini,
    GraphLaplacian,
    Grouped,
    GroupSparsity,
    LearnedPrior,
    Mask,
    MetaFeatures,
    Monotone,
    Prior,
    TotalVariation,
)
from tests.priors import oracles


@dataclass(frozen=True, eq=False)
class Case:
    """A prior with what it claims.

    Args:
        prior: the configuration.
        shape: of the maps it is tried on; four rows.
        oracle: (maps, guidance) -> the penalty.
        guidance: (B, ...) or None.
        coupled: depends on the batch as a whole.
        scale_free: f(c maps) = f(maps) for c > 0.
        bilinear: offers an unbiased two-draw form.
        additive: equal to the mean of the penalties of two halves of the batch.
        plain: `eval(repr(prior))` gives the prior back.
        frozen: a frozen dataclass; otherwise an owner of parameters.
        rests: maps of zeros have gradient zero.
    """

    prior: Prior
    shape: tuple[int, ...]
    oracle: Callable[[Tensor, Tensor | None], float]
    guidance: Tensor | None = None
    coupled: bool = False
    scale_free: bool = False
    bilinear: bool = False
    additive: bool = True
    plain: bool = True
    frozen: bool = True
    rests: bool = True

    @property
    def name(self) -> str:
        return f"{self.prior!r}-{'x'.join(map(str, self.shape))}"

    def maps(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(self.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(
            dtype
        )


def _uniform(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def _adjacency(p: int) -> Tensor:
    half = torch.triu(_uniform(p, p) * (_uniform(p, p) > 0.4))  # the diagonal, self loops, included
    return half + half.T


def _with_unknown_rows(human: Tensor) -> Tensor:
    human = human.clone()
    human[1] = torch.nan
    human[2] = 0
    return human


def _variation(shape: tuple[int, ...], prior: TotalVariation, scale_free: bool = True) -> Case:
    def oracle(maps: Tensor, guidance: Tensor | None) -> float:
        return oracles.variation(maps, prior.normalise, prior.dims, prior.channels)

    return Case(prior, shape, oracle, scale_free=scale_free)


def _on_graph(formula: Callable[[Tensor, Tensor], float], **facts: bool | str | None) -> Case:
    adjacency = _adjacency(6)
    level, normalise = facts.pop("level"), facts.pop("normalise", None)
    return Case(
        GraphLaplacian(adjacency, level=level, normalise=normalise),
        (4, 6),
        lambda maps, _: formula(maps, adjacency),
        plain=False,
        coupled=level == "global",
        additive=level == "sample",
        scale_free=normalise is not None,
        **facts,
    )


def _spectrum(shape: tuple[int, ...], prior: FourierSmoothness) -> Case:
    return Case(prior, shape, lambda maps, _: oracles.fourier(maps, prior), scale_free=True)


def _grouped(penalty: str, level: str, groups: tuple[tuple[int, ...], ...], **facts: bool) -> Case:
    prior = GroupSparsity(groups, penalty=penalty, level=level)
    oracle = {"gini": oracles.group_gini, "lasso": oracles.group_lasso}[penalty]
    return Case(
        prior,
        (4, 2, 3),
        lambda maps, _: oracle(maps, groups, level),
        coupled=level == "global",
        additive=level == "sample",
        scale_free=penalty == "gini",
        plain=False,
        **facts,
    )


def _learned(network: str, signed: bool, distance: str, level: str) -> Case:
    meta = MetaFeatures.from_table({"size": _uniform(6).numpy()}, list("abcdef"), names=list("abcdef"))
    prior = LearnedPrior(meta, network, signed, distance, level)
    torch.nn.utils.vector_to_parameters(
        _uniform(sum(p.numel() for p in prior.parameters())).float(), prior.parameters()
    )
    return Case(
        prior,
        (4, 2, 3),
        lambda maps, _: oracles.learned(maps, prior.importance().detach(), signed, distance, level),
        coupled=level == "global",
        additive=level == "sample",
        bilinear=signed and distance == "l2",
        plain=False,
        frozen=False,
        rests=False,
    )


def _on_columns(prior: Prior, oracle: Callable[..., Tensor], **facts: bool) -> Case:
    columns = {"a": (0, 3), "b": (1,), "c": (2, 4, 5)}

    def of_sums(maps: Tensor, _: object) -> Tensor:
        return oracle(torch.stack([maps[:, list(own)].sum(1) for own in columns.values()], dim=1), None)

    return Case(Grouped(prior, columns), (4, 6), of_sums, plain=False, **facts)


_GROUPS = ((0,), (1, 2, 5), (3, 4))
_OVERLAPPING = ((0, 1), (1, 2, 5))  # features 3 and 4 are free
_SIGNS = torch.tensor([1.0, -1.0, 0.0, 2.0, 0.0, -1.0])
_SIGNS_PER_SAMPLE = (_uniform(4, 1, 6) * 3).floor() - 1
_PIXELS = _uniform(3, 4) > 0.5
_PER_SAMPLE = _uniform(4, 1, 3, 4) > 0.5
_HUMAN = _with_unknown_rows(_uniform(4, 7))
_HUMAN_IMAGES = _uniform(4, 1, 3, 4)

CASES = [
    _variation((4, 3, 5), TotalVariation()),
    _variation((4, 2, 3, 4), TotalVariation()),
    _variation((4, 2, 3, 4), TotalVariation("l1", channels="keep")),
    _variation((4, 2, 3, 4), TotalVariation("std", channels="keep")),
    _variation((4, 2, 3, 4), TotalVariation("published"), scale_free=False),
    _variation((4, 7), TotalVariation(dims=1)),
    _variation((4, 2, 7), TotalVariation(None, dims=1), scale_free=False),
    _variation((4, 2, 3, 2, 3), TotalVariation("l1", dims=3)),
    Case(Gini(), (4, 9), oracles.gini_global, coupled=True, scale_free=True, additive=False),
    Case(Gini("global"), (4, 2, 3), oracles.gini_global, coupled=True, scale_free=True, additive=False),
    Case(Gini("sample"), (4, 2, 3), oracles.gini_sample, scale_free=True),
    _on_graph(oracles.graph_global, level="global"),
    _on_graph(oracles.graph_sample, level="sample", bilinear=True),
    _on_graph(oracles.rayleigh_global, level="global", normalise="l2"),
    _on_graph(oracles.rayleigh_sample, level="sample", normalise="l2"),
    Case(L1(), (4, 2, 3), oracles.l1),
    Case(L1("global"), (4, 6), oracles.l1, coupled=True),
    Case(L2(), (4, 2, 3), oracles.l2_sample, bilinear=True),
    Case(L2("global"), (4, 6), oracles.l2_global, coupled=True, additive=False),
    Case(Mask(_PIXELS[None]), (4, 2, 3, 4), lambda m, _: oracles.masked(m, _PIXELS), bilinear=True, plain=False),
    Case(Mask(), (4, 2, 3, 4), lambda m, _: oracles.masked(m, _PER_SAMPLE), guidance=_PER_SAMPLE, bilinear=True),
    Case(Mask(), (4, 7), lambda m, _: oracles.masked(m, _uniform(4, 7)), guidance=_uniform(4, 7), bilinear=True),
    Case(Alignment(), (4, 7), partial(oracles.alignment, signed=False), guidance=_HUMAN, scale_free=True),
    Case(Alignment(signed=True), (4, 7), partial(oracles.alignment, signed=True), guidance=_HUMAN - 0.5,
         scale_free=True),
    Case(Alignment(), (4, 2, 3, 4), oracles.alignment_of_images, guidance=_HUMAN_IMAGES, scale_free=True),
    _spectrum((4, 16), FourierSmoothness(limit=3)),
    _spectrum((4, 4, 15), FourierSmoothness(limit=2, softness=None, smoothing=1)),
    _spectrum((4, 2, 12), FourierSmoothness(limit=2, softness=1.0, smoothing=0, constant="free")),
    _grouped("gini", "global", _GROUPS),
    _grouped("gini", "sample", _OVERLAPPING),
    _grouped("lasso", "sample", _GROUPS),
    _grouped("lasso", "global", _OVERLAPPING),
    _on_columns(L2(), oracles.l2_sample, bilinear=True),
    _on_columns(Gini(), oracles.gini_global, coupled=True, scale_free=True, additive=False),
    Case(Monotone(_SIGNS), (4, 6), lambda m, _: oracles.wrong_sign(m, _SIGNS.expand(4, 6)), plain=False),
    Case(Monotone(), (4, 2, 6), lambda m, _: oracles.wrong_sign(m, _SIGNS_PER_SAMPLE),
         guidance=_SIGNS_PER_SAMPLE),
    _learned("linear", True, "l1", "sample"),
    _learned("linear", True, "l1", "global"),
    _learned("mlp", False, "l1", "sample"),
    _learned("constant", False, "l2", "global"),
    _learned("mlp", True, "l2", "sample"),
    _learned("linear", True, "l2", "global"),
]  # fmt: skip
