"""Our methods on captum's own test table, behind captum's interface; captum's algorithms behind ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests.attribution.helpers import assert_same_state, relative, seeded, state
from tests.networks import CNN, NETWORKS, as_args, labels
from tests.test_repository import run_python

captum = pytest.importorskip("captum.attr")
from captum.testing.attr.helpers.gen_test_utils import get_target_layer  # noqa: E402
from captum.testing.attr.helpers.test_config import config  # noqa: E402

from rightreasons.integrations.captum import as_captum, from_captum  # noqa: E402
from tests.integrations.captum_table import PAGE, SAME, SKIPPED, entries, page  # noqa: E402

# Captum warns of every hook it sets, and of what it does to inputs and batch sizes.
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning")]


def cases() -> list[Any]:
    return [
        pytest.param(entry, algorithm, id=f"{entry['name']}-{algorithm.__name__}")
        for entry, algorithm, why in entries()
        if why is None
    ]


def test_every_skipped_entry_exists() -> None:
    names = {(entry["name"], algorithm.__name__) for entry in config for algorithm in entry["algorithms"]}
    names |= {(entry["name"], "") for entry in config}
    assert set(SKIPPED) <= names


def test_the_page_about_captum_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def ours_for(entry: dict[str, Any], name: str, inputs: Any) -> rr.Attribution:
    method, layer = SAME[name], entry.get("layer")
    if layer is not None:
        method = replace(method, **{"layer" if name in ("LayerGradCam", "GuidedGradCam") else "at": layer})
    return method


@pytest.mark.parametrize(("entry", "algorithm"), cases())
def test_captums_own_table(entry: dict[str, Any], algorithm: Any) -> None:
    model, arguments, name = entry["model"].eval(), dict(entry["attribute_args"]), algorithm.__name__
    layer = () if entry.get("layer") is None else (get_target_layer(model, entry["layer"]),)
    inputs = arguments.pop("inputs")
    theirs, ours = algorithm(model, *layer), as_captum(ours_for(entry, name, inputs))(model)
    if entry.get("noise_tunnel"):
        theirs, ours = captum.NoiseTunnel(theirs), captum.NoiseTunnel(ours)
        arguments |= {"abs": True} if name == "Saliency" else {}
    before = state(model)
    wanted = theirs.attribute(asked(inputs), **arguments)
    if name == "Saliency":
        arguments["abs"] = True
    got = ours.attribute(inputs, **arguments)
    assert_same_state(state(model), before)
    if not layer or name == "GuidedGradCam":
        assert isinstance(got, tuple) == isinstance(inputs, tuple)
    # float32 models and inputs
    assert relative(first(got) if layer else got, first(wanted) if layer else wanted) < 1e-5


def first(maps: Any) -> Tensor:
    return maps[0] if isinstance(maps, tuple) else maps


def asked(inputs: Any) -> Any:
    copies = tuple(part.clone().requires_grad_() for part in as_args(inputs))
    return copies if isinstance(inputs, tuple) else copies[0]


# float64, larger networks ---------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Convolutions, batch-norm and average pooling, every module used once: what captum handles."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool, self.second, self.act = pool, nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()
        self.mean, self.head = nn.AdaptiveAvgPool2d(2), nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mean(self.act(self.second(self.pool(self.first(x))))).flatten(1))


def small(pool: nn.Module) -> nn.Module:
    model = Small(pool).double()
    model(torch.randn(8, 2, 8, 8, dtype=torch.float64))
    return model.eval()


@pytest.fixture
def cnn() -> nn.Module:
    return small(nn.AvgPool2d(2))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 2, 8, 8, dtype=torch.float64)


PAIRS: dict[str, tuple[Callable[[Any], Any], rr.Attribution, dict[str, Any]]] = {
    "saliency": (captum.Saliency, rr.Gradient(), {"abs": False}),
    "guided": (captum.GuidedBackprop, rr.GuidedBackprop(), {}),
    "deconvolution": (captum.Deconvolution, rr.Deconvnet(), {}),
    "deeplift": (captum.DeepLift, rr.DeepLift(), {}),
    "deeplift baseline": (captum.DeepLift, rr.DeepLift(baseline=0.3), {"baselines": 0.3}),
    "guided grad-cam": (
        lambda m: captum.GuidedGradCam(m, m.second),
        rr.GuidedGradCAM(layer="second", upsample="nearest"),
        {},
    ),
    "layer grad-cam": (
        lambda m: captum.LayerGradCam(m, m.second),
        rr.GradCAM(layer="second", upsample=None, relu=False),
        {},
    ),
    "layer deeplift": (lambda m: captum.LayerDeepLift(m, m.pool), rr.DeepLift(at="pool"), {}),
    "layer lrp": (
        lambda m: captum.LayerLRP(m, m.pool),
        rr.LRP(rule=rr.Epsilon(1e-9), merge_norms=False, at="pool"),
        {},
    ),
    "lrp": (captum.LRP, rr.LRP(rule=rr.Epsilon(1e-9), merge_norms=False), {}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_agreement_in_float64(name: str, cnn: nn.Module, x: Tensor) -> None:
    algorithm, method, arguments = PAIRS[name]
    y = labels(4)
    theirs = algorithm(cnn).attribute(x.clone().requires_grad_(), target=y, **arguments)
    assert relative(method(cnn, x, y), first(theirs)) < (1e-7 if "lrp" in name else 1e-10)


def test_upsampled_grad_cam_is_captums_interpolation(cnn: nn.Module, x: Tensor) -> None:
    low = captum.LayerGradCam(cnn, cnn.second).attribute(x, target=1, relu_attributions=True)
    for mode in ("nearest", "bilinear"):
        theirs = captum.LayerAttribution.interpolate(low, (8, 8), interpolate_mode=mode)
        assert relative(rr.GradCAM(layer="second", upsample=mode)(cnn, x, 1), theirs) < 1e-10


def test_lrp_agrees_through_max_pooling(x: Tensor) -> None:
    model, y = small(nn.MaxPool2d(2)), labels(4)
    theirs = captum.LRP(model).attribute(x.clone().requires_grad_(), target=y)
    assert relative(rr.LRP(rule=rr.Epsilon(1e-9), merge_norms=False)(model, x, y), theirs) < 1e-7


def test_where_captums_deeplift_is_not_complete_and_ours_is(x: Tensor) -> None:
    """Max-pooling behind a non-linear function: the reason why the comparison above has average pooling."""
    model, base = small(nn.MaxPool2d(2)), torch.randn(4, 2, 8, 8, dtype=torch.float64)
    _, delta = captum.DeepLift(model).attribute(x, base, target=1, return_convergence_delta=True)
    assert float(delta.abs().max()) > 0.01
    assert float(rr.DeepLift(baseline=base).explain(model, x, 1).gap.abs().max()) < 1e-12


def test_noise_tunnel_with_the_same_draws_is_smoothgrad(cnn: nn.Module, x: Tensor) -> None:
    y = labels(4)
    noise = torch.randn(1, 6, 2, 8, 8, generator=seeded(3)).double()[0]
    theirs = torch.stack([captum.Saliency(cnn).attribute(x + 0.4 * e, target=y, abs=False) for e in noise])
    for reduce, kind in (("mean", "smoothgrad"), ("mean_square", "smoothgrad_sq")):
        method = rr.SmoothGrad(sigma=0.4, samples=6, relative=False, reduce=reduce)
        wanted = theirs.mean(0) if kind == "smoothgrad" else theirs.square().mean(0)
        assert relative(method(cnn, x, y, generator=seeded(3)), wanted) < 1e-10


def test_noise_tunnel_with_its_own_draws_agrees_within_its_error(cnn: nn.Module, x: Tensor) -> None:
    tunnel = captum.NoiseTunnel(captum.Saliency(cnn))
    theirs = tunnel.attribute(x, target=1, nt_samples=1000, nt_samples_batch_size=200, stdevs=0.4, abs=False)
    ours = rr.SmoothGrad(sigma=0.4, samples=1000, relative=False).explain(cnn, x, 1, generator=seeded())
    z = (ours.maps - theirs) / (2**0.5 * ours.standard_error)
    assert float(z.square().mean()) == pytest.approx(1.0, abs=0.25)  # 512 entries, correlated


def test_what_captum_gets_wrong_silently_and_we_do_not() -> None:
    """Re-used and functional ReLUs: captum replaces modules, once; completeness tells who is right."""
    network = NETWORKS["cnn"]
    model, x = network.make().eval(), network.inputs(4)
    base = torch.zeros_like(x)
    explanation = rr.DeepLift().explain(model, x, 1)
    with torch.no_grad():
        total = (model(x) - model(base))[:, 1]
    assert float((explanation.maps.flatten(1).sum(1) - total).abs().max()) < 1e-10


# as_captum ------------------------------------------------------------------------------------------------------------


def test_convergence_delta_has_captums_sign(cnn: nn.Module, x: Tensor) -> None:
    theirs, wanted = captum.IntegratedGradients(cnn).attribute(
        x, 0.5, target=1, n_steps=7, method="riemann_left", return_convergence_delta=True
    )
    ours, delta = as_captum(rr.IntegratedGradients())(cnn).attribute(
        x, 0.5, target=1, n_steps=7, method="riemann_left", return_convergence_delta=True
    )
    assert relative(ours, theirs) < 1e-6
    assert relative(delta, wanted) < 1e-5
    again = as_captum(rr.IntegratedGradients())(cnn).compute_convergence_delta(ours, 0.5, x, target=1)
    assert relative(again, wanted) < 1e-5
    assert as_captum(rr.IntegratedGradients())(cnn).has_convergence_delta()
    assert not as_captum(rr.Gradient())(cnn).has_convergence_delta()


@pytest.mark.parametrize(
    "target",
    [1, torch.tensor(2), torch.tensor([0]), labels(4), [0, 1, 2, 0]],
    ids=["int", "0-d", "one entry", "tensor", "list"],
)
def test_targets(target: Any, cnn: nn.Module, x: Tensor) -> None:
    theirs = captum.InputXGradient(cnn).attribute(x.clone().requires_grad_(), target=target)
    assert relative(as_captum(rr.InputTimesGradient())(cnn).attribute(x, target=target), theirs) < 1e-10


def test_baselines_may_mix_numbers_and_tensors() -> None:
    def model(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(1)

    inputs = (torch.rand(3, 2), torch.rand(3, 2))
    theirs = captum.IntegratedGradients(model).attribute(inputs, (0.5, torch.ones(1, 2)))
    for ones in (torch.ones(1, 2), torch.ones(3, 2)):
        ours = as_captum(rr.IntegratedGradients())(model).attribute(inputs, (0.5, ones))
        assert relative(ours, theirs) < 1e-5
    spread = as_captum(rr.ExpectedGradients(torch.zeros(1, 2), samples=50))(lambda a: (a**2).sum(1))
    references = torch.rand(5, 2)
    maps = spread.attribute(inputs[0], references, n_steps=400)
    wanted = (inputs[0] ** 2 - (references**2).mean(0)).sum(1)
    torch.testing.assert_close(maps.sum(1), wanted, atol=1e-3, rtol=0)


def test_baselines_may_be_made_by_a_function(cnn: nn.Module, x: Tensor) -> None:
    ours = as_captum(rr.DeepLift(references=x[:1]))(cnn)
    wanted = ours.attribute(x, x[1:] + 1, target=1)
    assert torch.equal(ours.attribute(x, lambda: x[1:] + 1, target=1), wanted)
    assert torch.equal(ours.attribute(x, lambda inputs: inputs[1:] + 1, target=1), wanted)
    with pytest.raises(rr.InputError, match="baselines are tensors or numbers; got list, list"):
        ours.attribute((x, x), lambda: ([[0.0]], [[1.0]]), target=1)
    with pytest.raises(NotImplementedError, match="asynchronous forward functions are not supported"):
        ours.attribute_future()


def test_further_arguments_whatever_the_signature(x: Tensor) -> None:
    scale = torch.arange(1.0, 5.0).double()[:, None]
    plain = CNN().double().eval()

    class Starred(nn.Module):
        def forward(self, *args: Any) -> Tensor:
            return plain(args[0]) * args[1] * args[2]

    def named(x: Tensor, scale: Tensor, factor: float = 1.0) -> Tensor:
        return plain(x) * scale * factor

    wanted = rr.Gradient()(plain, x, 1) * 2 * scale[..., None, None]
    for model in (Starred(), named):
        got = as_captum(rr.Gradient())(model).attribute(
            x, target=1, additional_forward_args=(scale, 2.0), internal_batch_size=3
        )
        assert relative(got, wanted) < 1e-10
    alone = as_captum(rr.Gradient())(lambda x, s: plain(x) * s).attribute(x, 1, scale)
    assert relative(alone, wanted / 2) < 1e-10


def test_layers_of_a_module_with_starred_arguments(x: Tensor) -> None:
    class Starred(CNN):
        def forward(self, *args: Any) -> Tensor:
            return super().forward(args[0]) * args[1]

    model = Starred().double()
    layer = next(name for name, part in model.named_modules() if isinstance(part, nn.Conv2d))
    theirs = captum.LayerGradientXActivation(model.eval(), dict(model.named_modules())[layer])
    wanted = theirs.attribute(x, target=1, additional_forward_args=(2.0,))
    model.train()
    before = state(model)
    ours = as_captum(rr.InputTimesGradient(at=layer))(model)
    assert relative(ours.attribute(x, target=1, additional_forward_args=(2.0,)), wanted) < 1e-10
    assert_same_state(state(model), before)


@pytest.mark.parametrize("draws", [None, 5])
def test_slopes_instead_of_contributions(draws: int | None, cnn: nn.Module, x: Tensor) -> None:
    """captum's `multiply_by_inputs=False`."""
    theirs = captum.IntegratedGradients(cnn, multiply_by_inputs=False)
    wanted = theirs.attribute(x, 0.2, target=1, n_steps=9)
    ours = as_captum(rr.IntegratedGradients(steps=9, multiply_by_inputs=False))(cnn)
    got = ours.attribute(x, 0.2, target=1, internal_batch_size=draws)
    assert relative(got, wanted) < 1e-6  # captum's nodes are float32
    assert not ours.multiplies_by_inputs
    assert not ours.has_convergence_delta()
    with pytest.raises(rr.InputError, match="maps of .*multiply_by_inputs=False.* are not complete here"):
        ours.attribute(x, 0.2, target=1, return_convergence_delta=True)
    wanted = captum.DeepLift(cnn, multiply_by_inputs=False).attribute(x, 0.2, target=1)
    slopes = as_captum(rr.DeepLift(baseline=0.2, contribution=lambda m, _x, _r: m))(cnn)
    assert relative(slopes.attribute(x, target=1, internal_batch_size=draws), wanted) < 1e-10
    assert not slopes.multiplies_by_inputs


