"""Expected gradients by kriging: n gradients interpolated onto the paths from all R references.

Every partial derivative is modelled as an unknown constant plus a Gaussian process over the input space, the same
kernel k for all. With z_j the points where gradients g_j are known and k_r the kernel averaged along the path from
reference r to x, the best linear unbiased predictor of the mean gradient on path r ("ordinary kriging") is
sum_j A_rj g_j, and

    phi_i = (1 / R) sum_r (x_i - r_i) sum_j A_rj g_ji.

A depends on where the points are, never on the model: phi is linear in the model, and every reference counts even if
none of its own points was drawn. Where f at the references is known, so is the gradient's integral along every path,
y_r = f(x) - f(r); what the interpolation misses of them is distributed by the same model.

Legend: b rows, R references, n draws, m draws of a piece, F features, Q nodes along a path.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rightreasons.attribution.path._estimators import Draws, Estimate, Estimator, Plan, Sums, sum_of_squares
from rightreasons.attribution.path._quadrature import GaussLegendre
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError

NUGGET = 1e-2
"""Share of a gradient's prior variance that is noise to the interpolation: kinks of ReLU networks, rounding."""
DISCREPANCY = 1e-2
"""Share of the path integrals' prior variance that their own quadrature and roughness leave unexplained."""
NODES = 4
"""Gauss-Legendre nodes for the kernel's average along a path, while there are no more draws than references."""
MOST_NODES = 48
"""The most of them, however many draws; their pairs are what a row costs."""
MOST_DRAWS = 10_000
"""The most draws: of more, the matrices of one row take gigabytes, and solving them minutes."""
CACHED_VALUES = 2**16
"""Kernel values computed at once: rows are grouped, as many small ones cost the time of the calls."""


@final
@checked
@dataclass(frozen=True)
class Kriging(Estimator):
    """Stratified draws whose gradients are interpolated onto all paths, then made to match f at the references.

        phi_i = (1 / R) sum_r (x_i - r_i) sum_j A_rj g_ji  +  correction by y_r - sum_j A_rj (x - r) . g_j

    Ordinary kriging with a Matern-3/2 kernel whose length is the root mean square distance from x to the references,
    measured so that the unit of a feature does not matter; Bayesian quadrature under another name [ohagan1991].
    Linear in the model, exact for linear models from one draw on, complete (sum_i phi_i = mean_r y_r, to rounding).
    A feature whose gradient is zero at every draw gets zero (between models that read different features, that is
    where linearity ends).
    Deterministic given the draws, biased at finite n: it smooths.

    Cost: n gradients and, amortised over rows, R forward passes; for each row R n F + R^2 F + n^3 multiplications, and
    Q^2 R^2 kernel values. Memory (R + n)^2 for each row. Beyond a few hundred references or samples take `Complete()`.

    Args:
        length: the kernel's length in units of that distance.

    Example:
        >>> import torch
        >>> references = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
        >>> draws = Draws(
        ...     (torch.tensor([[5.0, 1.0]]),), (references,), torch.tensor([1]), torch.tensor([0.3])
        ... )
        >>> plan = Kriging().plan(draws)
        >>> sums = plan.statistics((torch.tensor([[[3.0, -1.0]]]),), slice(0, 1))
        >>> plan.combine(sums, None)
        (tensor([[12., -1.]]),)
    """

    length: float = 1.0
    without_replacement: ClassVar[bool] = True
    stratified: ClassVar[bool] = True
    needs_completeness: ClassVar[bool] = True
    uses_all_references: ClassVar[bool] = True

    def plan(self, draws: Draws) -> "KrigingPlan":
        """Interpolation weights for these draws; differentiable in x and the references where they need it."""
        if draws.count > MOST_DRAWS:
            raise InputError(
                f"Kriging() solves a system of as many equations as there are samples, for each row; got "
                f"{draws.count} samples, of at most {MOST_DRAWS}. Leave estimator unset, or use Complete()."
            )
        return KrigingPlan(draws, self.length)


