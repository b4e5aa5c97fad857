import math

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import Binary, MultiLabel

Z = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-2.0, 0.3]], dtype=torch.float64)
Y = torch.tensor([[1, 0], [0, 1], [0, 1]])


def test_loss_is_the_mean_of_binary_losses():
    columns = [float(Binary().loss(Z[:, label], Y[:, label])) for label in range(2)]
    assert float(MultiLabel(2).loss(Z, Y)) == pytest.approx(sum(columns) / 2)


def test_positive_weights_scale_the_loss_of_ones():
    total = 0.0
    for row in range(3):
        for label, weight in enumerate((2.0, 3.0)):
            p = 1 / (1 + math.exp(-float(Z[row, label])))
            total -= weight * math.log(p) if Y[row, label] else math.log(1 - p)
    assert float(MultiLabel(2, (2.0, 3.0)).loss(Z, Y)) == pytest.approx(total / 6)


def test_auc_is_the_mean_over_labels_that_have_both_values():
    y = torch.tensor([[1, 1], [0, 1], [0, 1]])
    assert MultiLabel(2).metrics(Z, y)["auc"] == Binary().metrics(Z[:, 0], y[:, 0])["auc"]
    assert math.isnan(MultiLabel(2).metrics(Z, torch.ones(3, 2))["auc"])


def test_accuracy_and_log_loss_by_hand():
    scores = MultiLabel(2).metrics(Z, Y)
    assert scores["accuracy"] == pytest.approx(5 / 6)
    assert scores["log_loss"] == pytest.approx(float(MultiLabel(2).loss(Z, Y)))
    assert MultiLabel.headline in scores


def test_rows_take_turns_among_the_labels_they_carry():
    y = torch.tensor([[0, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
    expected = []
    for place, row in enumerate(y.tolist()):
        carried = [label for label, value in enumerate(row) if value] or [0, 1, 2]
        expected.append(carried[place % len(carried)])
    found = MultiLabel(3).explained(y)
    assert found.dtype == torch.int64
    assert found.tolist() == expected == [1, 2, 0, 0, 1]
    with pytest.raises(ShapeError, match=r"needs labels of shape \(B, 2\)"):
        MultiLabel(2).explained(y)


def test_metrics_of_a_diverged_model_are_nan():
    assert all(math.isnan(value) for value in MultiLabel(2).metrics(Z * math.inf, Y).values())


@pytest.mark.parametrize(
    ("outputs", "y", "error", "match"),
    [
        (Z, Y[:, :1], ShapeError, r"needs labels of shape \(B, 2\), got \(3, 1\)"),
        (Z[:, 0], Y, ShapeError, r"needs outputs of shape \(B, 2\), got \(3,\)"),
        (Z[:2], Y, ShapeError, "same number of rows"),
        (Z, Y * 2, InputError, "must be 0 or 1, got 2"),
    ],
)
def test_what_cannot_be_used_is_refused(outputs, y, error, match):
    with pytest.raises(error, match=match):
        MultiLabel(2).loss(outputs, y)


@pytest.mark.parametrize(
    ("labels", "weights", "match"), [(1, None, "at least 2"), (2, (1.0,), "expected 2, got 1")]
)
def test_fields_are_checked(labels, weights, match):
    with pytest.raises(InputError, match=match):
        MultiLabel(labels, weights)
