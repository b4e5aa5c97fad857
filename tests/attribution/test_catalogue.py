"""What every attribution of pictures promises, over its own case table."""

import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attribution
from tests.attribution.helpers import TOLERANCE, assert_same_state, relative, seeded, state
from tests.cases import CASES, CATALOGUE, PICTURES, Catalogued
from tests.networks import CNN, labels

# Run-time type checks of every inner function are half of the time, and all other files of these methods have them.
pytestmark = pytest.mark.usefixtures("without_type_checks")
every_case = pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)


def network(case: Catalogued, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network of pictures, in train mode, as the method accepts it."""
    return case.fitted(PICTURES.make(dtype)).train()


@pytest.fixture
def model(request: pytest.FixtureRequest) -> nn.Module:
    return network(request.node.callspec.params["case"])


@pytest.fixture
def x() -> Tensor:
    inputs = PICTURES.inputs(5)
    assert isinstance(inputs, Tensor)
    return inputs


def call(case: Catalogued, model: nn.Module, x: Tensor, y: Any = None, **keywords: Any) -> Tensor:
    maps = case.method(model, x, y, generator=seeded(), **keywords)
    assert isinstance(maps, Tensor)
    return maps


def test_every_public_attribution_has_a_case() -> None:
    found = (getattr(attribution, name) for name in attribution.__all__)
    methods = {m for m in found if isinstance(m, type) and issubclass(m, rr.Attribution)}
    assert methods - set(rr.methods()) == {rr.Attribution, rr.PathAttribution}
    assert set(rr.methods()) == {type(case.method) for case in (*CASES, *CATALOGUE)}


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CATALOGUE}) == len(CATALOGUE)


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_maps_have_shape_and_dtype_of_the_picture(case: Catalogued, dtype: torch.dtype, y: Tensor) -> None:
    maps = call(case, network(case, dtype), PICTURES.inputs(5, dtype=dtype), y)
    assert maps.shape == (5, case.channels or 2, 5, 5)
    assert maps.dtype == dtype
    assert maps.isfinite().all()
    assert maps.any()
    assert not maps.requires_grad


@every_case
def test_float32_agrees_with_float64(case: Catalogued, y: Tensor) -> None:
    kinds = (torch.float64, torch.float32)
    maps = [call(case, network(case, d), PICTURES.inputs(5, dtype=d), y) for d in kinds]
    assert relative(maps[1], maps[0]) < 1e-4


@every_case
def test_a_bfloat16_model_gives_finite_float32_maps(case: Catalogued, y: Tensor) -> None:
    x = PICTURES.inputs(5, dtype=torch.bfloat16)
    half = call(case, network(case, torch.bfloat16), x, y)
    assert half.dtype == torch.float32
    assert half.isfinite().all()


@every_case
@pytest.mark.parametrize("chunk", [1, 3])
def test_chunks_change_nothing(case: Catalogued, chunk: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
    assert relative(call(case, model, x, y, chunk=chunk), call(case, model, x, y)) < TOLERANCE[torch.float64]


@every_case
@pytest.mark.parametrize("chunk", [1, 3])
def test_no_forward_pass_has_more_rows_than_the_chunk(
    case: Catalogued, chunk: int, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    rows: list[int] = [0]
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    case.method(model, x, y, chunk=chunk)
    case.method.explain(model, x, y, chunk=chunk)
    assert max(rows) <= chunk


@every_case
def test_a_row_is_explained_alike_alone_and_in_a_batch(
    case: Catalogued, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    if not case.batch_invariant:
        pytest.skip("every row has draws of its own")
    alone = torch.cat([call(case, model, x[i : i + 1], y[i : i + 1]) for i in range(5)])
    assert relative(alone, call(case, model, x, y)) < TOLERANCE[torch.float64]


@every_case
def test_a_generator_decides_the_draws_and_leaves_the_global_state_alone(
    case: Catalogued, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    before = torch.get_rng_state()
    first = call(case, model, x, y)
    assert torch.equal(first, call(case, model, x, y))
    explained = case.method.explain(model, x, y, generator=seeded()).maps
    assert relative(explained, first) < TOLERANCE[torch.float64]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(case.method(model, x, y, generator=seeded(4)), first) is not case.random
    torch.manual_seed(11)
    first = case.method(model, x, y)
    assert torch.equal(case.method(model, x, y), first) is not case.random
    torch.manual_seed(11)
    assert torch.equal(case.method(model, x, y), first)


def awkward_model(case: Catalogued, fuse: int) -> nn.Module:
    """Mixed modes, frozen and graded parameters, a user's hooks; raises in its forward pass number `fuse`."""
    model = network(case)
    model.norm2.eval()
    model.first.weight.requires_grad_(False)
    model.first.weight.grad = torch.ones_like(model.first.weight)
    model.first.register_forward_hook(lambda *_: None)
    left = [fuse]

    def explode(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise ZeroDivisionError

    model.drop.register_forward_pre_hook(explode)
    return model


@every_case
@pytest.mark.parametrize(
    ("use", "fuse"), [("maps", -1), ("maps", 2), ("explain", -1), ("explain", 1), ("graph", -1), ("graph", 1)]
)
def test_model_inputs_and_settings_are_left_as_found(
    case: Catalogued, fuse: int, use: str, x: Tensor, y: Tensor
) -> None:
    model = awkward_model(case, fuse)
    x = x.requires_grad_()
    x.grad = torch.ones_like(x)
    before, values = state(model), x.detach().clone()
    try:
        if use == "explain":
            case.method.explain(model, x, y, chunk=3)
        else:
            case.method(model, x, y, chunk=3, create_graph=use == "graph")
    except ZeroDivisionError:
        assert fuse > 0
    except rr.DifferentiabilityError:
        assert use == "graph"
        assert not case.method.axioms.differentiable
    assert_same_state(state(model), before)
    assert x.requires_grad
    assert x.is_leaf
    assert torch.equal(x.detach(), values)
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))
    assert not torch.overrides._get_current_function_mode_stack()


