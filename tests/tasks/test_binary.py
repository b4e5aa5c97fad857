import math

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import Binary

Z = torch.tensor([-1.0, 0.3, 2.0, -0.2], dtype=torch.float64)
Y = torch.tensor([0, 1, 1, 1])


def by_hand(z, y, weights=(1.0, 1.0)):
    total = norm = 0.0
    for logit, label in zip(z.tolist(), y.tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        total += weights[label] * -math.log(p if label else 1 - p)
        norm += weights[label]
    return total / norm


@pytest.mark.parametrize("weights", [None, (1.0, 1.0), (1.0, 5.0), (0.2, 3.0)])
def test_loss_is_the_weighted_mean_cross_entropy(weights):
    assert float(Binary(weights).loss(Z, Y)) == pytest.approx(by_hand(Z, Y, weights or (1.0, 1.0)))


@pytest.mark.parametrize("outputs", [Z, Z[:, None]])
@pytest.mark.parametrize("y", [Y, Y[:, None], Y.double(), Y.float(), Y.bool(), Y.to(torch.uint8)])
def test_columns_and_label_dtypes_all_mean_the_same(outputs, y):
    assert float(Binary().loss(outputs, y)) == pytest.approx(by_hand(Z, Y))
    assert Binary().metrics(outputs, y) == pytest.approx(Binary().metrics(Z, Y))


def test_gradient_reaches_the_outputs():
    z = Z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: Binary((1.0, 2.0)).loss(z, Y), z)


@pytest.mark.peer
def test_metrics_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    torch.manual_seed(0)
    z, y = torch.randn(100, dtype=torch.float64), torch.randint(0, 2, (100,))
    ours = Binary().metrics(z, y)
    assert ours["auc"] == pytest.approx(metrics.roc_auc_score(y, z))
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(y, z > 0))
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(y, z.sigmoid()))


def test_headline_is_a_metric_and_there_is_one_output_to_explain():
    assert Binary.headline in Binary().metrics(Z, Y)
    assert Binary.higher_is_better
    assert Binary().explained(Y) is None


def test_metrics_of_a_diverged_model_are_nan_never_a_number():
    diverged = Binary().metrics(torch.tensor([0.0, math.nan, 1.0, 1.0]), Y)
    assert all(math.isnan(value) for value in diverged.values())


def test_metrics_take_outputs_that_carry_a_graph():
    assert isinstance(Binary().metrics(Z.clone().requires_grad_(), Y)["log_loss"], float)


@pytest.mark.parametrize(
    ("outputs", "y", "error", "match"),
    [
        (Z, torch.tensor([0, 1, 2, 1]), InputError, "must be 0 or 1, got 2"),
        (Z, torch.tensor([0.0, 1.0, 0.5, 1.0]), InputError, r"must be 0 or 1, got 0\.5"),
        (
            Z,
            torch.tensor([0.0, 1.0, math.nan, 1.0]),
            InputError,
            "must be finite, got 1 NaN or infinite of 4, the first one in row 2, counted from 0",
        ),
        (Z, Y.to(torch.complex64), InputError, "y must hold real numbers .*got torch.complex64"),
        (Y, Y, InputError, "must be floating point, got torch.int64"),
        (Z[:3], Y, ShapeError, r"same number of rows, got \(3,\) and \(4,\)"),
        (Z[:0], Y[:0], ShapeError, "at least one row"),
        (torch.zeros(4, 2), Y, ShapeError, r"Outputs of a binary task must have shape .* got \(4, 2\)"),
        (Z, Y.expand(4, 4), ShapeError, r"Labels of a binary task must have shape .* got \(4, 4\)"),
    ],
)
def test_what_cannot_be_used_is_refused(outputs, y, error, match):
    with pytest.raises(error, match=match):
        Binary().loss(outputs, y)
    with pytest.raises(error, match=match):
        Binary().metrics(outputs, y)


@pytest.mark.parametrize(
    ("weights", "match"),
    [((1.0,), "expected 2, got 1"), ((1.0, 0.0), "must be positive"), ((1.0, math.inf), "must be positive")],
)
def test_weights_are_checked(weights, match):
    with pytest.raises(InputError, match=match):
        Binary(weights)
