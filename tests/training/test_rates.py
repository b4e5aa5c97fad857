"""Schedules of the learning rate: torch's own where torch has them, and a resumed run goes on with the same rate."""

from functools import partial
from math import cos, pi

import pytest
import torch

from rightreasons import InputError, training
from tests.training.test_loop import DOUBLE, objective, problem, weights

SCHEDULES = [
    training.Constant(),
    training.Constant(warm_up=0.2),
    training.Linear(end=0.1, warm_up=0.1),
    training.Cosine(end=0.05),
    training.Cosine(warm_up=0.3),
    training.Exponential(),
    training.Steps(factor=0.5, at=(0.2, 0.4, 0.9), warm_up=0.1),
    training.OneCycle(),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_factors_are_shares_of_the_full_rate_and_reach_it(schedule: training.Schedule) -> None:
    factors = [schedule(step / 200) for step in range(201)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) == pytest.approx(1.0)
    assert eval(repr(schedule), vars(training)) == schedule


@pytest.mark.parametrize(
    "schedule", [s for s in SCHEDULES if s.warm_up and not isinstance(s, training.OneCycle)]
)
def test_a_warm_up_is_a_line_from_zero(schedule: training.Schedule) -> None:
    assert schedule(0.0) == 0
    assert schedule(schedule.warm_up / 4) == pytest.approx(schedule(schedule.warm_up) / 4)
    assert schedule(schedule.warm_up * (1 - 1e-9)) == pytest.approx(schedule(schedule.warm_up))


def of_torch(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


TORCH = torch.optim.lr_scheduler
PEERS = {
    "cosine": (
        training.Cosine(end=0.1),
        partial(TORCH.CosineAnnealingLR, T_max=50, eta_min=0.1),
    ),
    "exponential": (training.Exponential(end=0.9**50), partial(TORCH.ExponentialLR, gamma=0.9)),
    "steps": (training.Steps(factor=0.1, at=(0.4, 0.8)), partial(TORCH.MultiStepLR, milestones=[20, 40])),
    "linear": (
        training.Linear(end=0.2),
        partial(TORCH.LinearLR, start_factor=1.0, end_factor=0.2, total_iters=50),
    ),
    "one cycle": (
        training.OneCycle(warm_up=0.3, start=1 / 25, end=4e-6),
        # torch counts 50 intervals from 51 steps, the peak at 0.3 of them
        partial(TORCH.OneCycleLR, max_lr=1.0, total_steps=51, pct_start=16 / 51, cycle_momentum=False),
    ),
}  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("name", PEERS)
def test_the_curves_are_those_of_torch(name: str) -> None:
    schedule, make = PEERS[name]
    ours = [schedule(step / 50) for step in range(50)]
    assert ours == pytest.approx(of_torch(make, 50), rel=1e-9)


def test_fit_sets_the_rate_of_every_step() -> None:
    seen = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

    DOUBLE(
        objective(), problem(), epochs=2, batch_size=16, optimizer=partial(Watched, lr=0.5), scheduler=training.Cosine()
    )  # fmt: skip
    assert seen == pytest.approx([0.5 * (1 + cos(pi * (s + 0.5) / 6)) / 2 for s in range(6)])


def test_a_resumed_run_goes_on_with_the_schedule(tmp_path) -> None:
    def run(directory, stop_after=None):
        trained = objective()

        def stop(record):
            if record["epoch"] == stop_after:
                raise KeyboardInterrupt

        try:
            DOUBLE(
                trained, problem(), epochs=6, batch_size=16, directory=directory,
                scheduler=training.OneCycle(), progress=stop,
            )  # fmt: skip
        except KeyboardInterrupt:
            return None
        return weights(trained)

    expected = run(None)
    assert run(tmp_path, stop_after=2) is None
    assert torch.equal(run(tmp_path), expected)
    with pytest.raises(InputError, match="holds a checkpoint of another run: schedule"):
        DOUBLE(
            objective(), problem(), epochs=6, batch_size=16, directory=tmp_path, scheduler=training.Cosine()
        )


def test_plateau_follows_the_validation_loss() -> None:
    fitted = DOUBLE(
        objective(), problem(), validation=problem(20, seed=3), epochs=8, batch_size=16,
        optimizer=partial(torch.optim.SGD, lr=1e-5),
        scheduler=partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=1, factor=0.1, threshold=0.5),
    )  # fmt: skip
    rates = [record["rate"] for record in fitted.history]
    assert rates[:3] == [1e-5] * 3
    assert rates[3] == pytest.approx(1e-6)  # two epochs without half the loss


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: training.Cosine(warm_up=1.0), "warm_up is a share of the steps.*got 1.0"),
        (lambda: training.Linear(end=-1.0), "end is a factor of the rate.*got -1.0"),
        (lambda: training.Cosine(end=float("nan")), "end is a factor.*got nan"),
        (lambda: training.Exponential(end=0.0), "needs end > 0"),
        (lambda: training.Steps(at=(0.5, 1.5)), "at are shares of the steps.*1.5"),
        (lambda: training.Steps(factor=-0.1), "factor is a factor of the rate"),
        (lambda: training.OneCycle(start=-0.1), "start is a factor of the rate"),
    ],
)
def test_numbers_out_of_range(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
