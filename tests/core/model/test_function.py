"""The function that is explained: layers, keywords of rows, in-place models, a row of output for each of input."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError, TargetError
from rightreasons.core.model._function import Block, ScoreFunction, rows_at_once
from tests import oracles
from tests.attribution.helpers import relative, seeded
from tests.networks import NETWORKS, Network, Tokens, Transformer, as_args, labels, mlp

LAYERS = [network for network in NETWORKS.values() if network.layer]
each_network = pytest.mark.parametrize("network", LAYERS, ids=lambda network: network.name)


def test_a_block_takes_rows_and_repeats_each() -> None:
    assert Block(1, 3, 2).take(torch.tensor([5, 6, 7])).tolist() == [6, 6, 7, 7]
    assert Block(0, 2).take(torch.tensor([5, 6, 7])).tolist() == [5, 6]


# A layer instead of the inputs ----------------------------------------------------------------------------------------


def with_layer_replaced(model: nn.Module, layer: str, args: tuple[Tensor, ...], value: Tensor) -> Tensor:
    """The model's output with the first output of `layer` put to `value`, by hand."""

    def replace(_: Any, __: Any, out: Any) -> Any:
        return (value, *out[1:]) if isinstance(out, tuple) else value.clone()

    handle = model.get_submodule(layer).register_forward_hook(replace)
    try:
        return model(*args)
    finally:
        handle.remove()


def activation(model: nn.Module, layer: str, args: tuple[Tensor, ...]) -> Tensor:
    found: list[Tensor] = []

    def keep(_: Any, __: Any, out: Any) -> None:
        found.append((out[0] if isinstance(out, tuple) else out).detach().clone())

    handle = model.get_submodule(layer).register_forward_hook(keep)
    model(*args)
    handle.remove()
    return found[0]


@each_network
def test_maps_at_a_layer_against_one_row_at_a_time(network: Network) -> None:
    model, x, y = network.make().eval(), as_args(network.inputs(3)), labels(3)
    hidden, base = activation(model, network.layer, x), tuple(torch.zeros_like(part) for part in x)
    start = activation(model, network.layer, base)

    def score(h: Tensor, b: int) -> Tensor:
        row = tuple(part[b : b + 1] for part in x)
        return with_layer_replaced(model, network.layer, row, h[None])[0, y[b]]

    inputs = network.inputs(3)
    methods: list[tuple[Any, Tensor]] = [
        (rr.Gradient(at=network.layer), oracles.gradient(score, hidden)),
        (rr.InputTimesGradient(at=network.layer), oracles.input_times_gradient(score, hidden)),
        (
            rr.IntegratedGradients(steps=4, at=network.layer, rule=rr.Midpoint()),
            oracles.integrated_gradients(score, hidden, start, "Midpoint", 4),
        ),
    ]
    for method, wanted in methods:
        assert relative(method(model, inputs, y), wanted) < 1e-10
        assert relative(method(model.train(), inputs, y, chunk=2), wanted) < 1e-10


@each_network
@pytest.mark.parametrize("method", [rr.InputTimesGradient, rr.IntegratedGradients, rr.ExpectedGradients])
def test_parameters_before_the_layer_get_the_gradient_of_finite_differences(
    network: Network, method: Any
) -> None:
    if not network.smooth:
        return
    model, x, y = network.make().eval(), network.inputs(3), labels(3)
    settings: dict[str, Any] = {"at": network.layer}
    if method is rr.IntegratedGradients:
        settings["steps"] = 3
    if method is rr.ExpectedGradients:
        settings |= {"references": network.inputs(5, seed=9), "samples": 8, "estimator": rr.ControlVariate()}

    def penalty(connected: bool) -> Tensor:
        return method(**settings)(model, x, y, generator=seeded(), create_graph=connected).square().sum()

    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(penalty(True), parameters, allow_unused=True)
    assert any(grad is not None for grad in grads)
    for parameter, grad in zip(parameters, grads, strict=True):
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter += 1e-5 * direction
            up = penalty(False)
            parameter -= 2e-5 * direction
            down = penalty(False)
            parameter += 1e-5 * direction
        wanted = float(up - down) / 2e-5
        got = 0.0 if grad is None else float((grad * direction).sum())
        assert got == pytest.approx(wanted, rel=1e-4, abs=1e-8)


def test_prefix_parameters_do_get_gradient_and_frozen_prefixes_work() -> None:
    model, x = mlp().double(), torch.randn(3, 4, dtype=torch.float64)
    method = rr.InputTimesGradient(at="1")
    method(model, x, 0, create_graph=True).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model[0].parameters())
    wanted = model[2].weight.grad.clone()
    model.zero_grad()
    model[0].requires_grad_(False)
    method(model, x, 0, create_graph=True).square().sum().backward()
    torch.testing.assert_close(model[2].weight.grad, wanted)


def test_tuple_inputs_with_a_layer_give_one_map() -> None:
    network = NETWORKS["two inputs"]
    maps = rr.IntegratedGradients(steps=3, at="left")(network.make(), network.inputs(4), 1)
    assert isinstance(maps, Tensor)
    assert maps.shape == (4, 5)


def test_tokens_are_explained_at_their_embedding_with_a_pad_token_as_baseline() -> None:
    network = NETWORKS["tokens"]
    model, ids = network.make(), network.inputs(4)
    assert isinstance(model, Tokens)
    explanation = rr.IntegratedGradients(baseline=0, steps=40, at="embedding").explain(model, ids, 1)
    assert explanation.maps.shape == (4, 3, 4)
    assert float(explanation.gap.abs().max()) < 1e-10
    references = network.inputs(6, seed=5)
    expected = rr.ExpectedGradients(references, samples=12, at="embedding")
    outputs = rr.reference_output(model, expected)
    with torch.no_grad():
        torch.testing.assert_close(outputs, model.eval()(references))
    complete = expected(model, ids, 1, reference_output=outputs)
    total = model(ids)[:, 1] - outputs[:, 1].mean()
    torch.testing.assert_close(complete.flatten(1).sum(1), total)


@pytest.mark.parametrize("baseline", [0.5, torch.zeros(3)], ids=["number", "tensor"])
def test_a_baseline_of_fractions_for_tokens_is_refused(baseline: Any) -> None:
    network = NETWORKS["tokens"]
    with pytest.raises(InputError, match=r"cannot stand in for integer inputs|rounding it would change"):
        rr.IntegratedGradients(baseline=baseline, at="embedding")(network.make(), network.inputs(2), 0)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.spare, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.container = nn.ModuleList([nn.Linear(4, 4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(torch.tanh(self.layer(x)))))


@pytest.mark.parametrize(
    ("at", "error", "words"),
    [
        ("layer", DifferentiabilityError, "layer 'layer' runs 2 times in one forward pass"),
        ("spare", DifferentiabilityError, "layer 'spare' is not used in the model's forward pass"),
        ("container", DifferentiabilityError, "layer 'container' is not used"),
        ("laier", InputError, "no layer 'laier'. Closest: layer"),
        ("", InputError, "no layer ''"),
        ("zzz", InputError, "no layer 'zzz'. Closest: layer, spare, head"),
    ],
)
def test_layers_that_cannot_be_explained(at: str, error: type[Exception], words: str) -> None:
    model = Twice()
    for method in (
        rr.Gradient(at=at),
        rr.IntegratedGradients(at=at),
        rr.ExpectedGradients(torch.zeros(2, 4), at=at),
    ):
        with pytest.raises(error, match=words):
            method(model, torch.zeros(3, 4), 0)
        assert not model.layer._forward_hooks


def test_a_layer_of_a_plain_callable_has_no_name() -> None:
    with pytest.raises(InputError, match="the model must be an nn.Module; got function"):
        rr.Gradient(at="0")(lambda x: x, torch.zeros(2, 1))


class Answers(nn.Module):
    """Its `part` returns something that is no activation."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.part, self.answer = nn.Identity(), answer
        self.part.forward = answer
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.part(x)
        return x.sum(1) * self.weight


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x.argmax(1), "returns Tensor, not a floating-point tensor with rows first"),
        (lambda x: {"a": x}, "returns dict, not a floating-point"),
        (lambda x: (), "returns tuple, not a floating-point"),
        (lambda x: x.sum(), "returns Tensor, not a floating-point"),
    ],
)
def test_layers_that_return_no_activation(answer: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rr.Gradient(at="part")(Answers(answer), torch.ones(2, 3))


def test_a_layer_whose_output_does_not_go_with_the_rows() -> None:
    with pytest.raises(TargetError, match=r"got output \(1, 3\) for 2 rows"):
        rr.Gradient(at="part")(Answers(lambda x: x[:1]), torch.ones(2, 3))


def test_an_activation_whose_shape_changes_from_pass_to_pass() -> None:
    sizes = iter((3, 2))
    with pytest.raises(ShapeError, match=r"gave \(2, 2\) where \(2, 3\) was put in its place"):
        rr.Gradient(at="part")(Answers(lambda x: x[:, : next(sizes)]), torch.ones(2, 3))


def test_a_layer_that_leads_nowhere() -> None:
    with pytest.raises(DifferentiabilityError, match="does not depend on what is explained"):
        rr.Gradient(at="part")(Answers(lambda x: x), torch.ones(2, 3))


# Models that work in place --------------------------------------------------------------------------------------------


def centre(x: Tensor) -> Tensor:
    x -= 1.0
    return x.square().sum(1)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_model_that_works_in_place_is_derived_by_what_went_in(create_graph: bool) -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    maps = rr.Gradient()(centre, x, create_graph=create_graph)
    torch.testing.assert_close(maps.detach(), 2 * (before - 1))
    assert torch.equal(x.detach(), before)
    relu = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 1)).double()
    maps = rr.Gradient()(relu, x, create_graph=create_graph)
    torch.testing.assert_close(maps.detach(), relu[1].weight.detach() * (before > 0))


def test_explaining_in_place_models_leaves_the_inputs_alone() -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    before = x.clone()
    for method in (rr.IntegratedGradients(steps=2), rr.ExpectedGradients(before.clone(), samples=8)):
        explanation = method.explain(centre, x)
        assert torch.equal(x, before)
        torch.testing.assert_close(explanation.outputs, (before - 1).square().sum(1))


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_layer_followed_by_an_in_place_activation(create_graph: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 1)).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    maps = rr.Gradient(at="0")(model, x, create_graph=create_graph)
    torch.testing.assert_close(maps, (model[0](x) > 0) * model[2].weight)


# Keywords of rows -----------------------------------------------------------------------------------------------------


@pytest.fixture
def padded() -> tuple[nn.Module, Tensor, Tensor]:
    network = NETWORKS["transformer"]
    x = network.inputs(4)
    assert isinstance(x, Tensor)
    mask = torch.arange(5)[None] >= torch.tensor([5, 3, 2, 4])[:, None]
    return network.make(), x, mask


METHODS: list[Any] = [
    rr.Gradient(),
    rr.IntegratedGradients(steps=3),
    rr.ExpectedGradients(NETWORKS["transformer"].inputs(6, seed=4), samples=9),
    rr.ExpectedGradients(NETWORKS["transformer"].inputs(6, seed=4), samples=9, at="embed"),
    rr.IntegratedGradients(steps=3, at="feed.0"),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("chunk", [None, 3])
def test_keywords_of_rows_follow_their_rows(method: Any, chunk: int | None, padded: Any) -> None:
    model, x, mask = padded
    keywords = {"mask": mask, "scale": 0.5}
    whole = method(model, x, 1, generator=seeded(), model_kwargs=keywords, chunk=chunk)
    for b in range(4):
        own = {"mask": mask[b : b + 1], "scale": 0.5}
        alone = method(model, x[b : b + 1], 1, generator=seeded(), model_kwargs=own)
        assert relative(alone[0], whole[b]) < 1e-10
    if method.at is None:
        assert not whole[mask].any(), "padded positions have no part"


def test_keywords_made_in_inference_mode(padded: Any) -> None:
    model, x, mask = padded
    wanted = rr.Gradient()(model, x, 1, model_kwargs={"mask": mask})
    with torch.inference_mode():
        assert relative(rr.Gradient()(model, x, 1, model_kwargs={"mask": mask.clone()}), wanted) == 0


def test_references_have_no_activation_behind_a_keyword_of_rows(padded: Any) -> None:
    """Batch neighbours' masks used to reach the references."""
    model, x, mask = padded
    method = rr.ExpectedGradients(NETWORKS["transformer"].inputs(6, seed=4), samples=9, at="feed.0")
    with pytest.raises(InputError, match="depends on model_kwargs that differ from row to row"):
        method(model, x, 1, model_kwargs={"mask": mask})
    method(model, x[:1], 1, model_kwargs={"mask": mask[:1]})


def test_reference_output_takes_keywords_of_the_references(padded: Any) -> None:
    model, x, mask = padded
    method = rr.ExpectedGradients(x, samples=8)
    outputs = rr.reference_output(model, method, model_kwargs={"mask": mask})
    with torch.no_grad():
        torch.testing.assert_close(outputs, model.eval()(x, mask))


# Outputs --------------------------------------------------------------------------------------------------------------


def test_a_last_chunk_of_one_row_is_not_squeezed_into_classes() -> None:
    """(1, C).squeeze() is (C,): summed over, it was the gradient of all classes."""
    model = nn.Linear(4, 3)
    with pytest.raises(TargetError, match=r"got output \(3,\) for 1 rows.*squeeze"):
        rr.Gradient()(lambda x: model(x).squeeze(), torch.randn(5, 4), 0, chunk=2)
    assert rr.Gradient()(lambda x: model(x).squeeze(), torch.randn(6, 4), 0, chunk=2).shape == (6, 4)


def test_parameters_can_be_replaced_in_modules_only() -> None:
    x = torch.randn(2, 4)
    function = ScoreFunction(lambda x: x.sum(1), x, None)
    with pytest.raises(DifferentiabilityError, match=r"parameters can be replaced in an nn.Module only"):
        function.outputs((x,), Block(0, 2), {"weight": x})


def test_reading_a_layer_needs_a_layer() -> None:
    x = torch.randn(2, 4)
    function = ScoreFunction(lambda x: x.sum(1), x, None)
    with pytest.raises(InputError, match="without at= there is no layer to read"):
        function._activation((x,), Block(0, 2))


def test_transformer_fixture_reads_its_mask() -> None:
    model = NETWORKS["transformer"].make().eval()
    assert isinstance(model, Transformer)
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    mask = torch.tensor([[False, False, True, True, True]])
    torch.testing.assert_close(model(x, mask), model(x[:, :2]))


@pytest.mark.parametrize(
    ("shape", "rows"), [((30,), 512), ((3, 32, 32), 170), ((3, 224, 224), 16), ((0,), 512)]
)
def test_large_rows_are_run_in_smaller_chunks(shape: tuple[int, ...], rows: int) -> None:
    assert rows_at_once(torch.empty(2, *shape)) == rows
    assert rows_at_once((torch.empty(2, *shape), torch.empty(2))) in (rows, rows - 1)
