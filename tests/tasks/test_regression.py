import math

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import Regression

F = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
Y = torch.tensor([1.0, 3.0, 3.0])


@pytest.mark.parametrize("outputs", [F, F[:, None]])
@pytest.mark.parametrize("y", [Y, Y[:, None], Y.double(), Y.long()])
def test_loss_is_the_mean_square_without_broadcasting(outputs, y):
    assert float(Regression().loss(outputs, y)) == pytest.approx((0 + 1 + 1) / 3)


def test_metrics_by_hand():
    mean = 7 / 3
    spread = (1 - mean) ** 2 + 2 * (3 - mean) ** 2
    assert Regression().metrics(F, Y) == pytest.approx({"r2": 1 - 2 / spread, "mse": 2 / 3})
    assert Regression().explained(Y) is None


def test_metrics_of_a_diverged_model_are_nan():
    assert all(math.isnan(value) for value in Regression().metrics(F * math.nan, Y).values())


@pytest.mark.parametrize(
    ("outputs", "y", "error", "match"),
    [
        (F, Y * math.nan, InputError, "must be finite, got 3"),
        (F, Y > 1, InputError, "must be numbers, got torch.bool"),
        (F, Y.to(torch.complex64), InputError, "y must hold real numbers .*got torch.complex64"),
        (F[:2], Y, ShapeError, "same number of rows"),
        (torch.zeros(3, 2), Y, ShapeError, "Outputs of a regression must have shape"),
        (F, torch.zeros(3, 3), ShapeError, "Labels of a regression must have shape"),
        (F.long(), Y, InputError, "must be floating point"),
    ],
)
def test_what_cannot_be_used_is_refused(outputs, y, error, match):
    with pytest.raises(error, match=match):
        Regression().loss(outputs, y)
