import pytest
import torch
from torch import nn

from rightreasons import tasks, training
from rightreasons.core._errors import InputError


def loop_over_entries(model: nn.Module) -> float:
    """Every entry of every matrix, one at a time."""
    total, count = 0.0, 0
    for parameter in model.parameters():
        if parameter.dim() > 1:
            for entry in parameter.flatten().tolist():
                total, count = total + abs(entry), count + 1
    return total / count


def value(model: nn.Module, term: training.WeightL1) -> torch.Tensor:
    objective = training.Objective(model, tasks.MultiClass(3), [term])
    return objective(torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])).penalties[term.name]


def test_is_the_mean_over_all_entries_of_all_matrices_and_leaves_biases_out() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    objective = training.Objective(model, tasks.MultiClass(3), [training.WeightL1()])
    got = objective(torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1]))
    assert float(got.penalties["WeightL1"].detach()) == pytest.approx(loop_over_entries(model), rel=1e-12)


def test_gradient_is_the_sign_over_the_number_of_entries() -> None:
    model = nn.Linear(4, 3)
    value(model, training.WeightL1()).backward()
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, model.weight.detach().sign() / 12)
    assert model.bias.grad is None


def test_frozen_matrices_do_not_count() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    model[0].weight.requires_grad_(False)
    assert float(value(model, training.WeightL1()).detach()) == pytest.approx(loop_over_entries(model[1]))


def test_label_names_it() -> None:
    assert training.WeightL1(label="decay").name == "decay"


def test_a_model_without_matrices_is_refused() -> None:
    model = nn.Linear(4, 3)
    model.weight.requires_grad_(False)
    with pytest.raises(InputError, match="Linear has none that are trainable"):
        value(model, training.WeightL1())


@pytest.mark.parametrize(
    ("fields", "message"), [({"every": 0}, "at least 1"), ({"weight": -1.0}, "negative")]
)
def test_bad_numbers_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training.WeightL1(**fields)
