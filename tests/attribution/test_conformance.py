"""What every attribution promises, over the case table."""

import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attribution
from rightreasons.attribution import PathAttribution
from rightreasons.core._errors import DifferentiabilityError
from tests.attribution.helpers import TOLERANCE, assert_same_state, call, relative, seeded, state
from tests.cases import CASES, CATALOGUE, LAYER, NETWORK, PICTURES, Case
from tests.networks import mlp

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
DTYPES = (torch.float64, torch.float32)


def public(kind: type) -> list[type]:
    found = (getattr(attribution, name) for name in attribution.__all__)
    return [each for each in found if isinstance(each, type) and issubclass(each, kind) and each is not kind]


@pytest.mark.parametrize("method", [m for m in public(PathAttribution) if "at" in m.__dataclass_fields__])
def test_every_public_method_has_a_case_on_inputs_and_at_a_layer(method: type) -> None:
    methods = [case.method for case in (*CASES, *CATALOGUE)]
    ats = {each.at for each in methods if type(each) is method}
    assert None in ats
    assert ats & {LAYER, PICTURES.layer}


@pytest.mark.parametrize("kind", [*public(rr.Estimator), *public(rr.Quadrature)])
def test_every_public_estimator_and_quadrature_has_a_case(kind: type) -> None:
    values = [getattr(case.method, field.name) for case in CASES for field in fields(case.method)]
    assert any(type(value) is kind for value in values)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_maps_have_shape_and_dtype_of_what_is_explained(case: Case, dtype: torch.dtype, y: Tensor) -> None:
    model, x = NETWORK.make(dtype), NETWORK.inputs(5, dtype=dtype)
    maps = call(case.method, model, x, y)
    assert isinstance(maps, Tensor)
    assert maps.shape == ((5, 6) if case.method.at else (5, 4))
    assert maps.dtype == dtype
    assert maps.isfinite().all()
    assert not maps.requires_grad, "plain maps must not keep a graph alive"


@every_case
def test_float32_agrees_with_float64(case: Case, y: Tensor) -> None:
    maps = [call(case.method, NETWORK.make(d), NETWORK.inputs(5, dtype=d), y) for d in DTYPES]
    assert relative(maps[1], maps[0]) < 1e-4


@every_case
def test_a_bfloat16_model_gives_finite_float32_maps_near_the_true_ones(case: Case, y: Tensor) -> None:
    half = call(case.method, NETWORK.make(torch.bfloat16), NETWORK.inputs(5, dtype=torch.bfloat16), y)
    assert isinstance(half, Tensor)
    assert half.dtype == torch.float32
    assert half.isfinite().all()
    # Rounded weights and activations; nodes, displacements and sums are float32.
    assert relative(half, call(case.method, NETWORK.make(), NETWORK.inputs(5), y)) < 0.08


@every_case
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_chunks_change_nothing(case: Case, dtype: torch.dtype, y: Tensor) -> None:
    model, x = NETWORK.make(dtype), NETWORK.inputs(5, dtype=dtype)
    whole = call(case.method, model, x, y, chunk=10_000)
    for chunk in (4, 11):  # the rows in two blocks; all rows, the draws in pieces
        assert relative(call(case.method, model, x, y, chunk=chunk), whole) < case.rounding * TOLERANCE[dtype]


