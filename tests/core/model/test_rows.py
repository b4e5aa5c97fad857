"""Models and layers whose first dimension is as long as the batch, but is not the rows."""

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attacks, priors, tasks, training

METHODS = [
    rr.Gradient(),
    rr.IntegratedGradients(steps=4),
    rr.DeepLift(),
    rr.LRP(),
    rr.GuidedBackprop(),
    rr.SmoothGrad(),
]


class Net(nn.Module):
    """Rows last in the output, or in a layer on the way, if `rows_last` says so."""

    def __init__(self, width: int, rows_last: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, width), nn.Linear(width, width)
        self.turn, self.rows_last = nn.Identity(), rows_last

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu()
        if self.rows_last == "layer":
            hidden = self.turn(hidden.T).T
        out = self.second(hidden)
        return out.T if self.rows_last == "output" else out


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize(("rows", "where"), [(5, "output"), (2, "output")])
def test_rows_last_in_the_output_are_refused(method: rr.Attribution, rows: int, where: str) -> None:
    with pytest.raises(rr.TargetError, match="one row for each input row: (it gave|got output)"):
        method(Net(rows, where), torch.randn(rows, 3), 0)


@pytest.mark.parametrize("method", [rr.Gradient(), rr.IntegratedGradients(steps=4)], ids=repr)
def test_a_model_that_wants_sequences_first_is_refused(method: rr.Attribution) -> None:
    torch.manual_seed(0)
    rnn = nn.RNN(3, 2)  # (steps, rows, features)
    with pytest.raises(rr.TargetError, match="sequence first, or transposed|one row for each input row"):
        method(lambda x: rnn(x)[0][-1], torch.randn(5, 5, 3), 0)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_as_many_rows_as_features_or_outputs_are_explained_like_others(
    method: rr.Attribution, rows: int
) -> None:
    model, x = Net(rows), torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    seed = torch.Generator().manual_seed
    together = method(model, x, 1, generator=seed(0))
    alone = torch.cat([method(model, row[None], 1, generator=seed(0)) for row in x])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("rows", [2, 5])
def test_a_layer_with_rows_elsewhere_is_refused_by_name(rows: int) -> None:
    model, x = Net(rows, "layer"), torch.randn(rows, 3)
    for method in (rr.Gradient(at="turn"), rr.IntegratedGradients(at="turn"), rr.LRP(at="turn")):
        with pytest.raises(
            rr.TargetError, match="layer 'turn' must return one row for each input row: it gave"
        ):
            method(model, x, 0)
    assert rr.Gradient(at="first")(Net(rows), x, 0).shape == (rows, rows)


@pytest.mark.parametrize("method", [rr.Gradient(), rr.LRP(), rr.Gradient(at="0")], ids=repr)
def test_columns_taken_for_rows_are_refused_where_fewer_rows_cannot_run(method: rr.Attribution) -> None:
    class Turned(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.T)

    torch.manual_seed(0)
    with pytest.raises(
        rr.TargetError, match=r"in the opposite order.*Wrap the model so that rows come first"
    ):
        method(Turned(nn.Linear(5, 5), nn.Tanh()), torch.randn(5, 5), 0)


def test_a_model_of_one_size_that_draws_is_not_judged() -> None:
    def noisy(x: Tensor) -> Tensor:
        return x.view(3, 3).square() + torch.rand(3, 3)

    x = torch.randn(3, 3)
    torch.testing.assert_close(rr.Gradient()(noisy, x, 1)[:, 1], 2 * x[:, 1])


def test_what_cannot_run_on_other_rows_is_explained_as_before() -> None:
    def fixed(x: Tensor) -> Tensor:
        if len(x) != 3:
            raise ValueError("three rows only")
        return x.square().sum(1)

    x = torch.randn(3, 3)
    torch.testing.assert_close(rr.Gradient()(fixed, x), 2 * x)


def test_penalties_and_attacks_refuse_them_too() -> None:
    model, x, y = Net(5, "output"), torch.randn(5, 3), torch.arange(5)
    objective = training.Objective(model, tasks.MultiClass(5), [training.Penalty(rr.Gradient(), priors.L2())])
    with pytest.raises(rr.TargetError, match="one row for each input row"):
        objective(x, y)
    with pytest.raises(rr.TargetError, match="one row for each input row"):
        attacks.PGD(eps=0.1)(model, x, y)
    with pytest.raises(rr.TargetError, match="one row for each input row"):
        attacks.TopK(k=2, eps=0.1)(model, x, y, attribution=rr.Gradient())
