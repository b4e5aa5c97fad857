import numpy as np
import pytest
import torch
from torch import Tensor

from rightreasons import tasks
from rightreasons.core._errors import DivergedError, InputError
from rightreasons.training import ElasticNet, _linear

ROWS, FEATURES = 80, 12


def rows(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scaled features, of which two matter, and the score they make."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, FEATURES, generator=generator)
    x = (x - x.mean(0)) / x.std(0)
    return x, 1.5 * x[:, 0] - x[:, 1] + 0.5 * torch.randn(ROWS, generator=generator)


def fitted(
    task: tasks.Task, x: Tensor, y: Tensor, outputs: int = 1, **fields: float
) -> tuple[np.ndarray, np.ndarray]:
    model, _ = ElasticNet(**fields).fit(task, (x, y), (x, y), outputs=outputs)
    layer = model.layers[-1]
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("strength", [0.02, 0.4])
def test_of_a_regression_is_that_of_scikit_learn(strength: float, l1_ratio: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = rows()
    weight, bias = fitted(tasks.Regression(), x, y, strength=strength, l1_ratio=l1_ratio)
    theirs = linear_model.ElasticNet(alpha=strength / 2, l1_ratio=l1_ratio, tol=1e-10, max_iter=100000).fit(
        x.double().numpy(), y.double().numpy()
    )
    # scikit-learn stops by its duality gap, so coefficients agree to about its root.
    np.testing.assert_allclose(weight[0], theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(bias[0], theirs.intercept_, atol=1e-5)
    assert list(weight[0] == 0) == list(theirs.coef_ == 0)


@pytest.mark.parametrize(("l1_ratio", "strength"), [(1.0, 0.05), (0.5, 0.05), (0.0, 0.05), (1.0, 0.003)])
def test_of_classes_is_that_of_scikit_learn(l1_ratio: float, strength: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, score = rows()
    y = (score + torch.randn(ROWS, generator=torch.Generator().manual_seed(1)) > 0).long()
    weight, bias = fitted(tasks.Binary(), x, y, strength=strength, l1_ratio=l1_ratio)
    theirs = linear_model.LogisticRegression(
        C=1 / (ROWS * strength), l1_ratio=l1_ratio, solver="saga", tol=1e-9, max_iter=100000
    ).fit(x.double().numpy(), y.numpy())
    np.testing.assert_allclose(weight[0], theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(bias[0], theirs.intercept_[0], atol=1e-5)


def test_of_three_classes_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, score = rows()
    y = (score > -0.7).long() + (score > 0.7).long()
    weight, _ = fitted(tasks.MultiClass(3), x, y, outputs=3, strength=0.02)
    theirs = linear_model.LogisticRegression(
        C=1 / (ROWS * 0.02), l1_ratio=1, solver="saga", tol=1e-9, max_iter=100000
    ).fit(x.double().numpy(), y.numpy())
    np.testing.assert_allclose(weight, theirs.coef_, atol=1e-4)


def survival() -> tuple[Tensor, Tensor]:
    x, score = rows()
    generator = torch.Generator().manual_seed(2)
    time = torch.empty(ROWS).exponential_(generator=generator) * torch.exp(-score)
    seen = (torch.rand(ROWS, generator=generator) < 0.8).float()
    return x, torch.stack([(time * 8).ceil(), seen], 1)  # rounded: with ties


def test_cox_ridge_is_the_optimum_that_scipy_finds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    x, y = survival()
    columns, labels = x.double(), y.double()

    def value(w: np.ndarray) -> tuple[float, np.ndarray]:
        beta = torch.from_numpy(w).requires_grad_()
        loss = tasks.Survival().loss(columns @ beta, labels) + 0.1 / 2 * beta.square().sum()
        loss.backward()
        assert beta.grad is not None
        return float(loss.detach()), beta.grad.numpy()

    found = optimize.minimize(value, np.zeros(FEATURES), jac=True, method="BFGS", options={"gtol": 1e-9})
    weight, _ = fitted(tasks.Survival(), x, y, strength=0.1, l1_ratio=0.0)
    np.testing.assert_allclose(weight[0], found.x, atol=1e-6)


@pytest.mark.parametrize("strength", [0.02, 0.1])
def test_cox_lasso_has_exact_zeros_and_satisfies_the_conditions_of_its_optimum(strength: float) -> None:
    x, y = survival()
    weight, _ = fitted(tasks.Survival(), x, y, strength=strength)
    beta = torch.from_numpy(weight[0]).double().requires_grad_()
    tasks.Survival().loss(x.double() @ beta, y.double()).backward()
    assert beta.grad is not None
    slope, kept = beta.grad, beta.detach() != 0
    assert 0 < int(kept.sum()) < FEATURES
    # Coefficients are returned in float32, of which the slope sees a few 1e-7.
    torch.testing.assert_close(slope[kept], -strength * beta.detach()[kept].sign(), atol=2e-6, rtol=0)
    assert bool((slope[~kept].abs() <= strength + 1e-6).all())


def test_a_penalty_above_the_largest_gradient_leaves_nothing() -> None:
    x, y = survival()
    beta = torch.zeros(FEATURES, dtype=torch.float64, requires_grad=True)
    tasks.Survival().loss(x.double() @ beta, y.double()).backward()
    assert beta.grad is not None
    largest = float(beta.grad.abs().max())
    assert not fitted(tasks.Survival(), x, y, strength=1.001 * largest)[0].any()
    assert (fitted(tasks.Survival(), x, y, strength=0.99 * largest)[0] != 0).sum() == 1


def test_class_weights_count() -> None:
    x, score = rows()
    y = (score > 1).long()
    task = tasks.Binary(weights=(1.0, 3.0))
    repeated = torch.cat([torch.arange(ROWS), *[(y == 1).nonzero()[:, 0]] * 2])
    weight, bias = fitted(task, x, y, strength=0.05)
    by_rows = fitted(tasks.Binary(), x[repeated], y[repeated], strength=0.05)
    np.testing.assert_allclose(weight, by_rows[0], atol=1e-5)
    np.testing.assert_allclose(bias, by_rows[1], atol=1e-5)


def test_many_more_features_than_rows() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 400, generator=generator)
    weight, _ = fitted(tasks.Regression(), x, 3 * x[:, 7], strength=0.5)
    assert weight[0].argmax() == 7
    assert (weight[0] != 0).sum() < 40


def test_an_optimum_that_is_not_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linear, "_MOST_STEPS", 3)
    with pytest.raises(DivergedError, match=r"did not reach its optimum in 3 steps.*Use a larger weight"):
        ElasticNet(strength=0.01).fit(tasks.Regression(), rows(), rows())


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"strength": -1.0}, "strength.*got -1.0"), ({"l1_ratio": 1.5}, "l1_ratio is a share.*got 1.5")],
)
def test_numbers_out_of_range_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ElasticNet(**fields)


@pytest.mark.usefixtures("without_type_checks")
def test_pictures_are_refused() -> None:
    rows = (torch.zeros(3, 1, 2, 2), torch.zeros(3))
    with pytest.raises(InputError, match=r"rows of a table, \(n, p\); got \(3, 1, 2, 2\)"):
        ElasticNet().fit(tasks.Regression(), rows, rows)