@every_case
def test_no_forward_pass_has_more_rows_than_the_chunk(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    case.method(model, x, y, chunk=4)
    case.method.explain(model, x, y, chunk=4)
    assert max(rows) <= 4


@every_case
def test_a_row_is_explained_alike_alone_and_in_a_batch(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    if not case.batch_invariant:
        pytest.skip("every row has draws of its own")
    whole = call(case.method, model, x, y)
    alone = torch.cat([call(case.method, model, x[i : i + 1], y[i : i + 1]) for i in range(5)])
    assert relative(alone, whole) < TOLERANCE[torch.float64]


@every_case
def test_a_generator_decides_the_draws_and_leaves_the_global_state_alone(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    before = torch.get_rng_state()
    first, again = call(case.method, model, x, y), call(case.method, model, x, y)
    explained = case.method.explain(model, x, y, generator=seeded()).maps
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert relative(explained, first) < TOLERANCE[torch.float64]
    other = case.method(model, x, y, generator=seeded(4))
    assert torch.equal(other, first) is not case.random


@every_case
def test_a_generator_advances_so_that_two_calls_differ(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    generator = seeded()
    first, second = (case.method(model, x, y, generator=generator) for _ in range(2))
    assert torch.equal(first, second) is not case.random


@every_case
def test_without_a_generator_the_global_one_advances(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = case.method(model, x, y)
    assert torch.equal(torch.get_rng_state(), before) is not case.random
    second = case.method(model, x, y)
    torch.manual_seed(11)
    assert torch.equal(case.method(model, x, y), first)
    assert torch.equal(first, second) is not case.random


class Bomb(nn.Module):
    """Raises in its n-th forward pass."""

    def __init__(self, fuse: int) -> None:
        super().__init__()
        self.fuse = fuse

    def forward(self, x: Tensor) -> Tensor:
        self.fuse -= 1
        if self.fuse == 0:
            raise ZeroDivisionError
        return x


def awkward_model(fuse: int) -> nn.Sequential:
    """Mixed modes, frozen and graded parameters, a user's hooks, buffers."""
    model = nn.Sequential(*mlp(), nn.BatchNorm1d(3), nn.Dropout(0.5), Bomb(fuse)).double()
    model.train()
    model[2].eval()
    next(model.parameters()).requires_grad_(False)
    model[2].weight.grad = torch.ones_like(model[2].weight)
    model[3].register_forward_hook(lambda *_: None)
    model[4].register_forward_pre_hook(lambda *_: None)
    return model


@every_case
@pytest.mark.parametrize("fuse", [-1, 1, 2], ids=["no error", "error at once", "error later"])
@pytest.mark.parametrize("use", ["maps", "graph", "explain"])
def test_model_inputs_and_settings_are_left_as_found(
    case: Case, fuse: int, use: str, x: Tensor, y: Tensor
) -> None:
    model = awkward_model(fuse)
    x = x.requires_grad_()
    x.grad = torch.ones_like(x)
    before, values = state(model), x.detach().clone()
    try:
        if use == "explain":
            case.method.explain(model, x, y, chunk=24)
        else:
            case.method(model, x, y, chunk=24, create_graph=use == "graph")
    except ZeroDivisionError:
        assert fuse > 0
    else:
        assert fuse < 0 or model[-1].fuse > 0, "the error was swallowed"
    assert_same_state(state(model), before)
    assert x.requires_grad
    assert x.is_leaf
    assert torch.equal(x.detach(), values)
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))


@every_case
def test_attribution_is_of_the_model_in_eval_mode(case: Case, x: Tensor, y: Tensor) -> None:
    model = awkward_model(-1)
    for _ in range(3):
        model(x)
    training = call(case.method, model, x, y)
    assert torch.equal(call(case.method, model.eval(), x, y), training)


@every_case
def test_configuration_round_trips_through_repr(case: Case) -> None:
    text = repr(case.method)
    if case.tensors:
        assert "<" in text
        assert "tensor(" not in text
        assert len(text) < 120
        return
    again = eval(text, vars(rr))
    assert type(again) is type(case.method)
    assert repr(again) == text
    for field in fields(case.method):
        assert getattr(again, field.name) == getattr(case.method, field.name)


@every_case
def test_methods_are_frozen_hashable_values_that_pickle(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    with pytest.raises(FrozenInstanceError):
        case.method.output = "margin"
    hash(case.method)
    copy: Any = pickle.loads(pickle.dumps(case.method))
    assert repr(copy) == repr(case.method)
    assert torch.equal(call(copy, model, x, y), call(case.method, model, x, y))


@every_case
@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_plain_maps_are_the_same_where_gradients_are_off(
    case: Case, guard: Any, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    wanted = call(case.method, model, x, y)
    with guard():
        got = call(case.method, model, x, y)
        own = call(case.method, model, x.clone(), y.clone())  # made here: inference tensors
        assert case.method.explain(model, x, y, generator=seeded()).outputs.shape == (5, 3)
        with pytest.raises(
            DifferentiabilityError, match="create_graph=True inside no_grad or inference_mode"
        ):
            case.method(model, x, y, create_graph=True)
    assert relative(got, wanted) == 0
    assert relative(own, wanted) == 0


@every_case
def test_evaluations_count_every_row_that_ran(case: Case, model: nn.Module, x: Tensor, y: Tensor) -> None:
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    explanation = case.method.explain(model, x, y, chunk=4)
    assert explanation.evaluations.forward == sum(rows)
    draws = getattr(case.method, "steps", None) or getattr(case.method, "samples", None) or 1
    assert explanation.evaluations.backward == 5 * draws


@every_case
def test_a_batch_of_one(case: Case, model: nn.Module, x: Tensor, y: Tensor) -> None:
    if getattr(case.method, "references", None) is not None and isinstance(case.method.references, str):
        with pytest.raises(rr.InputError, match="needs at least 2 rows, got 1"):
            case.method(model, x[:1], y[:1])
        return
    assert case.method(model, x[:1], y[:1]).shape[0] == 1
