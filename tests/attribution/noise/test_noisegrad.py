"""NoiseGrad and FusionGrad."""

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import assert_same_state, relative, seeded, state
from tests.networks import NETWORKS, Network, as_args, labels, mlp


def noisy_copy(model: nn.Module, sigma: float, generator: torch.Generator) -> nn.Module:
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter *= 1 + sigma * torch.randn(parameter.shape, generator=generator)
    return twin


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return oracles.gradient(lambda row, b: model(row[None])[0, y[b]], x)


def test_noisegrad_against_one_copy_at_a_time(model: nn.Module, x: Tensor, y: Tensor) -> None:
    generator = seeded(3)
    each = torch.stack([gradients(noisy_copy(model, 0.3, generator), x, y) for _ in range(4)])
    explained = rr.NoiseGrad(sigma=0.3, samples=4).explain(model, x, y, generator=seeded(3))
    # The product is taken in float32 noise, and copies round like that, too.
    assert relative(explained.maps, each.mean(0)) < 1e-6
    assert relative(explained.standard_error, each.std(0) / 2) < 1e-6
    torch.testing.assert_close(explained.outputs, model.eval()(x))
    assert explained.gap is None


@pytest.mark.parametrize("is_relative", [True, False])
def test_fusiongrad_against_one_copy_and_one_input_at_a_time(
    is_relative: bool, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    generator, wanted = seeded(3), torch.zeros_like(x)
    scale = (x.amax(1) - x.amin(1))[:, None] if is_relative else 1.0
    for _ in range(3):
        twin = noisy_copy(model, 0.2, generator)
        for _ in range(2):
            noise = torch.randn(1, 4, generator=generator)
            wanted += gradients(twin, x + 0.4 * scale * noise, y) / 6
    method = rr.FusionGrad(samples=3, input_samples=2, input_sigma=0.4, relative=is_relative)
    assert relative(method(model, x, y, generator=seeded(3)), wanted) < 1e-6


@pytest.mark.parametrize(
    "inner",
    [
        rr.IntegratedGradients(steps=4),
        rr.InputTimesGradient(at="1"),
        rr.DeepLift(baseline=0.2),
        rr.LRP(),
        rr.SmoothGrad(samples=2),
    ],
    ids=repr,
)
def test_any_method_can_be_inside(inner: rr.Attribution, model: nn.Module, x: Tensor, y: Tensor) -> None:
    generator = seeded(3)
    wanted = sum(inner(noisy_copy(model, 0.2, generator), x, y, generator=generator) for _ in range(3)) / 3
    assert relative(rr.NoiseGrad(inner, samples=3)(model, x, y, generator=seeded(3)), wanted) < 1e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
def test_every_network_and_its_parameters_are_left_as_found(network: Network) -> None:
    """Tied weights, parametrisations and recurrent layers are all perturbed, and only for the call."""
    model, x, y = network.make(), network.inputs(3), labels(3)
    before = state(model)
    inner = rr.Gradient(at=network.at)
    maps = rr.NoiseGrad(inner, samples=2)(model, x, y, generator=seeded())
    assert_same_state(state(model), before)
    assert relative(maps, inner(model, x, y)) > 1e-3
    if network.name != "spectral norm":  # which normalises copies anew
        generator = seeded()
        twins = [inner(noisy_copy(model, 0.2, generator), x, y) for _ in range(2)]
        wanted = tuple((a + b) / 2 for a, b in zip(*map(as_args, twins), strict=True))
        assert relative(as_args(maps), wanted) < 1e-6


def test_a_compiled_network_is_perturbed_too(x: Tensor, y: Tensor) -> None:
    model = mlp().double()
    wanted = rr.NoiseGrad(samples=2)(model, x, y, generator=seeded())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said once in a process
        maps = rr.NoiseGrad(samples=2)(torch.compile(model, backend="eager"), x, y, generator=seeded())
    assert relative(maps, wanted) < 1e-12


def test_noise_of_weights_that_are_zero_is_zero(x: Tensor) -> None:
    model = mlp().double()
    with torch.no_grad():
        model[0].weight[:, 2] = 0
    assert not rr.NoiseGrad()(model, x, 0)[:, 2].any()


def test_a_penalty_reaches_every_parameter(model: nn.Module, x: Tensor, y: Tensor) -> None:
    for method in (rr.NoiseGrad(samples=2), rr.FusionGrad(samples=2, input_samples=2)):
        assert rr.training.check_differentiable(method, model, x, y)
        engine = rr.training.DoubleBackprop()
        maps = engine.maps(method, model, x, y, generator=seeded())
        assert torch.equal(maps, method(model, x, y, generator=seeded(), create_graph=True))
        with pytest.raises(rr.InputError, match="Recompute works for methods whose maps are sums over draws"):
            rr.training.Recompute().maps(method, model, x, y)


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0, -0.1, float("inf"), float("nan")])
def test_noise_must_be_positive(sigma: float) -> None:
    with pytest.raises(
        rr.InputError, match="sigma is the standard deviation of the noise, a share of each par"
    ):
        rr.NoiseGrad(sigma=sigma)
    with pytest.raises(
        rr.InputError, match="sigma is the standard deviation of the noise, a share of each par"
    ):
        rr.FusionGrad(sigma=sigma)
    with pytest.raises(rr.InputError, match=r"input_sigma is .* a share of each row's range"):
        rr.FusionGrad(input_sigma=sigma)
    with pytest.raises(rr.InputError, match=r"input_sigma is .* in the units of the input"):
        rr.FusionGrad(input_sigma=sigma, relative=False)


@pytest.mark.usefixtures("without_type_checks")
def test_other_bad_configurations() -> None:
    with pytest.raises(rr.InputError, match="samples must be a whole number of at least 1.*; got 0"):
        rr.NoiseGrad(samples=0)
    with pytest.raises(rr.InputError, match="input_samples must be a whole number of at least 1.*; got -1"):
        rr.FusionGrad(input_samples=-1)
    for kind in (rr.NoiseGrad, rr.FusionGrad):
        with pytest.raises(rr.InputError, match=r"method must be an attribution such as rr\.Gradient\(\)"):
            kind(rr.Gradient)


def test_models_without_parameters(x: Tensor) -> None:
    with pytest.raises(rr.InputError, match=r"the model must be an nn.Module; got function"):
        rr.NoiseGrad()(lambda x: x.sum(1), x)
    with pytest.raises(rr.InputError, match="noise on parameters; this model has none"):
        rr.NoiseGrad()(nn.Sequential(nn.Tanh(), nn.Flatten()), x, 0)


def test_what_the_inner_method_refuses(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(rr.DifferentiabilityError, match="LRP is not differentiable"):
        rr.NoiseGrad(rr.LRP())(model, x, y, create_graph=True)
    for inner in (rr.NoiseGrad(), rr.FusionGrad()):
        for outer in (rr.NoiseGrad(inner), rr.FusionGrad(inner)):
            with pytest.raises(rr.InputError, match="noise on weights inside noise on weights"):
                outer(model, x, y)
    tokens = NETWORKS["tokens"]
    with pytest.raises(rr.InputError, match="must be floating point"):
        rr.FusionGrad(rr.Gradient(at="embedding"))(tokens.make(), tokens.inputs(2), 0)
