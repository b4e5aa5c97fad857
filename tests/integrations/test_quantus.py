"""Arrays in, an array out: the contract of Quantus's `explain_func`."""

import numpy as np
import pytest
import torch
from torch import nn

import rightreasons as rr
from rightreasons.integrations.quantus import explain_func
from tests.networks import CNN


def test_arrays_in_an_array_of_the_same_shape_out() -> None:
    model = CNN()
    x, y = np.random.rand(5, 2, 6, 6), np.array([0, 1, 2, 0, 1])
    settings = {"device": "cpu", "channel_first": True, "softmax": False, "normalise": True, "abs": True}
    maps = explain_func(rr.IntegratedGradients(steps=5))(model, x, y, **settings)
    assert isinstance(maps, np.ndarray)
    wanted = rr.IntegratedGradients(steps=5)(model, torch.from_numpy(x).float(), torch.from_numpy(y))
    assert isinstance(wanted, torch.Tensor)
    np.testing.assert_allclose(maps, wanted.sum(1, keepdim=True).numpy(), rtol=1e-5, atol=1e-7)


def test_axes_are_reduced_as_quantus_reduces_its_own_maps() -> None:
    model, x, y = CNN(), np.random.rand(5, 2, 6, 6), np.array([0, 1, 2, 0, 1])
    explain = explain_func(rr.Gradient())
    every = explain(model, x, y, reduce_axes=())
    assert every.shape == x.shape
    np.testing.assert_allclose(explain(model, x, y), every.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)
    kept = explain(model, x, y, reduce_axes=(2, 3), keepdims=False)
    np.testing.assert_allclose(kept, every.sum((2, 3)), rtol=1e-5, atol=1e-7)
    table = explain(nn.Linear(3, 2), np.ones((4, 3)), np.zeros(4))
    assert table.shape == (4, 3)
    with pytest.raises(rr.InputError, match=r"reduce_axes names axes of maps of shape \(5, 2, 6, 6\)"):
        explain(model, x, y, reduce_axes=(0,))


def test_precision_is_the_models_and_grad_cam_has_one_channel() -> None:
    maps = explain_func(rr.GradCAM())(
        CNN().double(), np.random.rand(3, 2, 6, 6), np.zeros((3, 1), dtype=np.int32)
    )
    assert maps.dtype == np.float64
    assert maps.shape == (3, 1, 6, 6)


def test_draws_come_from_the_generator_if_there_is_one() -> None:
    model, x, y = nn.Linear(3, 2), np.random.rand(4, 3), np.zeros(4)
    first, second = (
        explain_func(rr.RandomMap(), generator=torch.Generator().manual_seed(1))(model, x, y)
        for _ in range(2)
    )
    assert (first == second).all()
    explain = explain_func(rr.RandomMap())
    assert (explain(model, x, y) != explain(model, x, y)).any()


def test_refusals() -> None:
    model, x, y = nn.Linear(3, 2), np.random.rand(4, 3), np.zeros(4)
    with pytest.raises(rr.InputError, match="read channels first: pass channel_first=True"):
        explain_func(rr.Gradient())(model, x, y, channel_first=False)


def test_a_method_of_several_inputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rr.RandomMap, "maps", lambda _, inputs, __: (*inputs, *inputs))
    monkeypatch.setattr("rightreasons.attribution._controls.like", lambda parts, _: parts)
    with pytest.raises(rr.InputError, match="Quantus explains one input"):
        explain_func(rr.RandomMap())(nn.Linear(3, 2), np.zeros((2, 3)), np.zeros(2))
