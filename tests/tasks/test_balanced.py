"""Balanced weights: each class has the same share of the loss of a model that knows nothing."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rightreasons import tasks
from rightreasons.core._errors import InputError
from rightreasons.tasks import Binary, MultiClass, MultiLabel, balanced, predictions

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


def probabilities(task: Any, y: Tensor) -> Tensor:
    """What a model of nothing but a constant, trained to the optimum, says after the weights are taken out."""
    outputs = torch.zeros(1, 3 if isinstance(task, MultiClass) else y[0].numel(), dtype=torch.float64)
    outputs.requires_grad_()
    optimizer = torch.optim.LBFGS([outputs], max_iter=200, tolerance_grad=1e-12, tolerance_change=0)

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = task.loss(outputs.expand(len(y), -1), y)
        found.backward()
        return found

    optimizer.step(loss)
    found = task.unweighted(outputs.detach())
    return (found.softmax(1) if isinstance(task, MultiClass) else found.sigmoid()).flatten()


@pytest.mark.parametrize("weights", [None, "balanced", "own"])
def test_probabilities_are_the_shares_of_the_classes_whatever_they_weigh(weights: str | None) -> None:
    one = torch.tensor([0] * 47 + [1] * 3)
    three = torch.tensor([0] * 30 + [1] * 15 + [2] * 5)
    several = torch.stack([one, 1 - one, torch.arange(50) % 2], 1)
    own = {"weights": (1.0, 7.0)}, {"weights": (1.0, 7.0, 0.2)}, {"positive_weights": (3.0, 0.5, 7.0)}
    kinds = [Binary(), MultiClass(3), MultiLabel(3)]
    wanted = [[0.06], [0.6, 0.3, 0.1], [0.06, 0.94, 0.5]]
    for task, y, said, shares in zip(kinds, (one, three, several), own, wanted, strict=True):
        asked = balanced(task, y) if weights == "balanced" else replace(task, **(said if weights else {}))
        torch.testing.assert_close(
            probabilities(asked, y), torch.tensor(shares, dtype=torch.float64), atol=1e-6, rtol=0
        )


def test_predictions_and_log_loss_are_of_those_probabilities() -> None:
    task, z = Binary(weights=(1.0, 9.0)), torch.tensor([math.log(3.0)])
    found = predictions(task, z)
    assert found["predicted"] == ["1"]  # with the weights: odds 3 are more than 1
    assert found["p(1)"] == [pytest.approx(0.25)]  # without them: odds 3 / 9
    assert task.metrics(z, torch.tensor([1]))["log_loss"] == pytest.approx(-math.log(0.25))
    three = MultiClass(3, weights=(1.0, 2.0, 4.0))
    logits = torch.tensor([[0.5, 0.2, 0.4]]) + torch.tensor(three.weights).log()
    assert predictions(three, logits)["predicted"] == ["2"]
    assert [predictions(three, logits)[f"p({i})"][0] for i in range(3)] == pytest.approx(
        torch.tensor([0.5, 0.2, 0.4]).softmax(0).tolist()
    )
    one = MultiLabel(2, positive_weights=(4.0, 1.0))
    assert predictions(one, torch.tensor([[math.log(4.0), 0.0]]))["p(0)"] == [pytest.approx(0.5)]
