"""Nothing outlives a call: no hooks, no graphs, no activations waiting for the garbage collector."""

import gc
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests.attribution.helpers import seeded
from tests.cases import CATALOGUE, PICTURES, Catalogued

METHODS = [
    *(case.method for case in CATALOGUE),
    rr.Gradient(),
    rr.SmoothGrad(samples=2),
    rr.IntegratedGradients(steps=2),
    rr.ExpectedGradients(torch.zeros(3, 2, 5, 5), samples=2),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("connected", [False, True], ids=["maps", "graph"])
def test_activations_are_freed_at_once_and_not_by_the_garbage_collector(
    method: rr.Attribution, connected: bool
) -> None:
    """Reference cycles through autograd are never collected: the leak that users of hook-based libraries report."""
    if connected and not method.axioms.differentiable:
        pytest.skip("refused")
    model, x = PICTURES.make(torch.float32), PICTURES.inputs(4, dtype=torch.float32)
    alive: list[weakref.ref[Tensor]] = []
    for module in (model.first, model.norm, model.second, model.act):
        module.register_forward_hook(lambda _, __, output: alive.append(weakref.ref(output)))
    gc.collect()
    gc.disable()
    try:
        maps = method(model, x, 1, generator=seeded(), create_graph=connected)
        if connected:
            maps.square().sum().backward()
        del maps
        assert [ref for ref in alive if ref() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
def test_methods_keep_no_model_alive(case: Catalogued) -> None:
    model, x = PICTURES.make(torch.float32), PICTURES.inputs(2, dtype=torch.float32)
    case.method(model, x, 1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def resident() -> int:
    """Bytes of memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("method", [rr.GradCAM(), rr.GuidedBackprop(), rr.DeepLift(), rr.LRP()], ids=repr)
def test_a_thousand_calls_need_no_more_memory_than_a_hundred(method: rr.Attribution) -> None:
    """A leaked graph of this network holds about 50 kB, so a thousand would be 50 MB."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(576, 2)
    )
    x = torch.randn(2, 1, 8, 8)
    for _ in range(100):
        method(model, x, 1)
    before, objects = resident(), len(gc.get_objects())
    for _ in range(1000):
        method(model, x, 1)
    gc.collect()
    assert resident() - before < 10e6
    assert len(gc.get_objects()) < objects + 200
    hooks = torch.nn.modules.module
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks
