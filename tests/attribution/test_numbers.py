"""NaN, numbers near the ends of float32, the default dtype: maps are right, NaN, or refused, never plausible."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr

REFERENCES = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
PICTURES = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(1))
ON_TABLES = {
    "gradient": rr.Gradient(),
    "input times gradient": rr.InputTimesGradient(),
    "integrated": rr.IntegratedGradients(steps=4),
    "guided ig": rr.GuidedIG(steps=5),
    "xgradient": rr.XGradient(),
    "deeplift": rr.DeepLift(),
    "deeplift references": rr.DeepLift(references=REFERENCES),
    "lrp": rr.LRP(),
    "lrp z plus": rr.LRP(rule=rr.ZPlus()),
    "guided backprop": rr.GuidedBackprop(),
    "deconvnet": rr.Deconvnet(),
    "smoothgrad": rr.SmoothGrad(samples=3),
    "noisegrad": rr.NoiseGrad(samples=2),
    "fusiongrad": rr.FusionGrad(samples=2, input_samples=2),
    "kriging": rr.ExpectedGradients(REFERENCES, samples=10),
    "stratified": rr.ExpectedGradients(REFERENCES, samples=10, estimator=rr.Stratified()),
    "control variate": rr.ExpectedGradients(REFERENCES, samples=10, estimator=rr.ControlVariate()),
    "complete": rr.ExpectedGradients(REFERENCES, samples=10, estimator=rr.Complete()),
}
ON_PICTURES = {
    "grad-cam": rr.GradCAM(),
    "grad-cam++": rr.GradCAMPlusPlus(),
    "xgrad-cam": rr.XGradCAM(),
    "guided grad-cam": rr.GuidedGradCAM(),
    "blur ig": rr.BlurIG(),
}


def broken(layer: int, pictures: bool) -> nn.Sequential:
    """A network one of whose biases is NaN, as after a diverged step."""
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten()] if pictures else [nn.Linear(4, 48), nn.ReLU()]
    model = nn.Sequential(*first, nn.Linear(48, 3))
    model[layer].bias.data[0] = torch.nan
    return model


@pytest.mark.parametrize("layer", [0, -1])
@pytest.mark.parametrize("name", [*ON_TABLES, *ON_PICTURES])
def test_maps_of_a_network_whose_output_is_nan_are_nan(name: str, layer: int) -> None:
    model = broken(layer, pictures=name in ON_PICTURES)
    x = PICTURES[:3] if name in ON_PICTURES else REFERENCES[:3] + 1
    assert bool(model(x)[:, 0].isnan().all())
    maps = {**ON_TABLES, **ON_PICTURES}[name](model, x, 0)
    assert bool(maps.isnan().flatten(1).any(1).all())


def test_only_the_row_that_is_lost_is() -> None:
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])

    def model(x: Tensor) -> Tensor:
        return (x[:, :1] - 0.5).sqrt().relu()[:, 0] + x.sum(
            1
        )  # the root is NaN below 0.5, its ReLU passes back 0

    for method in (rr.Gradient(), rr.IntegratedGradients(steps=4, baseline=1.0), rr.SmoothGrad(sigma=1e-3)):
        maps = method(model, x)
        assert bool(maps[0].isfinite().all())
        assert not bool(maps[1].isfinite().all())


ESTIMATORS = [None, rr.Independent(), rr.Stratified(), rr.ControlVariate(), rr.Complete(), rr.Kriging()]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e15, 1e19, 1e25, 1e30, 1e37])
@pytest.mark.parametrize("steep", [False, True], ids=["large inputs", "large inputs, small slopes"])
def test_expected_gradients_have_the_scale_of_the_inputs(
    estimator: rr.Estimator | None, scale: float, steep: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([1.0, -2.0]) / (scale if steep else 1.0)
    references, x = torch.rand(6, 2, generator=generator), torch.rand(3, 2, generator=generator)

    def explained(factor: float, weights: Tensor) -> tuple[Tensor, Tensor]:
        method = rr.ExpectedGradients(references * factor, samples=12, estimator=estimator)
        found = method.explain(lambda z: z @ weights, x * factor, generator=torch.Generator().manual_seed(0))
        assert isinstance(found.maps, Tensor)
        assert isinstance(found.standard_error, Tensor)
        return found.maps, found.standard_error

    (maps, errors), (wanted, wanted_errors) = (
        explained(scale, weights),
        explained(1.0, weights * (scale if steep else 1)),
    )
    size = 1.0 if steep else scale
    torch.testing.assert_close(maps / size, wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(errors / size, wanted_errors, rtol=1e-2, atol=1e-3)


def test_displacements_beyond_single_precision_are_refused() -> None:
    method = rr.ExpectedGradients(torch.full((3, 2), -3e38))
    with pytest.raises(
        rr.InputError, match=r"inputs less references leave the range of torch.float32.*\.double\(\)"
    ):
        method(lambda z: z.sum(1) * 1e-30, torch.full((1, 2), 3e38))


def test_many_samples_take_an_estimator_without_a_matrix() -> None:
    x, references = torch.ones(2, 2), torch.randn(1, 2)
    maps = rr.ExpectedGradients(references, samples=20_000)(lambda z: z.square().sum(1), x)
    torch.testing.assert_close(maps, x.square() - references.square(), rtol=1e-4, atol=1e-4)
    with pytest.raises(rr.InputError, match=r"got 20000 samples, of at most 10000. Leave estimator unset"):
        rr.ExpectedGradients(references, samples=20_000, estimator=rr.Kriging())(lambda z: z.sum(1), x)


@pytest.fixture
def double_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


SINGLE = {name: method for name, method in ON_TABLES.items() if method.axioms.random} | {
    "random": rr.RandomMap()
}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8, dtype=torch.float32), nn.Tanh(), nn.Linear(8, 3, dtype=torch.float32)
    )


STATE = net().state_dict()
BEFORE = {
    name: m(net(), REFERENCES[:3], 0, generator=torch.Generator().manual_seed(5))
    for name, m in SINGLE.items()
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.usefixtures("double_by_default")
def test_draws_do_not_depend_on_the_default_dtype(name: str) -> None:
    model = net()
    model.load_state_dict(STATE)
    found = SINGLE[name](model, REFERENCES[:3], 0, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found, BEFORE[name])
