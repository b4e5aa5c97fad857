import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import Binary, Custom, MultiClass, task_from


def test_a_loss_function_becomes_a_task():
    torch.manual_seed(0)
    z, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    task = task_from(F.cross_entropy)
    assert torch.equal(task.loss(z, y), F.cross_entropy(z, y))
    assert task.metrics(z, y) == {"loss": pytest.approx(float(F.cross_entropy(z, y)))}
    assert task.headline == "loss"
    assert not task.higher_is_better


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (torch.tensor([1, 0]), [1, 0]),
        (torch.tensor([1, 0], dtype=torch.uint8), [1, 0]),
        (torch.tensor([1.0, 0.0]), None),
        (torch.tensor([True, False]), None),
    ],
)
def test_integer_labels_select_an_output_and_others_do_not(y, expected):
    explained = Custom(F.cross_entropy).explained(y)
    assert explained is None if expected is None else explained.tolist() == expected


def test_select_overrides_what_is_explained():
    task = Custom(F.cross_entropy, select=lambda y: None)
    assert task.explained(torch.tensor([1, 0])) is None


def test_tasks_and_loss_modules_are_taken_as_they_are():
    assert task_from(Binary()) == Binary()
    module = nn.MSELoss()
    assert task_from(module) == Custom(module)


@pytest.mark.parametrize(
    ("what", "match"), [(3, "Expected a task or a loss function"), (MultiClass, "got the class MultiClass")]
)
def test_neither_task_nor_loss_is_refused(what, match):
    with pytest.raises(InputError, match=match):
        task_from(what)


@pytest.mark.parametrize(("outputs", "y"), [((4, 1), (4,)), ((4,), (4, 1))])
def test_a_column_against_a_row_never_broadcasts(outputs, y):
    with pytest.raises(ShapeError, match="would broadcast"):
        Custom(F.l1_loss).loss(torch.zeros(outputs), torch.zeros(y))


def test_a_loss_must_be_one_number():
    with pytest.raises(ShapeError, match=r"one number, got shape \(4,\)"):
        Custom(lambda f, y: (f - y).square()).loss(torch.zeros(4), torch.zeros(4))


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss()], ids=["function", "module"])
@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (torch.ones(2, 3), torch.zeros(2, 1, dtype=torch.long)),
        (torch.ones(()), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, dtype=torch.long), torch.zeros(2, dtype=torch.long)),
        (torch.ones(2, 3), torch.tensor([0, 3])),
    ],
    ids=["column", "number", "integers", "class"],
)
def test_what_a_loss_of_torch_cannot_take_is_said_with_both_shapes(loss, outputs, y):
    with pytest.raises(
        InputError, match=r"(cross_entropy|CrossEntropyLoss) does not take outputs of shape .* labels"
    ):
        task_from(loss).loss(outputs, y)


def test_errors_of_a_loss_of_ones_own_stay_what_they_are():
    def loss(outputs, y):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        Custom(loss).loss(torch.ones(2), torch.ones(2))
    with pytest.raises(InputError, match="a tensor of one number, got float.*leave out .item"):
        Custom(lambda outputs, y: 3.0).loss(torch.ones(2), torch.ones(2))
