"""Estimators against loops and dense matrices, in float64: 1e-10 is a thousand times their rounding."""

import itertools

import pytest
import torch
from torch import Tensor

from rightreasons.attribution.path._estimators import (
    Complete,
    ControlVariate,
    Draws,
    Estimator,
    Independent,
    Sampled,
    Stratified,
    draw,
)

SAMPLED: list[Sampled] = [Independent(), Stratified(), ControlVariate(), Complete()]


def name(estimator: object) -> str:
    return type(estimator).__name__


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(x: Tensor) -> Tensor:
    """A scalar function of the last three features that is neither linear nor separable."""
    return (x[..., 0] * x[..., 1]).sin() + x[..., 2] ** 3 + 0.5 * x[..., 1]


def gradients(function, points: Tensor) -> Tensor:
    points = points.detach().requires_grad_()
    return torch.autograd.grad(function(points).sum(), points)[0]


def setting(estimator: Estimator, n: int, function=smooth, references: int = 12, seed: int = 0):
    """Two rows, three features: the plan, the gradients at its points and f(x) - f(r)."""
    x, r = normal(2, 3, seed=seed), normal(references, 3, seed=seed + 1)
    indices, alphas = draw(references, n, estimator, torch.Generator().manual_seed(seed))
    plan = estimator.plan(Draws((x,), (r,), indices, alphas))
    g = gradients(function, plan.draws.points(slice(0, n))[0])
    return plan, g, function(x)[:, None] - function(r)[None]


def maps_of(estimator: Estimator, n: int, **options) -> Tensor:
    plan, g, differences = setting(estimator, n, **options)
    return plan.combine(plan.statistics((g,), slice(0, n)), differences)[0]


def exact(function, x: Tensor, r: Tensor) -> Tensor:
    """Every reference, every one of 60 midpoints."""
    total = torch.zeros_like(x)
    for reference in r:
        for k in range(60):
            a = (k + 0.5) / 60
            total += (x - reference) * gradients(function, reference + a * (x - reference))
    return total / (60 * len(r))


class TestDraws:
    def test_points_and_displacements_are_the_formula(self):
        x, r = normal(2, 3), normal(5, 3, seed=1)
        indices, alphas = torch.tensor([[4, 0], [2, 2]]), torch.tensor([[0.1, 0.9], [0.5, 0.25]])
        draws = Draws((x,), (r,), indices, alphas)
        for row, j in itertools.product(range(2), range(2)):
            u = x[row] - r[indices[row, j]]
            torch.testing.assert_close(draws.displacements(slice(j, j + 1))[0][row, 0], u)
            torch.testing.assert_close(
                draws.points(slice(j, j + 1))[0][row, 0], r[indices[row, j]] + alphas[row, j].double() * u
            )

    def test_shared_draws_are_the_same_draws_for_every_row(self):
        x, r = normal(2, 3), normal(5, 3, seed=1)
        shared = Draws((x,), (r,), torch.tensor([4, 0]), torch.tensor([0.1, 0.9]))
        each = Draws((x,), (r,), torch.tensor([[4, 0]] * 2), torch.tensor([[0.1, 0.9]] * 2))
        torch.testing.assert_close(shared.points(slice(0, 2)), each.points(slice(0, 2)))