@every_case
def test_attribution_is_of_the_model_in_eval_mode(case: Catalogued, x: Tensor, y: Tensor) -> None:
    model = awkward_model(case, -1)
    training = call(case, model, x, y)
    assert torch.equal(call(case, model.eval(), x, y), training)


@every_case
def test_configuration_round_trips_through_repr(case: Catalogued) -> None:
    again = eval(repr(case.method), vars(rr))
    assert type(again) is type(case.method)
    for field in fields(case.method):
        assert getattr(again, field.name) == getattr(case.method, field.name)


@every_case
def test_methods_are_frozen_hashable_values_that_pickle(
    case: Catalogued, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    with pytest.raises(FrozenInstanceError):
        case.method.output = "margin"
    hash(case.method)
    copy: Any = pickle.loads(pickle.dumps(case.method))
    assert repr(copy) == repr(case.method)
    assert torch.equal(copy(model, x, y, generator=seeded()), call(case, model, x, y))


@every_case
@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_plain_maps_are_the_same_where_gradients_are_off(
    case: Catalogued, guard: Any, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    wanted = call(case, model, x, y)
    with guard():
        assert relative(call(case, model, x, y), wanted) == 0
        assert relative(call(case, model, x.clone(), y.clone()), wanted) == 0
        with pytest.raises(rr.DifferentiabilityError, match="create_graph=True"):
            case.method(model, x, y, create_graph=True)


@every_case
def test_explanations_hold_outputs_and_count_every_row_that_ran(
    case: Catalogued, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    explanation = case.method.explain(model, x, y, chunk=4)
    assert explanation.evaluations == (sum(rows), 5 * case.backward)
    torch.testing.assert_close(explanation.outputs, model.eval()(x))
    assert (explanation.gap is None) or explanation.gap.shape == (5,)


@every_case
def test_differentiable_tells_the_truth(case: Catalogued, x: Tensor, y: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        smooth = case.method.axioms.differentiable and case.fitted is not rr.homogenize
        model = case.fitted(CNN(nn.Softplus() if smooth else nn.ReLU()).double()).eval()
    if not case.method.axioms.differentiable:
        with pytest.raises(rr.DifferentiabilityError, match=r"create_graph=True.*[Uu]se rr\."):
            case.method(model, x, y, create_graph=True)
        return
    x = x[:2].requires_grad_()
    parameters = [model.first.weight, model.norm.weight, model.second.weight, model.head.weight]

    def maps(x: Tensor, *_: Tensor) -> Tensor:
        return call(case, model, x, y[:2], create_graph=True)

    assert torch.autograd.gradcheck(maps, (x, *parameters), atol=1e-5, rtol=1e-4, fast_mode=True)


@every_case
def test_maps_depend_on_the_weights(case: Catalogued, model: nn.Module, x: Tensor, y: Tensor) -> None:
    before = call(case, model, x, y)
    with torch.no_grad():
        model.second.weight.neg_()
    assert (relative(call(case, model, x, y), before) > 1e-3) is case.reads_model


@every_case
def test_bad_input_is_refused_like_everywhere(
    case: Catalogued, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    with pytest.raises(rr.InputError, match="chunk must be a whole number of at least 1 or None"):
        case.method(model, x, y, chunk=0)
    with pytest.raises(rr.InputError, match="no rows"):
        case.method(model, x[:0], y[:0])
    if case.reads_model:
        with pytest.raises(rr.TargetError, match="say which is explained"):
            case.method(model, x)
    x[0, 0, 0, 0] = torch.nan
    with pytest.raises(rr.InputError, match="NaN or infinite"):
        case.method(model, x, y)


def test_labels_are_used() -> None:
    assert len(set(labels(5).tolist())) > 1
