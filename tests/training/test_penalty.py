from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import priors, tasks
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.training import Objective, Penalty
from tests.networks import CLASSES, NETWORKS, labels

NETWORK = NETWORKS["mlp tanh"]
TASK = tasks.MultiClass(CLASSES)


def value(penalty: Penalty, rows: int = 6, seed: int = 0, **call: Any) -> Tensor:
    objective = Objective(NETWORK.make(), TASK, [penalty])
    got = objective(NETWORK.inputs(rows), labels(rows), generator=torch.Generator().manual_seed(seed), **call)
    return got.penalties[penalty.name].detach()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(rows=0.0), r"fraction in \(0, 1\]; got 0"),
        (dict(rows=1.5), r"fraction in \(0, 1\]; got 1.5"),
        (dict(rows=float("nan")), r"fraction in \(0, 1\]"),
        (dict(every=0), "every counts steps"),
        (dict(draws=3), "draws is 1, or 2"),
        (dict(draws=2, prior=priors.L1()), "no bilinear form"),
        (dict(draws=2, prior=priors.L2("global")), "no bilinear form"),
        (dict(rows=0.5, prior=priors.Gini()), "depends on the batch as a whole"),
        (dict(weight=-1.0), "finite and not negative"),
    ],
)
def test_settings_that_do_not_go_together(fields: dict, message: str) -> None:
    fields = {"prior": priors.L2(), **fields}
    with pytest.raises(InputError, match=message):
        Penalty(rr.Gradient(), **fields)


def test_names() -> None:
    assert Penalty(rr.Gradient(), priors.L2()).name == "L2"
    assert Penalty(rr.Gradient(), priors.L2(), label="shrink").name == "shrink"
    assert not Penalty(rr.Gradient(), priors.L2()).coupled
    assert Penalty(rr.Gradient(), priors.Gini()).coupled


def test_some_rows_are_the_rows_they_are() -> None:
    """The penalty of the chosen rows is that of a batch of them, with their labels and guidance."""
    seen = []

    class Keep:
        coupled = False

        def __call__(self, maps: Tensor, guidance: Tensor | None = None) -> Tensor:
            seen.append((maps.detach(), guidance))
            return maps.square().mean()

    x, y = NETWORK.inputs(8), labels(8)
    value(Penalty(rr.Gradient(), Keep(), rows=0.3), 8, guidance=torch.arange(8.0)[:, None].expand(8, 4))
    ((maps, guidance),) = seen
    rows = guidance[:, 0].long()
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 3  # 0.3 of 8, rounded up
    torch.testing.assert_close(maps, rr.Gradient()(NETWORK.make(), x[rows], y[rows]))


def test_some_rows_are_right_on_average() -> None:
    whole = value(Penalty(rr.Gradient(), priors.L2()), 8)
    part = torch.stack([value(Penalty(rr.Gradient(), priors.L2(), rows=0.25), 8, seed) for seed in range(50)])
    assert (part.mean() - whole).abs() < 4 * part.std() / 50**0.5


def test_two_draws_are_unbiased_where_one_is_not() -> None:
    method = rr.ExpectedGradients(NETWORK.inputs(5, seed=3))
    exact = rr.ExpectedGradients(NETWORK.inputs(5, seed=3), samples=500, draws="per_row")
    truth = value(Penalty(exact, priors.L2()), 40)

    def mean(draws: int) -> tuple[Tensor, Tensor]:
        values = torch.stack([value(Penalty(method, priors.L2(), draws=draws), 40, s) for s in range(50)])
        return values.mean(), values.std() / 50**0.5

    one, noise = mean(1)
    assert one - truth > 6 * noise
    two, noise = mean(2)
    assert (two - truth).abs() < 4 * noise


def test_several_inputs_need_a_choice() -> None:
    network = NETWORKS["two inputs"]
    x, y = network.inputs(4), labels(4)
    for which, good in ((None, False), (2, False), (-1, False), (0, True), (1, True)):
        objective = Objective(network.make(), TASK, [Penalty(rr.Gradient(), priors.L2(), input=which)])
        if good:
            expected = priors.L2()(rr.Gradient()(network.make(), x, y)[which])
            torch.testing.assert_close(objective(x, y).penalties["L2"].detach(), expected)
        else:
            with pytest.raises(InputError, match=r"the model has 2 inputs: say whose map.*got input="):
                objective(x, y)


def foreign(model: Callable[..., Tensor], x: Tensor, target: Tensor, **_: Any) -> Tensor:
    """A map as most libraries make it: the gradient without a graph, times the input, which may carry one."""
    z = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(model(z).gather(1, target[:, None]).sum(), z)
    return g * x


def foreign_connected(model: Callable[..., Tensor], x: Tensor, target: Tensor, **_: Any) -> Tensor:
    z = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(model(z).gather(1, target[:, None]).sum(), z, create_graph=True)
    return g


@pytest.mark.parametrize("tracked", [False, True])
def test_foreign_maps_without_parameters_are_an_error(tracked: bool) -> None:
    x = NETWORK.inputs(4).requires_grad_(tracked)
    objective = Objective(NETWORK.make(), TASK, [Penalty(foreign, priors.L2())])
    with pytest.raises(DifferentiabilityError, match=r"foreign.*carry no graph to any parameter"):
        objective(x, labels(4))
    with torch.no_grad():
        assert not objective(x, labels(4)).total.requires_grad


def test_foreign_maps_with_parameters_are_welcome() -> None:
    x, y = NETWORK.inputs(4), labels(4)
    grads = []
    for method in (foreign_connected, rr.Gradient()):
        objective = Objective(NETWORK.make(), TASK, [Penalty(method, priors.L2())])
        objective(x, y).total.backward()
        grads.append(torch.cat([p.grad.flatten() for p in objective.model.parameters()]))
    torch.testing.assert_close(*grads)


def test_foreign_maps_are_of_the_model_that_predicts() -> None:
    modes = []

    def look(model: nn.Module, x: Tensor, target: Tensor, **_: Any) -> Tensor:
        modes.append(any(m.training for m in model.modules()))
        return foreign_connected(model, x, target)

    network = NETWORKS["cnn"]
    objective = Objective(network.make(), TASK, [Penalty(look, priors.L2())])
    before = int(objective.model.norm.num_batches_tracked)
    objective(network.inputs(4), labels(4)).total.backward()
    assert modes == [False]
    assert int(objective.model.norm.num_batches_tracked) == before + 1
    assert all(m.training for m in objective.modules())


def test_a_frozen_model_has_nothing_to_reach() -> None:
    model = NETWORK.make().requires_grad_(False)
    x = NETWORK.inputs(4).requires_grad_()
    Objective(model, TASK, [Penalty(rr.Gradient(), priors.L2())])(x, labels(4)).total.backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.peer
def test_captum_in_a_penalty_is_an_error() -> None:
    captum = pytest.importorskip("captum.attr")

    def integrated(model: nn.Module, x: Tensor, target: Tensor, **_: Any) -> Tensor:
        return captum.IntegratedGradients(model).attribute(x, target=target, n_steps=4)

    objective = Objective(NETWORK.make(), TASK, [Penalty(integrated, priors.L2())])
    for tracked in (False, True):
        with pytest.raises(DifferentiabilityError, match="carry no graph to any parameter"):
            objective(NETWORK.inputs(4).requires_grad_(tracked), labels(4))
