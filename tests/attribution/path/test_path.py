"""What the methods share: calls, chunks, generators, networks of every output shape."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._errors import DifferentiabilityError, InputError, TargetError
from tests.attribution.helpers import relative, seeded
from tests.cases import REFERENCES
from tests.networks import FEATURES, Shaped

METHODS: list[Any] = [
    rr.Gradient(),
    rr.InputTimesGradient(),
    rr.IntegratedGradients(steps=3),
    rr.ExpectedGradients(REFERENCES, samples=9),
]
each_method = pytest.mark.parametrize("method", METHODS, ids=repr)


@each_method
@pytest.mark.parametrize(
    ("shape", "target", "flat"),
    [((), None, 0), ((1,), None, 0), ((1,), 0, 0), ((3,), 2, 2), ((3, 2), (2, 1), 5), ((1, 1), None, 0)],
    ids=str,
)
def test_outputs_of_every_shape(
    method: Any, shape: tuple[int, ...], target: Any, flat: int, x: Tensor
) -> None:
    model = Shaped(*shape).double()
    wanted = method(lambda z: model.body(z)[:, flat], x, generator=seeded())
    assert relative(method(model, x, target, generator=seeded()), wanted) < 1e-12
    explanation = method.explain(model, x, target, generator=seeded())
    assert relative(explanation.maps, wanted) < 1e-12
    assert explanation.outputs.shape == (5, *shape)


@each_method
def test_targets_that_differ_from_row_to_row(method: Any, x: Tensor) -> None:
    model, c, t = Shaped(3, 2).double(), torch.tensor([0, 1, 2, 1, 0]), torch.tensor([1, 0, 0, 1, 1])
    maps = method(model, x, torch.stack([c, t], 1), generator=seeded())
    for b in range(5):
        alone = method(model, x, (int(c[b]), int(t[b])), generator=seeded())
        assert relative(maps[b], alone[b]) < 1e-12


@each_method
@pytest.mark.parametrize(
    ("target", "words"),
    [
        (None, "say which is explained"),
        (3, "target index 3 is out of range for 3 outputs"),
        (torch.tensor([0, 1]), r"target of shape \(2,\) does not match 5 input rows"),
        (torch.zeros(5), "got torch.float32"),
        (torch.tensor([0, 0, 0, 0, 7]), "target index 7 is out of range"),
    ],
)
def test_wrong_targets_are_found_in_every_chunk(
    method: Any, target: Any, words: str, model: nn.Module, x: Tensor
) -> None:
    """Also where the row at fault is not in the first chunk: before any work is done."""
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    for chunk in (None, 1):
        calls.clear()
        with pytest.raises(TargetError, match=words):
            method(model, x, target, chunk=chunk)
        assert len(calls) <= len(REFERENCES) + 1  # f at the references may come first


@pytest.mark.usefixtures("without_type_checks")
@each_method
@pytest.mark.parametrize(
    "output", [lambda x: (x, x), lambda x: {"logits": x}, lambda x: x.sum(), lambda x: x[:1]]
)
def test_models_that_do_not_return_rows(method: Any, output: Any, x: Tensor) -> None:
    with pytest.raises(TargetError, match=r"must return (a tensor; got|one row for each input row)"):
        method(output, x, 0)


@each_method
@pytest.mark.parametrize("chunk", [0, -1])
def test_chunks_of_no_rows_are_refused(method: Any, chunk: int, model: nn.Module, x: Tensor) -> None:
    with pytest.raises(InputError, match=f"at least 1 or None; got {chunk}"):
        method(model, x, 0, chunk=chunk)
    with pytest.raises(InputError, match=f"at least 1 or None; got {chunk}"):
        method.explain(model, x, 0, chunk=chunk)


@each_method
def test_draws_are_made_on_the_cpu(
    method: Any, model: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(torch.Generator):
        device = torch.device("meta")

    with pytest.raises(InputError, match="got a generator on meta"):
        method(model, x, 0, generator=Elsewhere())


@each_method
def test_a_batch_that_does_not_fit_the_model_is_the_models_own_error(method: Any, x: Tensor) -> None:
    with pytest.raises((RuntimeError, rr.ShapeError), match=r"cannot be multiplied|does not fit"):
        method(nn.Linear(FEATURES + 1, 2).double(), x, 0)


@each_method
def test_large_batches_run_in_chunks_without_being_asked(method: Any, model: nn.Module) -> None:
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    method.explain(model, torch.randn(700, FEATURES, dtype=torch.float64), 0)
    assert max(rows) <= 512


@each_method
def test_nothing_is_recorded_where_gradients_are_off(method: Any, model: nn.Module, x: Tensor) -> None:
    for guard in (torch.no_grad, torch.inference_mode):
        with (
            guard(),
            pytest.raises(DifferentiabilityError, match="parameters would silently get no gradient"),
        ):
            method(model, x, 0, create_graph=True)


@each_method
def test_maps_of_tuples_are_tuples_also_of_one(method: Any, x: Tensor) -> None:
    if isinstance(method, rr.ExpectedGradients):
        method = rr.ExpectedGradients((REFERENCES,), samples=9)
    maps = method(lambda z: z.square().sum(1), (x,))
    assert isinstance(maps, tuple)
    assert maps[0].shape == x.shape


@each_method
def test_frozen_models_are_explained(method: Any, model: nn.Module, x: Tensor) -> None:
    wanted = method(model, x, 0, generator=seeded())
    model.requires_grad_(False)
    assert relative(method(model, x, 0, generator=seeded()), wanted) == 0
    connected = method(model, x.clone().requires_grad_(), 0, generator=seeded(), create_graph=True)
    assert connected.requires_grad
