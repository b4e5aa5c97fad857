"""Nothing outlives a call: no hooks, no graphs, no activations waiting for the garbage collector."""

import gc
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attribution
from tests.attribution.helpers import seeded
from tests.cases import CATALOGUE, PICTURES, Catalogued

ON_INPUTS = (
    rr.Gradient(),
    rr.InputTimesGradient(),
    rr.SmoothGrad(samples=2),
    rr.IntegratedGradients(steps=2),
    rr.ExpectedGradients(torch.zeros(3, 2, 5, 5), samples=2),
)
METHODS = (*CATALOGUE, *(Catalogued(repr(method), method) for method in ON_INPUTS))
every_method = pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)


def test_every_method_is_here() -> None:
    found = (getattr(attribution, name) for name in attribution.__all__)
    methods = {m for m in found if isinstance(m, type) and issubclass(m, rr.Attribution)}
    assert methods - {type(case.method) for case in METHODS} == {rr.Attribution, rr.PathAttribution}


@every_method
@pytest.mark.parametrize("connected", [False, True], ids=["maps", "graph"])
def test_activations_are_freed_at_once_and_not_by_the_garbage_collector(
    case: Catalogued, connected: bool
) -> None:
    """Reference cycles through autograd are never collected: the leak that users of hook-based libraries report."""
    method = case.method
    if connected and not method.axioms.differentiable:
        pytest.skip("refused")
    model, x = case.fitted(PICTURES.make(torch.float32)), PICTURES.inputs(4, dtype=torch.float32)
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


@every_method
def test_methods_keep_no_model_alive(case: Catalogued) -> None:
    model, x = case.fitted(PICTURES.make(torch.float32)), PICTURES.inputs(2, dtype=torch.float32)
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
@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "method",
    [
        *(rr.GuidedGradCAM(), rr.Deconvnet(), rr.DeepLift(), rr.LRP(), rr.XGradient(), rr.XGradCAM()),
        *(rr.BlurIG(steps=2), rr.GuidedIG(steps=2), rr.NoiseGrad(samples=2), rr.SmoothGrad(samples=2)),
        rr.ExpectedGradients(torch.zeros(3, 1, 8, 8), samples=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_thousand_calls_need_no_more_memory_than_a_hundred(method: rr.Attribution) -> None:
    """A leaked graph of this network holds about 50 kB, so a thousand would be 50 MB.

    The other methods run the code of these: GuidedGradCAM is GradCAM and GuidedBackprop, FusionGrad NoiseGrad and
    SmoothGrad, and what is left a gradient.
    """
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(576, 2)
    )
    model = rr.homogenize(model) if isinstance(method, rr.XGradient) else model
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