class TestDraw:
    def test_independent_draws_repeat_references(self):
        indices, alphas = draw(3, 50, Independent(), torch.Generator().manual_seed(0))
        assert indices.shape == alphas.shape == (50,)
        assert alphas.dtype == torch.float64
        assert (alphas >= 0).all()
        assert (alphas < 1).all()

    @pytest.mark.parametrize("n", [1, 4, 7, 14, 17])
    def test_decks_use_every_reference_before_any_twice(self, n):
        counts = torch.bincount(draw(7, n, Stratified())[0], minlength=7)
        assert counts.max() - counts.min() <= 1

    @pytest.mark.parametrize("n", [1, 2, 9])
    def test_each_stratum_holds_one_alpha(self, n):
        _, alphas = draw(7, n, Stratified())
        assert (alphas * n).long().sort().values.tolist() == list(range(n))

    def test_rows_stratify_their_own_alphas(self):
        indices, alphas = draw(7, 4, Stratified(), rows=5)
        assert indices.shape == alphas.shape == (5, 4)
        for row in range(5):
            assert (alphas[row] * 4).long().sort().values.tolist() == [0, 1, 2, 3]
            assert len(set(indices[row].tolist())) == 4

    def test_one_draw_a_row_stratifies_over_rows(self):
        indices, alphas = draw(10, 1, Stratified(), rows=6)
        assert (alphas[:, 0] * 6).long().sort().values.tolist() == list(range(6))
        assert len(set(indices[:, 0].tolist())) == 6

    def test_rows_share_decks(self):
        indices, _ = draw(10, 2, Stratified(), rows=10)
        assert torch.bincount(indices.flatten(), minlength=10).tolist() == [2] * 10

    def test_more_draws_than_references_in_every_row(self):
        indices, _ = draw(3, 7, Stratified(), rows=2)
        for row in indices:
            assert torch.bincount(row, minlength=3).sort().values.tolist() == [2, 2, 3]

    def test_a_generator_repeats_and_leaves_the_global_state(self):
        before = torch.get_rng_state()
        one = draw(9, 5, Stratified(), torch.Generator().manual_seed(3), rows=2)
        two = draw(9, 5, Stratified(), torch.Generator().manual_seed(3), rows=2)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        assert torch.equal(before, torch.get_rng_state())

    def test_without_a_generator_the_global_seed_rules(self):
        torch.manual_seed(5)
        one = draw(9, 5, Stratified())
        torch.manual_seed(5)
        two = draw(9, 5, Stratified())
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))

    def test_no_rows_give_no_draws(self):
        indices, alphas = draw(9, 5, Stratified(), rows=0)
        assert indices.shape == alphas.shape == (0, 5)


