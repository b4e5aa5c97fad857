import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks import Survival
from rightreasons.tasks._scores import concordance

F = torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=torch.float64)
Y = torch.tensor([[1.0, 1.0], [2.0, 0.0], [2.0, 1.0], [3.0, 1.0]])
people = st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 5), st.booleans()), min_size=1, max_size=12)


def tensors(rows) -> tuple[Tensor, Tensor]:
    f, time, event = zip(*rows, strict=True)
    return torch.tensor(f, dtype=torch.float64), torch.tensor(
        [time, event], dtype=torch.float64
    ).T.contiguous()


def efron(f: Tensor, y: Tensor) -> float:
    """Time by time, tie by tie."""
    rows = list(zip(f.tolist(), *y.T.tolist(), strict=True))
    total = events = 0
    for now in {time for _, time, event in rows if event}:
        dying = [math.exp(g) for g, time, event in rows if event and time == now]
        at_risk = sum(math.exp(g) for g, time, _ in rows if time >= now)
        total -= sum(g for g, time, event in rows if event and time == now)
        for m in range(len(dying)):
            total += math.log(at_risk - m / len(dying) * sum(dying))
        events += len(dying)
    return total / events if events else 0.0


def harrell(f: Tensor, y: Tensor) -> float:
    """Pair by pair."""
    wins = pairs = 0.0
    rows = list(zip(f.tolist(), *y.T.tolist(), strict=True))
    for risk, time, event in rows:
        for other_risk, other_time, other_event in rows:
            if event and (other_time > time or (other_time == time and not other_event)):
                pairs += 1
                wins += 1.0 if risk > other_risk else 0.5 if risk == other_risk else 0.0
    return wins / pairs if pairs else math.nan


@given(people)
def test_loss_is_efrons_likelihood_time_by_time(rows):
    f, y = tensors(rows)
    assert float(Survival().loss(f, y)) == pytest.approx(efron(f, y), rel=1e-10, abs=1e-12)


@given(people)
def test_concordance_is_the_share_of_pairs_in_order(rows):
    f, y = tensors([(round(f), time, event) for f, time, event in rows])  # rounded, so that risks tie
    assert concordance(f, y[:, 0], y[:, 1] == 1) == pytest.approx(harrell(f, y), nan_ok=True)


def test_two_rows_in_closed_form():
    y = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    for a, b in ((0.0, 0.0), (1.0, -2.0), (500.0, -500.0), (-500.0, 500.0)):
        f = torch.tensor([a, b], dtype=torch.float64)
        expected = float(torch.nn.functional.softplus(f[1] - f[0]))
        assert float(Survival().loss(f, y)) == pytest.approx(expected, rel=1e-12)


def test_equal_hazards_in_closed_form():
    """Without ties -log(1/n!) / n; with all n at one time Efron has sum_m log(n - m), the same."""
    n = 7
    expected = math.lgamma(n + 1) / n
    f, seen = torch.full((n,), 0.7, dtype=torch.float64), torch.ones(n)
    for time in (torch.randperm(n).float(), torch.ones(n)):
        assert float(Survival().loss(f, torch.stack([time, seen], 1))) == pytest.approx(expected)


def test_the_best_log_hazard_ratio_of_two_groups_solves_the_score_equation():
    """Two exposed and two others, no ties: the gradient vanishes where observed = expected exposed deaths."""
    group = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [4.0, 1.0]])
    beta = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        (slope,) = torch.autograd.grad(Survival().loss(beta * group, y), beta, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, beta)
        beta = (beta - slope / curvature).detach().requires_grad_()
    ratio = float(beta.detach().exp())
    expected = 2 * ratio / (2 * ratio + 2) + ratio / (ratio + 2) + ratio / (ratio + 1)
    assert expected == pytest.approx(2.0)


def test_gradient_equals_finite_differences():
    torch.autograd.gradcheck(lambda f: Survival().loss(f, Y), F.clone().requires_grad_())
    torch.autograd.gradgradcheck(lambda f: Survival().loss(f, Y), F.clone().requires_grad_())


def test_a_constant_changes_nothing_and_large_hazards_do_not_overflow():
    single = F.float()
    expected = Survival().loss(single, Y)
    for shift in (100.0, -1000.0):
        torch.testing.assert_close(Survival().loss(single + shift, Y), expected, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(Survival().loss(single * 1e4, Y))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_raised(dtype):
    assert Survival().loss(F.to(dtype), Y).dtype == torch.float32


def test_a_batch_without_an_event_has_no_gradient():
    f = F.clone().requires_grad_()
    loss = Survival().loss(f, Y * torch.tensor([1.0, 0.0]))
    assert float(loss.detach()) == 0.0
    assert not torch.autograd.grad(loss, f)[0].any()
    nothing = Survival().metrics(F, Y * torch.tensor([1.0, 0.0]))
    assert all(math.isnan(value) for value in nothing.values())


def test_metrics_by_hand_and_one_output_to_explain():
    # Comparable: row 0 with the three others, row 2 with row 1 (ended at the same time unseen) and row 3.
    found = Survival().metrics(F[:, None], Y)
    assert found["concordance"] == pytest.approx((1 + 0 + 0 + 1 + 1) / 5)
    assert found["log_loss"] == pytest.approx(efron(F, Y))
    assert Survival().explained(Y) is None
    assert Survival.headline in found


def test_metrics_of_a_diverged_model_are_nan():
    assert all(math.isnan(value) for value in Survival().metrics(F * math.nan, Y).values())


@pytest.mark.parametrize(
    ("outputs", "y", "error", "match"),
    [
        (F, Y[:, 0], ShapeError, r"must have shape \(B, 2\), time and event, got \(4,\)"),
        (F, torch.zeros(4, 3), ShapeError, r"got \(4, 3\). Use torch.stack"),
        (F[:2], Y, ShapeError, "same number of rows"),
        (F[:0], Y[:0], ShapeError, "at least one row"),
        (torch.zeros(4, 2), Y, ShapeError, "Outputs of a survival task must have shape"),
        (F.long(), Y, InputError, "must be floating point"),
        (F, Y.long(), InputError, "must be floating, time and event, got torch.int64"),
        (F, Y * math.nan, InputError, "must be finite"),
        (F, Y.flip(1), InputError, r"events \[1.0, 2.0, 3.0\]. The order is \(time, event\)"),
        (F, Y - torch.tensor([2.0, 0.0]), InputError, "got times from -1 and"),
    ],
)
def test_what_cannot_be_used_is_refused(outputs, y, error, match):
    with pytest.raises(error, match=match):
        Survival().loss(outputs, y)
    with pytest.raises(error, match=match):
        Survival().metrics(outputs, y)
