"""Monte Carlo estimators of path integrals: running sums over draws, then a small combination.

Expected gradients of feature i is the mean over references r and alpha ~ U(0, 1) of v_i = u_i * g_i, with
u = x - r and g the gradient at z = r + alpha * u. Legend: B rows, m draws of a chunk, n draws in all, F features,
t = sum of v over all features of all inputs, T = f(x) - mean_r f(r) = the exact mean of t, c = u - mean_r u.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rightreasons.core._inputs import row_totals

Sums = tuple[Tensor, ...]

FEWEST_FOR_SLOPES = 4
"""Below this many draws a regression slope costs more error than it saves: the plain mean is returned."""
FEWEST_FOR_PROJECTION = 8
"""Below this many draws the covariance with the total is too noisy to project onto completeness."""
_SMALL = 1e-12
"""Spread of references below which, and above whose inverse, products with them might leave float32."""
PLAUSIBLE = 9.0
"""Squared standard errors that a mean of draws may lie from its known mean before slopes are shrunk."""


class Estimate(NamedTuple):
    """Maps with what is known about their error, one entry per input tensor where plural.

    Attributes:
        maps: attributions, (B, *F) each.
        standard_errors: of each feature, (B, *F) each; NaN where the draws are too few to tell.
        gap: T minus the sum of the maps *before* any projection onto completeness, (B,); None without T.
    """

    maps: tuple[Tensor, ...]
    standard_errors: tuple[Tensor, ...]
    gap: Tensor | None


def _per_row(t_BM: Tensor, like: Tensor) -> Tensor:
    """Append axes so that a (B, ...) tensor multiplies a (B, ..., *F) one."""
    return t_BM.reshape(t_BM.shape + (1,) * (like.ndim - t_BM.ndim))


def _ratio(numerator: Tensor, denominator: Tensor, usable: Tensor) -> Tensor:
    """Quotient where usable, zero with zero gradient elsewhere."""
    return torch.where(usable, numerator, 0.0) / torch.where(usable, denominator, 1.0)


@dataclass(frozen=True, eq=False)
class Draws:
    """Some rows, their references, and where on each path gradients are taken.

    Args:
        xs: what is explained, (b, *F) for each input; one row may have b sets of draws.
        references: all R references, (R, *F) for each input.
        indices: which reference each draw uses: (n,) shared by the rows, or (b, n).
        alphas: how far from the reference towards x, in (0, 1); same shape.
    """

    xs: tuple[Tensor, ...]
    references: tuple[Tensor, ...]
    indices: Tensor
    alphas: Tensor

    @property
    def count(self) -> int:
        """Draws n of each row."""
        return self.indices.shape[-1]

    def displacements(self, draws: slice) -> tuple[Tensor, ...]:
        """x - r of a range of draws, (b, m, *F) for each input."""
        indices = self.indices[..., draws]
        return tuple(
            x.unsqueeze(1) - (r[indices] if indices.ndim > 1 else r[indices].unsqueeze(0))
            for x, r in zip(self.xs, self.references, strict=True)
        )

    def points(self, draws: slice) -> tuple[Tensor, ...]:
        """r + alpha (x - r) of a range of draws, (b, m, *F) for each input."""
        left = 1 - self.alphas[..., draws].to(self.xs[0])
        left = left if left.ndim > 1 else left.unsqueeze(0)
        return tuple(
            x.unsqueeze(1) - _per_row(left, u) * u
            for x, u in zip(self.xs, self.displacements(draws), strict=True)
        )


class Plan(ABC):
    """How the gradients at some draws become maps: `statistics` of pieces add up, `combine` is ordinary autograd."""

    draws: Draws

    @abstractmethod
    def statistics(self, gradients: tuple[Tensor, ...], draws: slice) -> Sums:
        """Sums over a range of draws, batch first, of what is needed of the gradients there, (b, m, *F) each."""

    @abstractmethod
    def combine(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> tuple[Tensor, ...]:
        """Maps, (b, *F) for each input, from the sums over all draws and f(x) - f(r) for every reference."""

    @abstractmethod
    def estimate(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> Estimate:
        """Maps with standard errors, and with the completeness gap where `differences` are given."""


class Estimator(ABC):
    """How references and alphas are drawn, and (`plan`) how gradients at the draws become maps.

    Attributes:
        without_replacement: references are dealt from shuffled decks rather than drawn independently.
        stratified: each of n equal parts of (0, 1) holds one alpha.
        needs_completeness: reads f(x) - f(r) of all references.
        uses_all_references: reads references that are not drawn.
    """

    without_replacement: ClassVar[bool]
    stratified: ClassVar[bool]
    needs_completeness: ClassVar[bool] = False
    uses_all_references: ClassVar[bool] = False

    @abstractmethod
    def plan(self, draws: Draws) -> Plan:
        """The arithmetic for these draws; knows no gradient yet."""


class Sampled(Estimator):
    """Estimators made of sums over draws that are the same for every feature."""

    def plan(self, draws: Draws) -> Plan:
        """The arithmetic for these draws."""
        return _SampledPlan(self, draws)

    def statistics(
        self,
        u: Float[Tensor, "B m *F"],
        v: Float[Tensor, "B m *F"],
        t: Float[Tensor, "B m"],
        mean_u: Float[Tensor, "B *F"],
    ) -> Sums:
        """Sums over the m draws of a chunk for one input tensor, batch first; chunks add.

        Args:
            u: displacement x - r of every draw, in any unit of each feature.
            v: u times the gradient at the draw, in output units.
            t: sum of v over the features of every input tensor, in output units.
            mean_u: x minus the mean of all references, the exact mean of u, in its units; read only if
                `uses_all_references`.
        """
        return (v.sum(1), sum_of_squares(v))

    @abstractmethod
    def combine(
        self, sums: Sequence[Sums], draws: int, total: Float[Tensor, "B"] | None = None
    ) -> tuple[Tensor, ...]:
        """Maps from the sums of every input tensor, (B, *F) each.

        Args:
            sums: for each input tensor, what `statistics` gave, added over chunks.
            draws: the number of draws n that were added.
            total: T = f(x) - mean_r f(r), in output units; only read when `needs_completeness`.
        """

    def estimate(self, sums: Sequence[Sums], draws: int, total: Float[Tensor, "B"] | None = None) -> Estimate:
        """Maps, standard errors and the completeness gap before projection."""
        gap = None if total is None else total - row_totals(self._unprojected(sums, draws))
        return Estimate(self.combine(sums, draws, total), self._standard_errors(sums, draws), gap)

    def _unprojected(self, sums: Sequence[Sums], draws: int) -> tuple[Tensor, ...]:
        return tuple(s[0] / draws for s in sums)

    def _standard_errors(self, sums: Sequence[Sums], draws: int) -> tuple[Tensor, ...]:
        variances = [_variance(s[0], s[1], draws) for s in sums]
        return tuple(
            ((w / (draws - 1)).sqrt() if draws > 1 else torch.full_like(w, torch.nan)).to(s[0].dtype)
            for w, s in zip(variances, sums, strict=True)
        )


def _variance(first: Tensor, second: Tensor, draws: int) -> Tensor:
    """Variance (divided by n) from a sum and a sum of squares, zero below the rounding of the sum."""
    square = second / draws
    variance = square - (first.to(square.dtype) / draws).square()
    return torch.where(variance > 16 * torch.finfo(first.dtype).eps * square, variance, 0.0)


def sum_of_squares(values: Float[Tensor, "B m *F"]) -> Float[Tensor, "B *F"]:
    """Over the draws, in float64: squares of what float32 holds may be more, or less, than it can."""
    return torch.linalg.vector_norm(values, dim=1, dtype=torch.float64).square()


@dataclass(frozen=True)
class Independent(Sampled):
    """Mean of independent draws: unbiased, error falls as 1/n; what every other library does [erion2021]."""

    without_replacement: ClassVar[bool] = False
    stratified: ClassVar[bool] = False

    def combine(
        self, sums: Sequence[Sums], draws: int, total: Float[Tensor, "B"] | None = None
    ) -> tuple[Tensor, ...]:
        return self._unprojected(sums, draws)


@dataclass(frozen=True)
class Stratified(Independent):
    """Mean over references without replacement and one alpha in each of n equal strata: unbiased."""

    without_replacement: ClassVar[bool] = True
    stratified: ClassVar[bool] = True


@dataclass(frozen=True)
class ControlVariate(Sampled):
    """Stratified draws, corrected by a per-feature linear regression of v on u, whose exact mean is known.

        phi_i = mean v_i - b_i mean c_i, with c = u - mean_r u and b_i = cov(c_i, v_i) / var(c_i)

    Exact on linear models, biased by O(1/n). A mean of c more than three standard errors from zero tells that the
    draws missed a rare value of the feature: the variance is then taken large enough for three, because a slope
    extrapolated that far (pixels that are rarely on) made the error a hundredfold. Below 4 draws: the plain mean.
    """

    without_replacement: ClassVar[bool] = True
    stratified: ClassVar[bool] = True
    uses_all_references: ClassVar[bool] = True

    def statistics(
        self,
        u: Float[Tensor, "B m *F"],
        v: Float[Tensor, "B m *F"],
        t: Float[Tensor, "B m"],
        mean_u: Float[Tensor, "B *F"],
    ) -> Sums:
        c = u - mean_u.unsqueeze(1)  # centred before summing: raw moments of u cancel in float32
        return (v.sum(1), sum_of_squares(v), c.sum(1), c.square().sum(1), (c * v).sum(1))

    def combine(
        self, sums: Sequence[Sums], draws: int, total: Float[Tensor, "B"] | None = None
    ) -> tuple[Tensor, ...]:
        return self._unprojected(sums, draws)

    def _unprojected(self, sums: Sequence[Sums], draws: int) -> tuple[Tensor, ...]:
        if draws < FEWEST_FOR_SLOPES:
            return super()._unprojected(sums, draws)
        return tuple(s[0] / draws - self._slope(s, draws) * s[2] / draws for s in sums)

    def _slope(self, s: Sums, draws: int) -> Tensor:
        v, _, c, cc, cv = s[:5]
        variance = _variance(c, cc, draws)
        plausible = torch.maximum(variance, c.square() / (draws * PLAUSIBLE))
        return _ratio(cv / draws - c * v / draws**2, plausible, variance > 0)

    def _standard_errors(self, sums: Sequence[Sums], draws: int) -> tuple[Tensor, ...]:
        if draws < FEWEST_FOR_SLOPES:
            return super()._standard_errors(sums, draws)
        return tuple(
            (
                (
                    _variance(s[0], s[1], draws)
                    - self._slope(s, draws).to(s[1].dtype).square() * _variance(s[2], s[3], draws)
                ).clamp(min=0)
                / (draws - 2)
            )
            .sqrt()
            .to(s[0].dtype)
            for s in sums
        )


@dataclass(frozen=True)
class Complete(ControlVariate):
    """Control variate projected onto completeness: the maps sum to T = f(x) - mean_r f(r).

        phi + S1 (T - 1'phi) / (1'S1), with S the covariance of v over the draws, so S1_i = cov(v_i, t)

    Biased at finite n, not linear in the model. Where t does not vary, the residual is split by the second moments of
    v; where v is zero throughout, it is left. Below 8 draws nothing is projected.
    """

    needs_completeness: ClassVar[bool] = True

    def statistics(
        self,
        u: Float[Tensor, "B m *F"],
        v: Float[Tensor, "B m *F"],
        t: Float[Tensor, "B m"],
        mean_u: Float[Tensor, "B *F"],
    ) -> Sums:
        exact = t.double()  # like the squares of v
        return (
            *super().statistics(u, v, t, mean_u),
            torch.einsum("bm...,bm->b...", v.double(), exact),
            t.to(v.dtype).sum(1),
            exact.square().sum(1),
        )

    def combine(
        self, sums: Sequence[Sums], draws: int, total: Float[Tensor, "B"] | None = None
    ) -> tuple[Tensor, ...]:
        maps = self._unprojected(sums, draws)
        if total is None or draws < FEWEST_FOR_PROJECTION:
            return maps
        gap = total - row_totals(maps)
        t, tt = sums[0][6:]
        varies = _variance(t, tt, draws) > 0
        shares = [
            torch.where(
                _per_row(varies, s[0]),
                s[5] / draws - s[0].double() * _per_row(t, s[0]).double() / draws**2,
                s[1] / draws,
            )
            for s in sums
        ]
        whole = row_totals(shares)
        step = _ratio(gap.to(whole.dtype), whole, whole > 0)
        return tuple(
            phi + (share * _per_row(step, phi)).to(phi.dtype) for phi, share in zip(maps, shares, strict=True)
        )


def draw(
    references: int,
    draws: int,
    estimator: Estimator,
    generator: torch.Generator | None = None,
    rows: int | None = None,
) -> tuple[Int64[Tensor, "*rows draws"], Float[Tensor, "*rows draws"]]:
    """Reference indices and float64 alphas, on the CPU.

    Args:
        references: how many references R there are.
        draws: draws n per row.
        estimator: says whether indices repeat and alphas are stratified.
        generator: CPU generator; None advances the global one.
        rows: None for one set of draws, (n,); B for a set per row, (B, n). Then alphas are stratified within a row,
            or over the rows when n = 1, and references are not repeated across rows before all were used.
    """
    b = 1 if rows is None else rows
    shape = (draws,) if rows is None else (rows, draws)
    if estimator.without_replacement:
        indices = _balanced(references, b, draws, generator)
    else:
        indices = torch.randint(references, (b, draws), generator=generator)
    alphas = torch.rand(b, draws, generator=generator, dtype=torch.float64)
    if estimator.stratified:
        strata = _permutations(1, b, generator).T if draws == 1 else _permutations(b, draws, generator)
        alphas = (strata + alphas) / strata.numel() * (1 if draws == 1 else b)
    return indices.reshape(shape), alphas.reshape(shape)


def _permutations(count: int, size: int, generator: torch.Generator | None) -> Int64[Tensor, "count size"]:
    if count == 0 or size == 0:
        return torch.empty(count, size, dtype=torch.int64)
    return torch.stack([torch.randperm(size, generator=generator) for _ in range(count)])


def _balanced(
    references: int, rows: int, draws: int, generator: torch.Generator | None
) -> Int64[Tensor, "rows draws"]:
    """Indices dealt from shuffled decks of the references; a row of at most R draws has no repeats."""
    if draws > references:
        decks = -(-draws // references)
        return torch.stack(
            [_permutations(decks, references, generator).reshape(-1)[:draws] for _ in range(rows)]
        )
    rows_per_deck = references // draws
    decks = -(-rows // rows_per_deck)
    dealt = _permutations(decks, references, generator)[:, : rows_per_deck * draws]
    return dealt.reshape(-1, draws)[:rows]


class _SampledPlan(Plan):
    """Statistics of displacement times gradient, draw by draw."""

    def __init__(self, estimator: Sampled, draws: Draws) -> None:
        self.estimator = estimator
        self.draws = draws

    def statistics(self, gradients: tuple[Tensor, ...], draws: slice) -> Sums:
        us = self.draws.displacements(draws)
        vs = [u * g for u, g in zip(us, gradients, strict=True)]
        t = torch.stack([v.reshape(*v.shape[:2], -1).sum(2) for v in vs]).sum(0)
        means = self.draws.xs
        if self.estimator.uses_all_references:
            means = [x - mean for x, mean in zip(means, self._centres, strict=True)]
            if self._units:
                us = [u * unit for u, unit in zip(us, self._units, strict=True)]
                means = [mean * unit for mean, unit in zip(means, self._units, strict=True)]
        parts = [self.estimator.statistics(u, v, t, mean) for u, v, mean in zip(us, vs, means, strict=True)]
        return tuple(statistic for part in parts for statistic in part)

    @cached_property
    def _centres(self) -> list[Tensor]:
        return [(r / len(r)).sum(0) for r in self.draws.references]

    @cached_property
    def _units(self) -> list[Tensor]:
        """What makes the references' spread 1, feature by feature; none where its squares need no unit."""
        pairs = zip(self.draws.references, self._centres, strict=True)
        spreads = [(r - mean).detach().abs().amax(0) for r, mean in pairs]
        usual = all(bool(((s < 1 / _SMALL) & ((s > _SMALL) | (s == 0))).all()) for s in spreads)
        return [] if usual else [torch.where(s > 0, 1 / s, 0.0) for s in spreads]

    def combine(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> tuple[Tensor, ...]:
        return self.estimator.combine(self._grouped(sums), self.draws.count, _mean(differences))

    def estimate(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> Estimate:
        return self.estimator.estimate(self._grouped(sums), self.draws.count, _mean(differences))

    def _grouped(self, sums: Sums) -> list[Sums]:
        size = len(sums) // len(self.draws.xs)
        return [sums[i : i + size] for i in range(0, len(sums), size)]


def _mean(differences: Tensor | None) -> Tensor | None:
    return None if differences is None else differences.mean(1)