class TestFormulas:
    @pytest.mark.parametrize("estimator", [Independent(), Stratified()], ids=name)
    @pytest.mark.parametrize("n", [1, 2, 5, 20])
    def test_mean(self, estimator, n):
        plan, g, _ = setting(estimator, n)
        u = plan.draws.displacements(slice(0, n))[0]
        oracle = torch.zeros(2, 3, dtype=torch.float64)
        for j in range(n):
            oracle += u[:, j] * g[:, j] / n
        torch.testing.assert_close(maps_of(estimator, n), oracle, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("n", [4, 7, 12, 30])
    def test_control_variate_is_a_regression_on_centred_displacements(self, n):
        plan, g, _ = setting(ControlVariate(), n)
        u = plan.draws.displacements(slice(0, n))[0]
        mean = (plan.draws.xs[0][:, None] - plan.draws.references[0][None]).mean(1)
        got = maps_of(ControlVariate(), n)
        for row, i in itertools.product(range(2), range(3)):
            c, v = u[row, :, i] - mean[row, i], u[row, :, i] * g[row, :, i]
            variance = max(c.var(correction=0), n * c.mean() ** 2 / 9)
            slope = ((c - c.mean()) * (v - v.mean())).mean() / variance
            torch.testing.assert_close(got[row, i], v.mean() - slope * c.mean(), rtol=0, atol=1e-10)

    @pytest.mark.parametrize("n", [8, 12, 30])
    def test_complete_projects_with_the_dense_covariance(self, n):
        plan, g, differences = setting(Complete(), n)
        v = plan.draws.displacements(slice(0, n))[0] * g
        start = maps_of(ControlVariate(), n)
        for row in range(2):
            s1 = torch.cov(v[row].T, correction=0) @ torch.ones(3, dtype=torch.float64)
            gap = differences[row].mean() - start[row].sum()
            torch.testing.assert_close(
                maps_of(Complete(), n)[row], start[row] + s1 * gap / s1.sum(), rtol=0, atol=1e-10
            )

    @pytest.mark.parametrize("estimator", [Independent(), Stratified()], ids=name)
    def test_unbiased_by_enumeration(self, estimator):
        """All ordered pairs of references, alphas on a grid that is fine within each stratum."""
        x, r = normal(1, 3), normal(3, 3, seed=1)
        fine = (torch.arange(60, dtype=torch.float64) + 0.5) / 60
        pairs = itertools.permutations(range(3), 2)
        if isinstance(estimator, Stratified):
            halves = [(fine / 2, (fine + 1) / 2), ((fine + 1) / 2, fine / 2)]
        else:
            pairs, halves = itertools.product(range(3), repeat=2), [(fine, fine.flip(0))]
        maps = []
        for pair, alphas in itertools.product(pairs, halves):
            draws = Draws(
                (x.expand(60, 3),), (r,), torch.tensor([pair] * 60), torch.stack(tuple(alphas), dim=1)
            )
            plan = estimator.plan(draws)
            g = gradients(smooth, draws.points(slice(0, 2))[0])
            maps.append(plan.combine(plan.statistics((g,), slice(0, 2)), None)[0].mean(0))
        oracle = exact(smooth, x, r)[0]  # the midpoint rules differ by about 1e-4
        torch.testing.assert_close(torch.stack(maps).mean(0), oracle, rtol=0, atol=5e-4)

    def test_small_numbers_of_draws_fall_back(self):
        torch.testing.assert_close(maps_of(ControlVariate(), 3), maps_of(Stratified(), 3))
        torch.testing.assert_close(maps_of(Complete(), 7), maps_of(ControlVariate(), 7))


@pytest.mark.parametrize("estimator", SAMPLED, ids=name)
class TestEverySampledEstimator:
    def test_sums_add_over_chunks(self, estimator):
        plan, g, differences = setting(estimator, 11)
        parts = [plan.statistics((g[:, j : j + 4],), slice(j, min(j + 4, 11))) for j in (0, 4, 8)]
        summed = tuple(sum(p) for p in zip(*parts, strict=True))
        whole = plan.statistics((g,), slice(0, 11))
        assert all(s.shape[0] == 2 for s in whole)
        torch.testing.assert_close(summed, whole)
        torch.testing.assert_close(plan.combine(summed, differences), plan.combine(whole, differences))

    def test_a_row_does_not_depend_on_its_batch(self, estimator):
        plan, g, differences = setting(estimator, 10)
        alone = estimator.plan(
            Draws((plan.draws.xs[0][:1],), plan.draws.references, plan.draws.indices, plan.draws.alphas)
        )
        one = alone.combine(alone.statistics((g[:1],), slice(0, 10)), differences[:1])[0]
        torch.testing.assert_close(one[0], maps_of(estimator, 10)[0])

    @pytest.mark.parametrize("n", [1, 2, 4, 9])
    def test_zero_gradients_give_zero_maps_and_finite_derivatives(self, estimator, n):
        plan, g, _ = setting(estimator, n)
        g = torch.zeros_like(g).requires_grad_()
        maps = plan.combine(plan.statistics((g,), slice(0, n)), torch.zeros(2, 12, dtype=torch.float64))[0]
        assert maps.abs().max() == 0
        maps.sum().backward()
        assert g.grad is not None
        assert g.grad.isfinite().all()

    @pytest.mark.parametrize("n", [1, 5, 9])
    def test_a_feature_equal_in_all_references(self, estimator, n):
        """x differs from the references by the same 2 everywhere: no slope can be fitted, the mean is right."""
        x, r = normal(2, 3).float(), normal(12, 3, seed=1).float()
        r[:, 1] = 1 / 3
        x[:, 1] = 1 / 3 + 2
        indices, alphas = draw(12, n, estimator, torch.Generator().manual_seed(0))
        plan = estimator.plan(Draws((x,), (r,), indices, alphas))
        g = torch.tensor([1.0, 5.0, -2.0]).expand(2, n, 3)
        linear = torch.tensor([1.0, 5.0, -2.0])
        differences = (x @ linear)[:, None] - (r @ linear)[None]
        maps = plan.combine(plan.statistics((g,), slice(0, n)), differences)[0]
        torch.testing.assert_close(maps[:, 1], torch.full((2,), 10.0), rtol=0, atol=1e-4)

    def test_gradcheck_of_the_combination(self, estimator):
        plan, g, differences = setting(estimator, 9)

        def maps(g: Tensor, differences: Tensor) -> Tensor:
            return plan.combine(plan.statistics((g,), slice(0, 9)), differences)[0]

        assert torch.autograd.gradcheck(maps, (g.requires_grad_(), differences.requires_grad_()))

    def test_several_inputs_are_their_concatenation(self, estimator):
        plan, g, differences = setting(estimator, 10)
        (x,), (r,) = plan.draws.xs, plan.draws.references
        split = estimator.plan(
            Draws((x[:, :1], x[:, 1:]), (r[:, :1], r[:, 1:]), plan.draws.indices, plan.draws.alphas)
        )
        sums = split.statistics((g[..., :1], g[..., 1:]), slice(0, 10))
        torch.testing.assert_close(
            torch.cat(split.combine(sums, differences), 1), maps_of(estimator, 10), rtol=0, atol=1e-10
        )

    def test_image_shapes_are_kept(self, estimator):
        plan, g, differences = setting(estimator, 10)
        (x,), (r,) = plan.draws.xs, plan.draws.references
        image = estimator.plan(
            Draws((x.reshape(2, 3, 1, 1),), (r.reshape(-1, 3, 1, 1),), plan.draws.indices, plan.draws.alphas)
        )
        sums = image.statistics((g.reshape(2, 10, 3, 1, 1),), slice(0, 10))
        got = image.estimate(sums, differences)
        assert got.maps[0].shape == got.standard_errors[0].shape == (2, 3, 1, 1)
        torch.testing.assert_close(got.maps[0].flatten(1), maps_of(estimator, 10))

    def test_converges_to_the_exact_expectation(self, estimator):
        x, r = normal(2, 3), normal(12, 3, seed=1)
        oracle = exact(smooth, x, r)
        error = (maps_of(estimator, 2000) - oracle).abs().max()
        assert error < 0.25  # three standard errors

    def test_gap_is_that_of_the_maps_before_projection(self, estimator):
        plan, g, differences = setting(estimator, 10)
        sums = plan.statistics((g,), slice(0, 10))
        before = maps_of(ControlVariate(), 10) if isinstance(estimator, Complete) else maps_of(estimator, 10)
        gap = plan.estimate(sums, differences).gap
        torch.testing.assert_close(gap, differences.mean(1) - before.sum(1))
        assert plan.estimate(sums, None).gap is None


class TestExactness:
    @pytest.mark.parametrize("n", [4, 8, 20])
    @pytest.mark.parametrize("estimator", [ControlVariate(), Complete()], ids=name)
    def test_linear_models(self, estimator, n):
        weights = normal(3, seed=9)
        plan, g, differences = setting(estimator, n, function=lambda x: x @ weights, seed=2)
        maps = plan.combine(plan.statistics((g,), slice(0, n)), differences)[0]
        expected = weights * (plan.draws.xs[0] - plan.draws.references[0].mean(0))
        torch.testing.assert_close(maps, expected, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("n", [8, 13])
    def test_completeness(self, n):
        _, _, differences = setting(Complete(), n)
        torch.testing.assert_close(maps_of(Complete(), n).sum(1), differences.mean(1), rtol=0, atol=1e-10)

    def test_residual_goes_by_second_moments_where_the_total_is_constant(self):
        """One reference and a linear model: every draw is the same, so no covariance says where to put a gap of 5."""
        x, r = torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2)
        plan = Complete().plan(Draws((x,), (r,), torch.zeros(8, dtype=torch.int64), torch.rand(8)))
        sums = plan.statistics((torch.ones(1, 8, 2),), slice(0, 8))
        maps = plan.combine(sums, torch.tensor([[8.0]]))[0]
        torch.testing.assert_close(maps, torch.tensor([[2 + 5 * 4 / 5, 1 + 5 * 1 / 5]]))

    def test_dead_gradients_leave_the_gap(self):
        plan, g, _ = setting(Complete(), 9)
        sums = plan.statistics((torch.zeros_like(g),), slice(0, 9))
        estimate = plan.estimate(sums, torch.ones(2, 12, dtype=torch.float64))
        assert estimate.maps[0].abs().max() == 0
        assert estimate.gap is not None
        torch.testing.assert_close(estimate.gap, torch.ones(2, dtype=torch.float64))

    def test_rare_features_are_not_extrapolated(self):
        """19 references at 0, one at 1: draws that miss it see almost no variance, and must not invent a slope."""
        r = torch.full((20, 1), 1e-4, dtype=torch.float64) * torch.arange(20)[:, None]
        r[19] = 1.0
        x = torch.zeros(1, 1, dtype=torch.float64)
        alphas = torch.rand(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        plan = ControlVariate().plan(Draws((x,), (r,), torch.arange(6), alphas))
        noisy = 1 + normal(1, 6, 1)
        maps = plan.combine(plan.statistics((noisy,), slice(0, 6)), None)[0]
        assert maps.abs().max() < 1


class TestStandardErrors:
    @pytest.mark.parametrize("estimator", SAMPLED, ids=name)
    def test_unknown_from_one_draw(self, estimator):
        plan, g, _ = setting(estimator, 1)
        assert plan.estimate(plan.statistics((g,), slice(0, 1)), None).standard_errors[0].isnan().all()

    def test_of_a_mean(self):
        plan, g, _ = setting(Independent(), 20)
        v = plan.draws.displacements(slice(0, 20))[0] * g
        got = plan.estimate(plan.statistics((g,), slice(0, 20)), None).standard_errors[0]
        torch.testing.assert_close(got, v.std(1) / 20**0.5, rtol=0, atol=1e-10)

    def test_of_a_regression_is_what_it_leaves(self):
        plan, g, _ = setting(ControlVariate(), 30)
        u = plan.draws.displacements(slice(0, 30))[0]
        got = plan.estimate(plan.statistics((g,), slice(0, 30)), None).standard_errors[0]
        for row, i in itertools.product(range(2), range(3)):
            design = torch.stack([torch.ones(30, dtype=torch.float64), u[row, :, i]], 1)
            v = u[row, :, i] * g[row, :, i]
            left = v - design @ torch.linalg.lstsq(design, v[:, None]).solution[:, 0]
            torch.testing.assert_close(got[row, i], ((left**2).mean() / 28).sqrt(), rtol=0, atol=1e-8)

    def test_covers_the_error_of_independent_draws(self):
        """The mean squared error over 200 repetitions against the mean squared standard error: equal to 15 %."""
        oracle = exact(smooth, normal(2, 3), normal(12, 3, seed=1))
        x, r = normal(2, 3), normal(12, 3, seed=1)
        errors, claimed = [], []
        for seed in range(200):
            indices, alphas = draw(12, 30, Independent(), torch.Generator().manual_seed(seed))
            plan = Independent().plan(Draws((x,), (r,), indices, alphas))
            g = gradients(smooth, plan.draws.points(slice(0, 30))[0])
            estimate = plan.estimate(plan.statistics((g,), slice(0, 30)), None)
            errors.append((estimate.maps[0] - oracle).square().sum())
            claimed.append(estimate.standard_errors[0].square().sum())
        ratio = torch.stack(claimed).mean() / torch.stack(errors).mean()
        assert 0.75 < ratio < 1.3