def test_custom_attribution_functions_of_deeplift(cnn: nn.Module, x: Tensor) -> None:
    def share(multipliers: Any, inputs: Any, baselines: Any) -> Any:
        return tuple(m * (i - b).abs() for m, i, b in zip(multipliers, inputs, baselines, strict=True))

    base = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    for theirs, ours, references in (
        (captum.DeepLift(cnn), rr.DeepLift(), base[:1]),
        (captum.DeepLiftShap(cnn), rr.DeepLift(references=base), base),
    ):
        wanted = theirs.attribute(x, references, target=1, custom_attribution_func=share)
        got = as_captum(ours)(cnn).attribute(x, references, target=1, custom_attribution_func=share)
        assert relative(got, wanted) < 1e-10
    with pytest.raises(rr.InputError, match="replaces how DeepLift's multipliers become maps"):
        as_captum(rr.Gradient())(cnn).attribute(x, 1, custom_attribution_func=share)
    with pytest.raises(rr.ShapeError, match="contribution maps .* got Tensor"):
        rr.DeepLift(contribution=lambda m, _x, _r: m[0])(cnn, x, 1)


def test_every_complete_method_gives_the_delta_it_says_it_has(cnn: nn.Module, x: Tensor) -> None:
    """Also where f at the references is not needed for the maps, as they are many."""
    references = torch.randn(150, 2, 8, 8, dtype=torch.float64)
    ours = as_captum(rr.ExpectedGradients(references, samples=10))(cnn)
    assert ours.has_convergence_delta()
    torch.manual_seed(0)
    maps, delta = ours.attribute(x, target=1, return_convergence_delta=True)
    with torch.no_grad():
        ends = cnn(x)[:, 1] - cnn(references)[:, 1].mean()
    assert delta.shape == (4,)
    # Maps are projected onto completeness where f at the references is known; the delta is the one before.
    torch.testing.assert_close(maps.flatten(1).sum(1), ends)


