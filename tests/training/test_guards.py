"""What `fit`, `Objective` and checkpoints refuse before work is lost."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import rightreasons as rr
from rightreasons import InputError, priors, tasks, training
from rightreasons.training._differentiable import check_differentiable

fit = partial(training.fit, precision="64-true")


def problem(rows: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


def objective(weight: Any = 0.1, references: Any = "batch", penalised: bool = True) -> training.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    term = training.Penalty(rr.ExpectedGradients(references), priors.L1(), weight)
    return training.Objective(model, tasks.MultiClass(3), [term] if penalised else [])


def test_numbers_of_a_fit_are_checked_before_it_begins() -> None:
    for given in (
        {"epochs": float("nan")},
        {"epochs": 1.5},
        {"epochs": True},
        {"seed": "x"},
        {"batch_size": 2.5},
    ):
        with pytest.raises(InputError, match=f"{next(iter(given))} must be a whole number.*; got "):
            fit(objective(), problem(), **{"epochs": 1, **given})


def test_a_last_batch_of_one_under_batch_norm_is_found_before_training() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).double()
    before = [value.clone() for value in net.state_dict().values()]
    objective = training.Objective(net, tasks.MultiClass(3))
    with pytest.raises(
        InputError, match="9 rows leave a batch of one.*drop_last=True, or a batch_size .* such as 3"
    ):
        fit(objective, problem(), epochs=1, batch_size=4)
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert all(module.training for module in net.modules())
    for batches in ({"batch_size": 4, "drop_last": True}, {"batch_size": 3}):
        fit(objective, problem(), epochs=1, **batches)


def test_batch_norm_over_positions_takes_a_single_row() -> None:
    net = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(4, 3)).double()
    assert fit(training.Objective(net, tasks.MultiClass(3)), problem(), epochs=1, batch_size=4).steps == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patience": 3}, r"patience=3 waits for a better validation metric: pass validation=\(x, y\)"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
        ({"clip": -1.0}, "clip is the largest gradient norm"),
        ({"batch_size": 20, "drop_last": True}, "drop_last=True leaves no batch: 9 rows are fewer"),
        ({"batch_size": 4}, "needs two rows in every batch.*drop_last=True"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fit_says_at_once_what_would_fail_later(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(objective(), problem(), epochs=1, **given)


def test_a_single_last_row_may_be_dropped() -> None:
    assert fit(objective(), problem(), epochs=1, batch_size=4, drop_last=True).steps == 2


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (lambda: (objective(weight=0.2), {}), "task and terms"),
        (lambda: (objective(), {"clip": 1.0}), "clip"),
        (lambda: (objective(), {"optimizer": partial(torch.optim.SGD, lr=0.1)}), "optimizer"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_by_what_differs(
    tmp_path: Any, changed: Any, named: str
) -> None:
    fit(objective(), problem(), epochs=1, directory=tmp_path)
    other, given = changed()
    with pytest.raises(InputError, match=f"another run: {named} differ"):
        fit(other, problem(), epochs=2, directory=tmp_path, **given)


def test_fit_trains_where_gradients_are_off() -> None:
    trained = objective()
    before = trained.model[0].weight.detach().clone()
    with torch.no_grad():
        fit(trained, problem(), epochs=1)
    assert not torch.equal(trained.model[0].weight, before)


def test_an_automatic_weight_needs_a_gradient_of_the_task() -> None:
    flat = training.Objective(
        objective().model,
        tasks.Custom(lambda outputs, y: 0.0 * outputs.sum()),
        [training.Penalty(rr.Gradient(), priors.L2(), "auto")],
    )
    with pytest.raises(InputError, match="the gradient of the task has norm 0, that of 'L2'"):
        flat(*problem())


def test_subpackages_are_found_by_name_on_the_root() -> None:
    assert rr.training is training
    with pytest.raises(AttributeError, match="no attribute 'trainin'"):
        _ = rr.trainin


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_kinks_are_no_false_alarm(dtype: torch.dtype, seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).to(dtype)
    x = torch.randn(20, 5, dtype=dtype)
    found = check_differentiable(
        rr.ExpectedGradients(x, samples=8), model, x[:6], torch.tensor([0, 1, 2, 0, 1, 2])
    )
    assert found
    assert found.names("wrong") == found.names("missing") == []