class KrigingPlan(Plan):
    """The interpolation for some rows; everything of size R or n is float64."""

    def __init__(self, draws: Draws, length: float) -> None:
        self.draws = draws
        self.length = length

    def statistics(self, gradients: tuple[Tensor, ...], draws: slice) -> Sums:
        """Sums of W_j g_j, g_j and, in float64, g_j^2 for each input, (b, *F); last of A_rj (x - r) . g_j, (b, R)."""
        weights = self.interpolation[:, :, draws]
        parts, along = [], []
        for x, r, g in zip(*self._flat, gradients, strict=True):
            flat = g.reshape(*g.shape[:2], -1)
            a = weights.to(flat.dtype)
            mean = a / len(r)  # first, so that no sum over references overflows
            displacements = mean.sum(1).unsqueeze(2) * x.unsqueeze(1) - mean.mT @ r  # W, (b, m, F)
            slopes = (flat @ x.unsqueeze(2)).mT - r @ flat.mT  # (x - r) . g, (b, R, m)
            parts += [(displacements * flat).sum(1).reshape(g[:, 0].shape), g.sum(1), sum_of_squares(g)]
            along.append((a * slopes).sum(2))
        return (*parts, torch.stack(along).sum(0))

    def combine(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> tuple[Tensor, ...]:
        """Maps, complete where f(x) - f(r) are given."""
        maps = sums[:-1:3]
        if differences is None:
            return maps
        missed = differences.to(torch.float64) - sums[-1].to(torch.float64)
        shares = _solve_with_exact_mean(self.covariance * self._gram, missed)
        pull = (shares.unsqueeze(2) * self.covariance).to(maps[0].dtype)
        moved = self._each_feature(pull)
        _, spreads, _ = zip(*self._space, strict=True)
        read = [s.reshape(len(s), -1) > 0 for s in sums[2:-1:3]]
        return tuple(
            phi + c.reshape(phi.shape) for phi, c in zip(maps, _among(moved, read, spreads), strict=True)
        )

    def estimate(self, sums: Sums, differences: Float[Tensor, "b R"] | None) -> Estimate:
        """Maps, the gap, and the posterior deviation (without f at the references) scaled to the gradients seen."""
        gap = None if differences is None else (differences - sums[-1].to(differences.dtype)).mean(1)
        return Estimate(self.combine(sums, differences), self._standard_errors(sums), gap)

    def _standard_errors(self, sums: Sums) -> tuple[Tensor, ...]:
        n = self.draws.count
        if n == 1:
            return tuple(torch.full_like(s, torch.nan) for s in sums[:-1:3])
        spread = torch.diagonal(self._kernel, dim1=1, dim2=2).sum(1) - self._kernel.sum((1, 2)) / n
        errors = []
        each = self._each_feature(self.covariance.to(sums[0].dtype))
        units = [unit for unit, _, _ in self._space]
        for first, second, q, unit in zip(sums[1:-1:3], sums[2:-1:3], each, units, strict=True):
            seen = (second - first.to(second.dtype).square() / n).clamp(min=0)
            prior = seen / spread.to(seen.dtype).reshape(-1, *(1,) * (seen.ndim - 1))
            moved = (q.clamp(min=0).sqrt() / torch.where(unit > 0, unit, torch.inf)).reshape(seen.shape)
            errors.append(((prior / self._references).sqrt() * moved).to(first.dtype))
        return tuple(errors)

    def _each_feature(self, weights: Float[Tensor, "b R R"]) -> list[Tensor]:
        """(1 / R) sum_rs u_ri weights_rs u_si of displacements u in units of their features, (b, F) for each input."""
        results = []
        for x, r, (units, _, _) in zip(*self._flat, self._space, strict=True):
            count = len(weights)
            sets = zip(x.expand(count, -1), units.expand(count, -1), weights, strict=True)
            scaled = ((unit * (row - r), w) for row, unit, w in sets)
            results.append(torch.stack([(u * (w @ u)).sum(0) for u, w in scaled]) / self._references)
        return results

    @property
    def _references(self) -> int:
        return self.draws.references[0].shape[0]

    @cached_property
    def _flat(self) -> tuple[list[Tensor], list[Tensor]]:
        return [x.reshape(len(x), -1) for x in self.draws.xs], [
            r.reshape(len(r), -1) for r in self.draws.references
        ]

    @cached_property
    def _space(self) -> list[tuple[Tensor, ...]]:
        """For each input, of all rows: unit (b, F), spread (b, F) and inner products (b, R, R); see `_measured`."""
        measured = ([_measured(row - r) for row in x] for x, r in zip(*self._flat, strict=True))
        return [tuple(torch.stack(each) for each in zip(*rows, strict=True)) for rows in measured]

    @cached_property
    def _gram(self) -> Float[Tensor, "b R R"]:
        """Inner products of the displacements x - r."""
        return torch.stack([gram for _, _, gram in self._space]).sum(0).to(torch.float64)

    @cached_property
    def _unit(self) -> Float[Tensor, "b R R"]:
        """The same with a mean square distance of 3 / length^2 from x to the references."""
        scale = torch.diagonal(self._gram, dim1=1, dim2=2).mean(1) * self.length**2 / 3
        return self._gram / torch.where(scale > 0, scale, 1.0)[:, None, None]

    @cached_property
    def _drawn(self) -> tuple[Tensor, Float[Tensor, "b n"]]:
        """The reference of every draw, and how much of the way from x to it is left: z = x - left (x - r)."""
        sets = max(self._gram.shape[0], self.draws.indices.shape[0] if self.draws.indices.ndim > 1 else 1)
        left = 1 - self.draws.alphas.to(self._gram)
        shape = (sets, self.draws.count)
        return self.draws.indices.to(left.device).expand(shape), left.expand(shape)

    @cached_property
    def _kernel(self) -> Float[Tensor, "b n n"]:
        return _in_groups(_between_draws, self.draws.count**2, self._unit_rows, *self._drawn)

    @cached_property
    def _to_paths(self) -> Float[Tensor, "b R n"]:
        """Covariance of the gradient at each draw with the mean gradient on each path."""
        return _in_groups(_paths_to_draws, self._references * self.draws.count, self._unit_rows, *self._drawn)

    @property
    def _unit_rows(self) -> Float[Tensor, "b R R"]:
        return self._unit.expand(self._drawn[0].shape[0], -1, -1)

    @cached_property
    def _between_paths(self) -> Float[Tensor, "b R R"]:
        """Covariance of the mean gradients on two paths; in the inputs' own precision, for speed."""
        unit, nodes = self._unit.to(self.draws.xs[0].dtype), _nodes(self._references, self.draws.count)
        return _in_groups(lambda gram: _between_paths(gram, nodes), self._references**2, unit).to(
            torch.float64
        )

    @cached_property
    def _solved(self) -> tuple[Tensor, Tensor, Tensor]:
        """K^-1 h', K^-1 1, and 1 - 1' K^-1 h': how far simple kriging is from weights that sum to one."""
        ones = torch.ones_like(self._kernel[:, :, :1])
        factor = torch.linalg.cholesky(self._kernel)
        simple = torch.cholesky_solve(self._to_paths.mT, factor)
        return simple, torch.cholesky_solve(ones, factor), 1 - simple.sum(1, keepdim=True)

    @cached_property
    def interpolation(self) -> Float[Tensor, "b R n"]:
        """A: the weight of each draw's gradient in the mean gradient on each path; sums to one over the draws."""
        simple, flat, short = self._solved
        return (simple + flat * short / flat.sum(1, keepdim=True)).mT

    @cached_property
    def covariance(self) -> Float[Tensor, "b R R"]:
        """What the draws leave unknown of the mean gradients on the paths, in units of the prior variance."""
        simple, flat, short = self._solved
        return self._between_paths - self._to_paths @ simple + short.mT * short / flat.sum(1, keepdim=True)


def _among(
    corrections: list[Tensor], read: list[Tensor], spreads: Sequence[Tensor]
) -> list[Float[Tensor, "b F"]]:
    """Corrections moved, with their sum, from features whose gradient was zero at every draw to the others.

    What no draw saw the model read gets nothing; where no feature was read, nothing is corrected.
    """
    alive = [spread * seen for spread, seen in zip(spreads, read, strict=True)]
    whole = torch.stack([a.sum(1) for a in alive]).sum(0)
    astray = torch.stack([(c * ~seen).sum(1) for c, seen in zip(corrections, read, strict=True)]).sum(0)
    each = torch.where(whole > 0, astray / torch.where(whole > 0, whole, 1.0), 0.0).unsqueeze(1)
    return [c * seen + each * a for c, seen, a in zip(corrections, read, alive, strict=True)]


def _measured(u: Float[Tensor, "R F"]) -> tuple[Float[Tensor, "F"], Float[Tensor, "F"], Float[Tensor, "R R"]]:
    """What displacements x - r say of the space they lie in.

    Unit: what a displacement is multiplied by, 1 / (mean of u^4)^(1/4), little swayed by rare features; zero for
    features that never differ from the references. Spread: the mean square in units, how much of a path each feature
    makes. Then the inner products in units. Squares are taken in units only: those of large inputs would overflow.
    """
    largest = u.detach().abs().amax(0)
    if not bool(largest.isfinite().all()):
        raise InputError(
            f"inputs less references leave the range of {u.dtype}, so there is no path between them. Pass both in "
            "other units, or as .double()."
        )
    moved = largest > 16 * torch.finfo(u.dtype).tiny  # so that the unit is finite
    fourth = torch.where(moved, (u / torch.where(moved, largest, 1.0)).square().square().mean(0), 1.0)
    unit = torch.where(moved, 1 / torch.where(moved, largest * fourth.sqrt().sqrt(), 1.0), 0.0)
    scaled = u * unit
    return unit, scaled.square().mean(0), scaled @ scaled.T


def _matern(squared: Tensor) -> Tensor:
    """(1 + q) exp(-q) with q = distance, which is sqrt(3) in units of the kernel's length."""
    q = (squared.clamp(min=0) + 1e-14).sqrt()  # the root has no derivative at zero, the kernel has
    k = torch.exp(-q)
    return torch.addcmul(k, q, k)


def _in_groups(kernel: Callable[..., Tensor], values: int, *rows: Tensor) -> Tensor:
    """`kernel` of all rows, of as many at once as keep its `values` for each in the processor's cache."""
    size = max(1, CACHED_VALUES // max(1, values))
    parts = [kernel(*group) for group in zip(*(r.split(size) for r in rows), strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _squared(
    cross: Float[Tensor, "b m k"],
    first: Float[Tensor, "b m"],
    second: Float[Tensor, "b k"],
    scale: float = 1.0,
) -> Float[Tensor, "b m k"]:
    """Squared distances from squared norms and inner products; the latter times `scale`."""
    return torch.add(first.unsqueeze(2) + second.unsqueeze(1), cross, alpha=-2 * scale)


def _lengths(gram: Float[Tensor, "b m m"]) -> Float[Tensor, "b m"]:
    return gram.diagonal(dim1=1, dim2=2)


def _between_draws(
    gram: Float[Tensor, "b R R"], indices: Int64[Tensor, "b n"], left: Float[Tensor, "b n"]
) -> Float[Tensor, "b n n"]:
    down = gram.gather(1, indices.unsqueeze(2).expand(-1, -1, gram.shape[2])) * left.unsqueeze(2)
    cross = down.gather(2, indices.unsqueeze(1).expand(-1, indices.shape[1], -1)) * left.unsqueeze(1)
    lengths = _lengths(cross)
    kernel = _matern(_squared(cross, lengths, lengths))
    kernel.diagonal(dim1=1, dim2=2).add_(NUGGET)
    return kernel


def _paths_to_draws(
    gram: Float[Tensor, "b R R"], indices: Int64[Tensor, "b n"], left: Float[Tensor, "b n"]
) -> Float[Tensor, "b R n"]:
    lengths = _lengths(gram)
    cross = gram.gather(2, indices.unsqueeze(1).expand(-1, gram.shape[1], -1)) * left.unsqueeze(1)
    squares = lengths.gather(1, indices) * left.square()
    total = torch.zeros_like(cross)
    for q, weight in _nodes(gram.shape[1], left.shape[1]):
        total = torch.add(total, _matern(_squared(cross, q**2 * lengths, squares, q)), alpha=weight)
    return total


def _between_paths(gram: Float[Tensor, "b R R"], nodes: list[tuple[float, float]]) -> Float[Tensor, "b R R"]:
    lengths = _lengths(gram)
    total = torch.zeros_like(gram)
    for i, (p, first) in enumerate(nodes):
        for q, second in nodes[:i]:
            k = _matern(_squared(gram, p**2 * lengths, q**2 * lengths, p * q))
            total = torch.add(total, k + k.mT, alpha=first * second)
        own = _matern(_squared(gram, p**2 * lengths, p**2 * lengths, p**2))
        total = torch.add(total, own, alpha=first**2)
    return total


def _nodes(references: int, draws: int) -> list[tuple[float, float]]:
    """Nodes and weights of the mean along a path: more when each path has many draws, or their error would rule."""
    count = min(NODES * math.ceil(math.sqrt(max(1.0, draws / references))), MOST_NODES)
    nodes, weights = GaussLegendre()(count)
    return list(zip(nodes.tolist(), weights.tolist(), strict=True))


def _solve_with_exact_mean(
    covariance: Float[Tensor, "b R R"], missed: Float[Tensor, "b R"]
) -> Float[Tensor, "b R"]:
    """Shares s with mean(covariance s) = mean(missed), and covariance s near missed otherwise.

    The observations have noise of covariance proportional to I - 11'/R: none in their mean, so maps are complete.
    """
    size = missed.shape[1]
    level = torch.diagonal(covariance, dim1=1, dim2=2).mean(1)[:, None, None]
    identity = torch.eye(size).to(covariance)
    noise = DISCREPANCY * level * (identity - 1 / size)
    guard = torch.where(level > 0, torch.finfo(covariance.dtype).eps * level, 1.0) * identity
    return torch.linalg.solve(covariance + noise + guard, missed.unsqueeze(2)).squeeze(2)
