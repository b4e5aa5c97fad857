"""Kriging against a dense Gaussian process on every reference and node, written out in loops; float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rightreasons.attribution.path._estimators import Draws, draw
from rightreasons.attribution.path._kriging import DISCREPANCY, NODES, NUGGET, Kriging


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(x: Tensor) -> Tensor:
    """A scalar function of three features that is neither linear nor separable."""
    return (x[..., 0] * x[..., 1]).sin() + 0.3 * x[..., 2] ** 3 + 0.5 * x[..., 1]


def gradients(function, points: Tensor) -> Tensor:
    points = points.detach().requires_grad_()
    return torch.autograd.grad(function(points).sum(), points)[0]


def setting(n: int, function=smooth, references: int = 6, seed: int = 0, rows: int | None = None):
    x, r = normal(2, 3, seed=seed), normal(references, 3, seed=seed + 1)
    indices, alphas = draw(references, n, Kriging(), torch.Generator().manual_seed(seed), rows=rows)
    plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
    g = gradients(function, plan.draws.points(slice(0, n))[0])
    return plan, g, function(x)[:, None] - function(r)[None]


def oracle(x: Tensor, r: Tensor, z: Tensor, g: Tensor, y: Tensor | None) -> Tensor:
    """One row; best linear unbiased prediction with dense matrices over every node of every path."""
    count, n = len(r), len(z)
    metric = [1 / math.sqrt(float(((x[i] - r[:, i]) ** 4).mean())) for i in range(3)]
    scale = np.mean([sum(metric[i] * float(x[i] - s[i]) ** 2 for i in range(3)) for s in r])

    def kernel(a: Tensor, b: Tensor) -> float:
        distance = math.sqrt(sum(metric[i] * float(a[i] - b[i]) ** 2 for i in range(3)) / scale)
        return (1 + math.sqrt(3) * distance) * math.exp(-math.sqrt(3) * distance)

    nodes, weights = np.polynomial.legendre.leggauss(NODES if n <= count else 2 * NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    k = np.array([[kernel(a, b) + NUGGET * (i == j) for j, b in enumerate(z)] for i, a in enumerate(z)])
    paths = [[x - q * (x - s) for q in nodes] for s in r]
    h = np.array(
        [[sum(w * kernel(p, b) for w, p in zip(weights, path, strict=True)) for b in z] for path in paths]
    )
    p = np.array(
        [
            [
                sum(
                    v * w * kernel(a, b)
                    for v, a in zip(weights, one, strict=True)
                    for w, b in zip(weights, two, strict=True)
                )
                for two in paths
            ]
            for one in paths
        ]
    )
    # minimise the variance of a_r . g - mean gradient on path r subject to weights that sum to one
    bordered = np.block([[k, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    solved = np.linalg.solve(bordered, np.concatenate([h, np.ones((count, 1))], 1).T).T
    a = solved[:, :n]
    left = np.array(
        [[p[i, j] - a[i] @ h[j] - a[j] @ h[i] + a[i] @ k @ a[j] for j in range(count)] for i in range(count)]
    )
    u = (x - r).numpy()
    phi = (u * (a @ g.numpy())).mean(0)
    if y is None:
        return torch.tensor(phi)
    missed = y.numpy() - (u * (a @ g.numpy())).sum(1)
    cov = np.array(
        [
            [left[i, j] * sum(metric[f] * u[i, f] * u[j, f] for f in range(3)) for j in range(count)]
            for i in range(count)
        ]
    )
    noise = DISCREPANCY * np.diag(cov).mean() * (np.eye(count) - 1 / count)
    shares = np.linalg.solve(cov + noise, missed)
    for f in range(3):
        for i in range(count):
            for j in range(count):
                phi[f] += metric[f] * shares[i] * u[i, f] * left[i, j] * u[j, f] / count
    return torch.tensor(phi)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("known", [False, True], ids=["gradients only", "f at the references"])
@pytest.mark.parametrize("rows", [None, 2], ids=["shared", "per row"])
def test_is_the_dense_gaussian_process(n, known, rows):
    plan, g, differences = setting(n, rows=rows)
    maps = plan.combine(plan.statistics((g,), slice(0, n)), differences if known else None)[0]
    points = plan.draws.points(slice(0, n))[0]
    for row in range(2):
        expected = oracle(
            plan.draws.xs[0][row],
            plan.draws.references[0],
            points[row],
            g[row],
            differences[row] if known else None,
        )
        torch.testing.assert_close(maps[row], expected, rtol=0, atol=1e-9)  # condition number about 1e4


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize("known", [False, True])
def test_exact_on_linear_models(n, known):
    weights = normal(3, seed=9)
    plan, g, differences = setting(n, function=lambda x: x @ weights)
    maps = plan.combine(plan.statistics((g,), slice(0, n)), differences if known else None)[0]
    expected = weights * (plan.draws.xs[0] - plan.draws.references[0].mean(0))
    torch.testing.assert_close(maps, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n", [1, 4, 30])
def test_complete(n):
    plan, g, differences = setting(n)
    maps = plan.combine(plan.statistics((g,), slice(0, n)), differences)[0]
    torch.testing.assert_close(maps.sum(1), differences.mean(1), rtol=0, atol=1e-10)


def maps_of(function: Callable[[Tensor], Tensor]) -> Tensor:
    plan, g, differences = setting(5, function=function)
    return plan.combine(plan.statistics((g,), slice(0, 5)), differences)[0]


def test_linear_among_models_that_read_the_same_features():
    def other(x: Tensor) -> Tensor:
        return (x[..., 0] + 0.5 * x[..., 1] + 2 * x[..., 2]).tanh()

    both = maps_of(lambda x: 2 * smooth(x) - 3 * other(x))
    torch.testing.assert_close(both, 2 * maps_of(smooth) - 3 * maps_of(other), rtol=0, atol=1e-10)


def test_a_feature_no_draw_saw_the_model_read_gets_nothing_and_the_rest_stays_complete():
    def other(x: Tensor) -> Tensor:
        return (x[..., 0] + 2 * x[..., 2]).tanh()

    maps = maps_of(other)
    _, _, differences = setting(5, function=other)
    assert bool((maps[:, 1] == 0).all())
    torch.testing.assert_close(maps.sum(1), differences.mean(1), rtol=0, atol=1e-10)
    both = maps_of(lambda x: smooth(x) + other(x))
    assert (both - maps_of(smooth) - maps).abs().max() > 1e-4, (
        "what that costs: linearity between such models"
    )


def test_converges_to_the_exact_expectation():
    plan, g, differences = setting(400)
    got = plan.combine(plan.statistics((g,), slice(0, 400)), differences)[0]
    x, r = plan.draws.xs[0], plan.draws.references[0]
    expected = torch.zeros_like(x)
    for reference in r:
        for k in range(100):
            a = (k + 0.5) / 100
            expected += (x - reference) * gradients(smooth, reference + a * (x - reference)) / (100 * len(r))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize(("references", "bound"), [(1, 1e-4), (3, 8e-4)])
def test_many_draws_on_each_path_are_not_limited_by_the_nodes(references, bound):
    x, r = normal(1, 3), normal(references, 3, seed=1)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    expected = torch.zeros_like(x)
    for reference in r:
        for a, w in zip((nodes + 1) / 2, weights / 2, strict=True):
            expected += (x - reference) * gradients(smooth, reference + a * (x - reference)) * w / references
    indices, alphas = draw(references, 300, Kriging(), torch.Generator().manual_seed(0))
    plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
    g = gradients(smooth, plan.draws.points(slice(0, 300))[0])
    got = plan.combine(plan.statistics((g,), slice(0, 300)), None)[0]
    assert (got - expected).norm() / expected.norm() < bound  # with 4 nodes above 1e-3


def test_one_reference_is_integrated_gradients():
    x, r = normal(1, 3), normal(1, 3, seed=1)
    indices, alphas = draw(1, 64, Kriging(), torch.Generator().manual_seed(0))
    plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
    g = gradients(smooth, plan.draws.points(slice(0, 64))[0])
    got = plan.combine(plan.statistics((g,), slice(0, 64)), None)[0]
    a = ((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)[:, None]
    expected = ((x - r) * gradients(smooth, r + a * (x - r))).mean(0)
    torch.testing.assert_close(got[0], expected, rtol=0, atol=1e-2)


def test_sums_add_over_chunks_and_have_a_row_for_each_row():
    plan, g, differences = setting(11)
    parts = [plan.statistics((g[:, j : j + 4],), slice(j, min(j + 4, 11))) for j in (0, 4, 8)]
    summed = tuple(sum(p) for p in zip(*parts, strict=True))
    whole = plan.statistics((g,), slice(0, 11))
    assert all(s.shape[0] == 2 for s in whole)
    torch.testing.assert_close(summed, whole)
    torch.testing.assert_close(plan.combine(summed, differences), plan.combine(whole, differences))


def test_several_inputs_are_their_concatenation():
    plan, g, differences = setting(5)
    (x,), (r,) = plan.draws.xs, plan.draws.references
    draws = Draws((x[:, :1], x[:, 1:]), (r[:, :1], r[:, 1:]), plan.draws.indices, plan.draws.alphas)
    split = Kriging().plan(draws)
    one = plan.estimate(plan.statistics((g,), slice(0, 5)), differences)
    two = split.estimate(split.statistics((g[..., :1], g[..., 1:]), slice(0, 5)), differences)
    torch.testing.assert_close(torch.cat(two.maps, 1), one.maps[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.cat(two.standard_errors, 1), one.standard_errors[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(two.gap, one.gap, rtol=0, atol=1e-10)


def test_images_keep_their_shape():
    x, r = normal(2, 1, 3, 4), normal(6, 1, 3, 4, seed=1)
    indices, alphas = draw(6, 5, Kriging(), torch.Generator().manual_seed(0))
    plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
    got = plan.estimate(plan.statistics((normal(2, 5, 1, 3, 4),), slice(0, 5)), normal(2, 6))
    assert got.maps[0].shape == got.standard_errors[0].shape == (2, 1, 3, 4)


def test_units_of_features_do_not_matter():
    """Feature 1 in thousandths: its displacements grow a thousandfold, its gradients shrink, its map stays."""
    plan, g, differences = setting(5)
    units = torch.tensor([1.0, 1000.0, 1.0], dtype=torch.float64)
    (x,), (r,) = plan.draws.xs, plan.draws.references
    rescaled = Kriging().plan(Draws((x * units,), (r * units,), plan.draws.indices, plan.draws.alphas))
    torch.testing.assert_close(
        rescaled.combine(rescaled.statistics((g / units,), slice(0, 5)), differences)[0],
        plan.combine(plan.statistics((g,), slice(0, 5)), differences)[0],
        rtol=0,
        atol=1e-9,
    )


class TestDegenerate:
    def test_x_equal_to_every_reference(self):
        x = normal(1, 3)
        plan = Kriging().plan(Draws((x,), (x.expand(4, 3),), torch.arange(3), torch.rand(3)))
        got = plan.estimate(plan.statistics((normal(1, 3, 3),), slice(0, 3)), torch.zeros(1, 4))
        assert got.maps[0].abs().max() == 0
        assert got.standard_errors[0].abs().max() == 0

    def test_repeated_references_and_repeated_points(self):
        x, r = normal(1, 3), normal(1, 3, seed=1).expand(5, 3)
        plan = Kriging().plan(Draws((x,), (r,), torch.zeros(4, dtype=torch.int64), torch.full((4,), 0.5)))
        g = normal(1, 1, 3, seed=2).expand(1, 4, 3)
        maps = plan.combine(plan.statistics((g,), slice(0, 4)), torch.ones(1, 5))[0]
        torch.testing.assert_close(maps.sum(), torch.tensor(1.0, dtype=torch.float64))

    def test_a_feature_that_never_moves_gets_nothing(self):
        x, r = normal(2, 3), normal(6, 3, seed=1)
        x[:, 1], r[:, 1] = 7.0, 7.0
        indices, alphas = draw(6, 4, Kriging(), torch.Generator().manual_seed(0))
        plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
        maps = plan.combine(plan.statistics((normal(2, 4, 3),), slice(0, 4)), normal(2, 6))[0]
        assert maps[:, 1].abs().max() < 1e-12
        assert maps.isfinite().all()

    @pytest.mark.parametrize("size", [1e-12, 1e12])
    def test_tiny_and_huge_units_in_float32(self, size):
        x, r = normal(2, 3).float() * size, normal(6, 3, seed=1).float() * size
        indices, alphas = draw(6, 4, Kriging(), torch.Generator().manual_seed(0))
        plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
        differences = normal(2, 6).float()
        maps = plan.combine(plan.statistics((normal(2, 4, 3).float() / size,), slice(0, 4)), differences)[0]
        torch.testing.assert_close(maps.sum(1), differences.mean(1), rtol=0, atol=1e-4)

    def test_more_draws_than_references(self):
        plan, g, differences = setting(40, references=3)
        maps = plan.combine(plan.statistics((g,), slice(0, 40)), differences)[0]
        torch.testing.assert_close(maps.sum(1), differences.mean(1), rtol=0, atol=1e-9)

    def test_float32_agrees_with_float64(self):
        plan, g, differences = setting(9)
        (x,), (r,) = plan.draws.xs, plan.draws.references
        single = Kriging().plan(Draws((x.float(),), (r.float(),), plan.draws.indices, plan.draws.alphas))
        got = single.combine(single.statistics((g.float(),), slice(0, 9)), differences.float())[0]
        expected = plan.combine(plan.statistics((g,), slice(0, 9)), differences)[0]
        assert got.dtype == torch.float32
        assert (got.double() - expected).norm() / expected.norm() < 1e-5


class TestDerivatives:
    def test_through_gradients_and_outputs(self):
        plan, g, differences = setting(5)

        def maps(g: Tensor, differences: Tensor) -> Tensor:
            return plan.combine(plan.statistics((g,), slice(0, 5)), differences)[0]

        assert torch.autograd.gradcheck(maps, (g.requires_grad_(), differences.requires_grad_()))

    def test_through_x_and_references(self):
        """Activations as inputs carry a graph: their weights are differentiated too, also where x meets a reference."""
        x, r = normal(1, 3), normal(3, 3, seed=1)
        indices, alphas = draw(3, 3, Kriging(), torch.Generator().manual_seed(0))
        g, differences = normal(1, 3, 3, seed=2), normal(1, 3, seed=3)

        def maps(x: Tensor, r: Tensor) -> Tensor:
            plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
            return plan.combine(plan.statistics((g,), slice(0, 3)), differences)[0]

        assert torch.autograd.gradcheck(maps, (x.requires_grad_(), r.requires_grad_()))

    def test_stay_finite_where_nothing_moves(self):
        x = normal(1, 3).requires_grad_()
        r = x.detach().expand(4, 3)
        plan = Kriging().plan(Draws((x,), (r,), torch.arange(3), torch.rand(3)))
        plan.combine(plan.statistics((normal(1, 3, 3),), slice(0, 3)), torch.zeros(1, 4))[0].sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()


class TestStandardErrors:
    def test_unknown_from_one_draw(self):
        plan, g, _ = setting(1)
        got = plan.estimate(plan.statistics((g,), slice(0, 1)), None)
        assert got.standard_errors[0].isnan().all()
        assert got.gap is None

    def test_of_the_size_of_the_error(self):
        """Root mean squares over 40 sets of draws agree to a factor of two, on a function no draw of the prior."""
        x, r = normal(2, 3), normal(6, 3, seed=1)
        nodes, weights = np.polynomial.legendre.leggauss(30)
        expected = torch.zeros_like(x)
        for reference in r:
            for a, w in zip((nodes + 1) / 2, weights / 2, strict=True):
                expected += (x - reference) * gradients(smooth, reference + a * (x - reference)) * w / len(r)
        errors, claimed = [], []
        for seed in range(40):
            indices, alphas = draw(6, 6, Kriging(), torch.Generator().manual_seed(seed))
            plan = Kriging().plan(Draws((x,), (r,), indices, alphas))
            g = gradients(smooth, plan.draws.points(slice(0, 6))[0])
            estimate = plan.estimate(plan.statistics((g,), slice(0, 6)), None)
            errors.append((estimate.maps[0] - expected).square().sum())
            claimed.append(estimate.standard_errors[0].square().sum())
        assert 0.5 < (torch.stack(claimed).mean() / torch.stack(errors).mean()).sqrt() < 2

    def test_gap_is_what_gradients_alone_miss(self):
        plan, g, differences = setting(5)
        sums = plan.statistics((g,), slice(0, 5))
        alone = plan.combine(sums, None)[0]
        torch.testing.assert_close(
            plan.estimate(sums, differences).gap, differences.mean(1) - alone.sum(1), rtol=0, atol=1e-10
        )


def test_one_row_with_several_sets_of_draws():
    plan, g, differences = setting(5, rows=2)
    (x,), (r,) = plan.draws.xs, plan.draws.references
    once = Kriging().plan(Draws((x[:1],), (r,), plan.draws.indices, plan.draws.alphas))
    often = Kriging().plan(Draws((x[:1].expand(2, 3),), (r,), plan.draws.indices, plan.draws.alphas))
    torch.testing.assert_close(once.draws.points(slice(0, 5)), often.draws.points(slice(0, 5)))
    sums = once.statistics((g,), slice(0, 5))
    torch.testing.assert_close(sums, often.statistics((g,), slice(0, 5)))
    same = differences[:1].expand(2, -1)
    torch.testing.assert_close(once.estimate(sums, same), often.estimate(sums, same))