def test_captums_trapezoid_leaves_out_a_share_of_one_over_n() -> None:
    x = torch.ones(1, 3)

    def model(x: Tensor) -> Tensor:
        return x.sum(1)

    asked = {"n_steps": 5, "method": "riemann_trapezoid"}
    torch.testing.assert_close(captum.IntegratedGradients(model).attribute(x, **asked), x * 0.8)
    torch.testing.assert_close(as_captum(rr.IntegratedGradients())(model).attribute(x, **asked), x)


def test_errors_are_captums_too(cnn: nn.Module, x: Tensor) -> None:
    ours = as_captum(rr.IntegratedGradients())(cnn)
    for wrong, error in (
        ({"inputs": x, "baselines": torch.zeros(1, 3)}, rr.ShapeError),
        ({"inputs": x, "target": 7}, rr.TargetError),
        ({"inputs": x, "target": 1, "method": "simpson"}, rr.InputError),
    ):
        with pytest.raises(AssertionError) as raised:
            ours.attribute(**wrong)
        assert isinstance(raised.value, error)


def test_arguments_that_would_be_ignored_are_refused(cnn: nn.Module, x: Tensor) -> None:
    gradient = as_captum(rr.Gradient())(cnn)
    with pytest.raises(rr.InputError, match="has no baseline, so baselines= would be ignored"):
        gradient.attribute(x, 1, baselines=0.0)
    with pytest.raises(rr.InputError, match="neither steps nor samples, so n_steps= would be ignored"):
        gradient.attribute(x, target=1, n_steps=5)
    with pytest.raises(rr.InputError, match="method= replaces the quadrature of integrated gradients"):
        gradient.attribute(x, target=1, method="riemann_left")
    with pytest.raises(rr.InputError, match="the maps of Gradient\\(\\) are not complete"):
        gradient.attribute(x, target=1, return_convergence_delta=True)
    with pytest.raises(rr.InputError, match="2 baselines for 1 inputs"):
        as_captum(rr.IntegratedGradients())(cnn).attribute(x, (0, 0), 1)


