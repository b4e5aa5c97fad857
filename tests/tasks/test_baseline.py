"""Breslow's baseline against plain loops."""

import math

import pytest
import torch
from torch import Tensor

from rightreasons.core._errors import InputError
from rightreasons.tasks import Baseline


def lives() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(30, generator=generator, dtype=torch.float64)
    time = torch.randint(1, 9, (30,), generator=generator).double()  # many ties
    event = torch.randint(0, 2, (30,), generator=generator).double()
    return f, torch.stack([time, event], 1)


def survival(f: Tensor, y: Tensor, risk: float, when: float) -> float:
    """exp(-e^risk sum over event times k <= when of d_k / sum of e^f over rows at risk)."""
    hazard = 0.0
    for k in sorted({float(t) for t, e in y if e == 1 and t <= when}):
        died = sum(1 for t, e in y if t == k and e == 1)
        hazard += died / sum(math.exp(float(each)) for each, (t, _) in zip(f, y, strict=True) if t >= k)
    return math.exp(-hazard * math.exp(risk))


def test_survival_is_that_of_a_plain_loop() -> None:
    f, y = lives()
    times = [0.0, 0.5, 1.0, 3.7, 8.0]
    risks = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    wanted = [[survival(f, y, risk, when) for when in times] for risk in risks.tolist()]
    found = Baseline.fit(f, y).survival(risks, times)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-10, atol=0)


def test_the_median_is_the_first_time_at_which_half_are_gone() -> None:
    f, y = lives()
    baseline = Baseline.fit(f, y)
    for risk in (-1.0, 0.0, 0.3, 2.0):
        wanted = next((k for k in baseline.times.tolist() if survival(f, y, risk, k) <= 0.5), math.nan)
        assert baseline.median(torch.tensor([risk])).item() == pytest.approx(wanted, nan_ok=True)
    assert math.isnan(baseline.median(torch.tensor([-9.0])).item())
    halved = Baseline.fit(torch.zeros(4), torch.tensor([[1.0, 1.0], [1.0, 0.0], [2.0, 1.0], [2.0, 0.0]]))
    exactly = math.log(math.log(2) / 0.25)  # S(1) is one half
    assert halved.median(torch.tensor([exactly], dtype=torch.float64)).item() == 1.0


def test_what_is_added_to_every_log_hazard_changes_nothing() -> None:
    f, y = lives()
    near, far = Baseline.fit(f, y), Baseline.fit(f + 900, y)
    torch.testing.assert_close(
        near.survival(f, [2.0, 5.0]), far.survival(f + 900, [2.0, 5.0]), rtol=1e-10, atol=0
    )


def test_nothing_is_said_beyond_the_longest_observation() -> None:
    f, y = lives()
    for wrong in (-1.0, 8.5, math.nan, math.inf):
        with pytest.raises(InputError, match=r"known from time 0 to 8, the longest observation"):
            Baseline.fit(f, y).survival(f, [wrong])


def test_without_events_everybody_survives() -> None:
    baseline = Baseline.fit(torch.zeros(2), torch.tensor([[1.0, 0.0], [4.0, 0.0]]))
    found = baseline.predictions(torch.zeros(1), [4.0])
    assert found["S(4)"] == [1.0]
    assert math.isnan(found["median survival"][0])
    assert list(baseline.predictions(torch.zeros(1))) == ["median survival"]


def test_columns_are_quartiles_of_event_times_unless_asked() -> None:
    y = torch.stack([torch.arange(1.0, 10.0), torch.ones(9)], 1)
    baseline = Baseline.fit(torch.zeros(9), y)
    assert list(baseline.predictions(torch.zeros(1))) == ["median survival", "S(3)", "S(5)", "S(7)"]
    assert baseline.predictions(torch.zeros(1), [2.0, 4.5])["median survival"] == [5.0]
