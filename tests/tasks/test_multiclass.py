import math

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import MultiClass

Z = torch.tensor([[1.0, 0.0, -1.0], [0.2, 0.5, 0.1], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
Y = torch.tensor([0, 2, 2, 1])


def by_hand(z, y, weights=(1.0, 1.0, 1.0)):
    total = norm = 0.0
    for logits, label in zip(z.tolist(), y.tolist(), strict=True):
        p = math.exp(logits[label]) / sum(math.exp(logit) for logit in logits)
        total -= weights[label] * math.log(p)
        norm += weights[label]
    return total / norm


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
def test_loss_is_the_weighted_mean_cross_entropy(weights):
    assert float(MultiClass(3, weights).loss(Z, Y)) == pytest.approx(
        by_hand(Z, Y, weights or (1.0, 1.0, 1.0))
    )


def test_metrics_by_hand():
    assert MultiClass(3).metrics(Z, Y) == pytest.approx({"accuracy": 0.5, "log_loss": by_hand(Z, Y)})


@pytest.mark.peer
def test_metrics_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    torch.manual_seed(0)
    z, y = torch.randn(60, 3, dtype=torch.float64), torch.randint(0, 3, (60,))
    ours = MultiClass(3).metrics(z, y)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(y, z.argmax(1)))
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(y, z.softmax(1)))


def test_the_label_is_explained_as_long():
    explained = MultiClass(3).explained(Y.to(torch.int32))
    assert explained.dtype == torch.int64
    assert explained.tolist() == Y.tolist()


def test_metrics_of_a_diverged_model_are_nan():
    assert all(math.isnan(value) for value in MultiClass(3).metrics(Z * math.nan, Y).values())


@pytest.mark.parametrize(
    ("outputs", "y", "error", "match"),
    [
        (Z, Y.double(), InputError, "must be integers, got torch.float64"),
        (Z, Y.bool(), InputError, "must be integers, got torch.bool"),
        (Z, torch.tensor([0, 1, 3, 1]), InputError, r"must be in 0\.\.2, got 3.*MultiClass\(classes=4\)"),
        (Z, torch.tensor([0, -1, 2, 1]), InputError, r"must be in 0\.\.2, got -1"),
        (Z, Y[:, None], ShapeError, r"must have shape \(B,\), got \(4, 1\)"),
        (Z[:, :2], Y, ShapeError, r"shape \(B, 3\), got \(4, 2\)"),
        (Z[:, 0], Y, ShapeError, r"shape \(B, 3\), got \(4,\)"),
        (Z[:2], Y, ShapeError, "same number of rows"),
        (Z[:0], Y[:0], ShapeError, "at least one row"),
        (Z.long(), Y, InputError, "must be floating point"),
    ],
)
def test_what_cannot_be_used_is_refused(outputs, y, error, match):
    with pytest.raises(error, match=match):
        MultiClass(3).loss(outputs, y)


def test_explained_refuses_what_the_loss_refuses():
    with pytest.raises(InputError, match="must be in"):
        MultiClass(3).explained(torch.tensor([7]))


@pytest.mark.parametrize(
    ("classes", "weights", "match"),
    [
        (1, None, "at least 2, got 1"),
        (3, (1.0, 2.0), "expected 3, got 2"),
        (2, (1.0, -1.0), "must be positive"),
    ],
)
def test_fields_are_checked(classes, weights, match):
    with pytest.raises(InputError, match=match):
        MultiClass(classes, weights)