def test_captums_metrics_take_it(cnn: nn.Module, x: Tensor) -> None:
    from captum.metrics import sensitivity_max

    algorithm = as_captum(rr.InputTimesGradient())(cnn)
    assert sensitivity_max(algorithm.attribute, x, target=1, n_perturb_samples=2).shape == (4,)


def test_captums_noise_tunnel_takes_it() -> None:
    """Without run-time checks, whose wrappers would hide that captum calls what its own wrapper wraps."""
    code = """
import captum.attr, torch, rightreasons as rr
from rightreasons.integrations.captum import as_captum
for method, rows in ((rr.Gradient(), None), (rr.IntegratedGradients(steps=4), 2)):
    tunnel = captum.attr.NoiseTunnel(as_captum(method)(lambda x: x**3))
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    maps = tunnel.attribute(x, target=1, nt_samples=4, nt_samples_batch_size=rows, stdevs=0.0)
    torch.testing.assert_close(maps, method(lambda x: x**3, x, 1))
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("method", "theirs"),
    [
        (rr.Gradient(), captum.Saliency),
        (rr.GuidedBackprop(), captum.GuidedBackprop),
        (rr.InputTimesGradient(), captum.InputXGradient),
        (rr.IntegratedGradients(), captum.IntegratedGradients),
        (rr.DeepLift(), captum.DeepLift),
        (rr.LRP(), captum.LRP),
    ],
    ids=repr,
)
def test_slopes_and_contributions_are_told_apart(method: rr.Attribution, theirs: Any, cnn: nn.Module) -> None:
    assert as_captum(method)(cnn).multiplies_by_inputs == theirs(cnn).multiplies_by_inputs
    assert as_captum(rr.NoiseGrad(method))(cnn).multiplies_by_inputs == theirs(cnn).multiplies_by_inputs


# from_captum ----------------------------------------------------------------------------------------------------------


def test_a_captum_algorithm_as_a_method(cnn: nn.Module, x: Tensor) -> None:
    y = labels(4)
    method = from_captum(captum.Saliency, {"abs": False})
    cnn.train()
    before = state(cnn)
    assert relative(method(cnn, x, y), rr.Gradient()(cnn, x, y)) < 1e-10
    assert relative(method(cnn, x, y, chunk=3), rr.Gradient()(cnn, x, y)) < 1e-10
    (alone,) = method(cnn, (x,), y)
    assert relative(alone, rr.Gradient()(cnn, x, y)) < 1e-10
    assert_same_state(state(cnn), before)
    assert repr(method) == "from_captum(Saliency, abs=False)"
    explanation = method.explain(cnn, x, y, chunk=2)
    torch.testing.assert_close(explanation.outputs, cnn.eval()(x))
    assert explanation.gap is None


@pytest.mark.usefixtures("without_type_checks")
def test_an_algorithm_that_has_its_model_already_is_refused(cnn: nn.Module) -> None:
    for given in (captum.Saliency(cnn), "Saliency"):
        with pytest.raises(
            rr.InputError,
            match="captum's class, or a function from the model to an algorithm|must be a function; got",
        ):
            from_captum(given)


def test_layers_steps_keywords_and_callable_targets(cnn: nn.Module, x: Tensor) -> None:
    cam = from_captum(lambda model: captum.LayerGradCam(model, cnn.second))
    assert relative(cam(cnn, x, 1), rr.GradCAM(layer="second", relu=False, upsample=None)(cnn, x, 1)) < 1e-10
    ig = from_captum(captum.IntegratedGradients, {"n_steps": 9})
    assert relative(ig(cnn, x, 1, chunk=5), rr.IntegratedGradients(steps=9)(cnn, x, 1)) < 1e-6

    class Scaled(CNN):
        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return super().forward(x) * scale

    model, scale = Scaled().double(), torch.arange(1.0, 5.0).double()[:, None]
    saliency = from_captum(captum.Saliency, {"abs": False})
    for target in (1, labels(4), lambda z: z[:, 0] - z[:, 1]):
        keywords = {"model_kwargs": {"scale": scale}}
        wanted = rr.Gradient()(model, x, target, **keywords)
        assert relative(saliency(model, x, target, **keywords), wanted) < 1e-10
        if callable(target):
            continue
        assert relative(saliency(model, x, target, chunk=3, **keywords), wanted) < 1e-10


def test_targets_of_several_dimensions_and_several_inputs() -> None:
    saliency = from_captum(captum.Saliency, {"abs": False})
    weight = torch.randn(3, 4, 2)
    target = torch.tensor([[0, 1], [3, 0], [2, 1]])

    def model(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bi,ijk->bjk", a * b, weight)

    inputs = (torch.randn(3, 3), torch.randn(3, 3))
    assert relative(saliency(model, inputs, target), rr.Gradient()(model, inputs, target)) < 1e-6


def test_a_generator_makes_captums_draws_and_leaves_global_states_alone(cnn: nn.Module, x: Tensor) -> None:
    shap = from_captum(captum.GradientShap, {"baselines": torch.zeros(3, 2, 8, 8).double(), "stdevs": 0.1})
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    once, again = (shap(cnn, x, 1, generator=seeded()) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, shap(cnn, x, 1, generator=seeded(4)))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert not torch.equal(shap(cnn, x, 1), shap(cnn, x, 1))


def test_it_cannot_be_trained_through_and_says_so(cnn: nn.Module, x: Tensor) -> None:
    with pytest.raises(
        rr.DifferentiabilityError, match=r"from_captum\(Saliency\) gives parameters no gradient"
    ):
        from_captum(captum.Saliency)(cnn, x, 1, create_graph=True)


def test_without_captum_the_extra_is_named() -> None:
    import subprocess
    import sys

    gone = "sys.modules['captum'] = sys.modules['captum.attr'] = None"
    code = f"import sys; {gone}; import rightreasons.integrations.captum"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingExtraError" in done.stderr
    assert "pip install 'rightreasons[captum]'" in done.stderr


class Columns(nn.Module):
    """Rows are elsewhere in what it takes, or in what it gives."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.layer, self.where = nn.Linear(5, 5), where

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.T) if self.where == "inputs" else self.layer(x).T


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_rows_that_are_elsewhere_are_refused(where: str, chunk: int | None) -> None:
    with pytest.raises(rr.TargetError, match="one row for each input row.*Wrap the model"):
        from_captum(captum.Saliency)(Columns(where), torch.randn(5, 5), 0, chunk=chunk)


def test_maps_of_another_number_of_rows_are_refused() -> None:
    class Whole(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum()

    with pytest.raises(rr.ShapeError, match=r"from_captum\(Occlusion.* gave maps \(1, 4\) for 3 rows"):
        from_captum(captum.Occlusion, {"sliding_window_shapes": (1,)})(Whole(), torch.ones(3, 4))
