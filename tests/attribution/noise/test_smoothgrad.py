"""SmoothGrad, SmoothGrad-squared and VarGrad."""

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import relative, seeded
from tests.networks import NETWORKS, as_args


def noise_of(seed: int, samples: int, *row: int, sets: int = 1) -> Tensor:
    """The draws a method makes with this seed, (sets, samples, *row)."""
    return torch.randn(sets, samples, *row, generator=seeded(seed))


@pytest.mark.parametrize("is_relative", [True, False])
def test_the_three_reductions_against_one_gradient_at_a_time(
    is_relative: bool, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    def score(row: Tensor, b: int) -> Tensor:
        return model(row[None])[0, y[b]]

    noise = noise_of(3, 7, 4)[0].double()
    mean, square = oracles.smoothgrad(score, x, noise, 0.3, relative=is_relative)
    wanted = {"mean": mean, "mean_square": square, "variance": (square - mean**2) * 7 / 6}
    for reduce, maps in wanted.items():
        method = rr.SmoothGrad(sigma=0.3, samples=7, relative=is_relative, reduce=reduce)
        assert relative(method(model, x, y, generator=seeded(3)), maps) < 1e-10, reduce


def test_standard_error_is_that_of_the_mean_over_draws(model: nn.Module, x: Tensor, y: Tensor) -> None:
    method = rr.SmoothGrad(sigma=0.5, samples=40)
    maps = torch.stack([method(model, x, y, generator=seeded(s)) for s in range(60)])
    errors = [method.explain(model, x, y, generator=seeded(s)).standard_error for s in range(60)]
    stated = torch.stack([e.square() for e in errors]).mean(0).sqrt()
    assert float((maps.std(0) / stated).log().abs().max()) < 0.35  # 60 repetitions: 9 % standard error
    assert rr.SmoothGrad(samples=1).explain(model, x, y).standard_error.isnan().all()
    assert rr.SmoothGrad(reduce="variance").explain(model, x, y).standard_error is None


def test_noise_is_relative_to_each_rows_own_range() -> None:
    """Gradient of x^3 / 3 is x^2, whose mean under noise is x^2 + s^2."""
    x = torch.tensor([[0.0, 1.0], [0.0, 10.0]], dtype=torch.float64)
    method = rr.SmoothGrad(sigma=0.2, samples=4000)
    maps = method(lambda x: (x**3 / 3).sum(1), x, generator=seeded())
    assert isinstance(maps, Tensor)
    assert (maps - x**2).mean(1).tolist() == pytest.approx([0.04, 4.0], rel=0.15)


def test_a_constant_row_has_no_range_and_so_gets_no_noise(model: nn.Module, y: Tensor) -> None:
    x = torch.full((5, 4), 0.7, dtype=torch.float64)
    assert relative(rr.SmoothGrad()(model, x, y), rr.Gradient()(model, x, y)) < 1e-12


def test_smoothing_reduces_how_much_a_map_moves(x: Tensor) -> None:
    """What it is for: a wiggly function, explained at neighbouring points."""

    def wiggly(x: Tensor) -> Tensor:
        return (x + 0.2 * torch.sin(30 * x)).sum(1)

    near = x + 0.02
    plain = relative(rr.Gradient()(wiggly, near), rr.Gradient()(wiggly, x))
    method = rr.SmoothGrad(sigma=0.3, samples=200, relative=False)
    assert (
        relative(method(wiggly, near, generator=seeded()), method(wiggly, x, generator=seeded())) < plain / 4
    )


def test_every_input_of_a_tuple_gets_its_own_noise() -> None:
    network = NETWORKS["two inputs"]
    model, inputs = network.make(), network.inputs(3)
    maps = as_args(rr.SmoothGrad(samples=4)(model, inputs, 0))
    assert [m.shape for m in maps] == [part.shape for part in as_args(inputs)]


@pytest.mark.parametrize("engine", ["double", "recompute"])
def test_in_training_every_row_has_one_draw_of_its_own_and_parameters_get_gradient(
    engine: str, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    from rightreasons.training import DoubleBackprop, Recompute

    chosen = DoubleBackprop() if engine == "double" else Recompute()
    maps = chosen.maps(rr.SmoothGrad(sigma=0.3), model, x, y, generator=seeded(5))
    noise = noise_of(5, 1, 4, sets=5)[:, 0].double()
    spread = (x.amax(1) - x.amin(1))[:, None]
    at = (x + 0.3 * spread * noise).requires_grad_()
    (wanted,) = torch.autograd.grad(model(at).gather(1, y[:, None]).sum(), at, create_graph=True)
    assert relative(maps, wanted) < 1e-10
    weight = next(model.parameters())
    got = torch.autograd.grad(maps.square().sum(), weight)[0]
    assert relative(got, torch.autograd.grad(wanted.square().sum(), weight)[0]) < 1e-10


@pytest.mark.parametrize("at", [None, "1"])
@pytest.mark.parametrize("reduce", ["mean", "mean_square", "variance"])
def test_gradients_reach_parameters_and_inputs(
    at: str | None, reduce: str, model: nn.Module, y: Tensor
) -> None:
    method = rr.SmoothGrad(samples=3, reduce=reduce, at=at)
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    weights = list(model.parameters())[:2]

    def maps(x: Tensor, *values: Tensor) -> Tensor:
        return method(model, x, y[:2], generator=seeded(), create_graph=True)

    assert torch.autograd.gradcheck(maps, (x, *weights), atol=1e-6, fast_mode=True)


def test_training_variance_draws_two(model: nn.Module, x: Tensor, y: Tensor) -> None:
    from rightreasons.training import DoubleBackprop

    assert DoubleBackprop().maps(rr.SmoothGrad(reduce="variance"), model, x, y).isfinite().all()


@pytest.mark.parametrize("sigma", [0, -0.1, float("inf"), float("nan")])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(rr.InputError, match="sigma is the standard deviation of the noise, positive"):
        rr.SmoothGrad(sigma=sigma)


@pytest.mark.parametrize("samples", [0, -3])
def test_samples_must_be_positive(samples: int) -> None:
    with pytest.raises(rr.InputError, match=f"samples must be a whole number of at least 1.*; got {samples}"):
        rr.SmoothGrad(samples=samples)


@pytest.mark.usefixtures("without_type_checks")
def test_other_bad_configurations() -> None:
    with pytest.raises(rr.InputError, match="pass relative=False"):
        rr.SmoothGrad(sigma=torch.ones(4))
    with pytest.raises(rr.InputError, match="positive and finite"):
        rr.SmoothGrad(sigma=torch.zeros(4), relative=False)
    with pytest.raises(rr.InputError, match="reduce must be one of mean, mean_square, variance; got 'max'"):
        rr.SmoothGrad(reduce="max")
    with pytest.raises(rr.InputError, match="variance of one sample does not exist"):
        rr.SmoothGrad(reduce="variance", samples=1)


def test_sigma_of_the_wrong_shape(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(rr.ShapeError, match="sigma of shape"):
        rr.SmoothGrad(sigma=torch.ones(3), relative=False)(model, x, y)
