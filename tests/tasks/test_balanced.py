"""Balanced weights: each class has the same share of the loss of a model that knows nothing."""

import pytest
import torch

from rightreasons import tasks
from rightreasons.core._errors import InputError

Y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])


def test_weights_of_classes_are_inverse_to_their_size() -> None:
    task = tasks.balanced(tasks.MultiClass(3), Y)
    assert isinstance(task, tasks.MultiClass)
    assert task.weights == pytest.approx([8 / (3 * 5), 8 / (3 * 2), 8 / (3 * 1)])


def test_every_class_has_the_same_share_of_the_loss() -> None:
    z = torch.randn(8, 3, dtype=torch.float64)
    rows = torch.nn.functional.cross_entropy(z, Y, reduction="none")
    naive = sum(rows[Y == c].mean() for c in range(3)) / 3
    torch.testing.assert_close(tasks.balanced(tasks.MultiClass(3), Y).loss(z, Y), naive)


@pytest.mark.parametrize("y", [Y > 0, (Y > 0).float(), (Y > 0).long()[:, None]])
def test_yes_and_no_likewise_whatever_the_type_of_the_labels(y: torch.Tensor) -> None:
    task = tasks.balanced(tasks.Binary(), y)
    assert isinstance(task, tasks.Binary)
    assert task.weights == pytest.approx([8 / (2 * 5), 8 / (2 * 3)])


def test_several_labels_weigh_their_ones_as_their_zeros() -> None:
    y = torch.stack([Y > 0, Y > 1], 1)
    task = tasks.balanced(tasks.MultiLabel(2), y)
    assert isinstance(task, tasks.MultiLabel)
    assert task.positive_weights == pytest.approx([5 / 3, 7])


@pytest.mark.parametrize(
    ("task", "y", "message"),
    [
        (tasks.MultiClass(4), Y, "need a row of every class.*number 3 lacks it"),
        (tasks.Binary(), torch.ones(3), "need a row of every class.*number 0 lacks it"),
        (tasks.MultiLabel(2), torch.tensor([[0, 1], [1, 1]]), "both a 0 and a 1 of every label.*number 1"),
        (tasks.Regression(), Y.float(), "Regression has none"),
        (tasks.Binary(), Y, "0 or 1|0 and 1"),
        (tasks.MultiClass(2), Y, r"0\.\.1|0 to 1|classes=2"),
    ],
)
def test_what_cannot_be_balanced(task: tasks.Task, y: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks.balanced(task, y)
