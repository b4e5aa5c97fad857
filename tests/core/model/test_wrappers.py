from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rightreasons.core.model._wrappers import around
from tests.networks import NETWORKS


class Log:
    def __init__(self) -> None:
        self.events: list[Any] = []

    @contextmanager
    def __call__(self, args: tuple[Any, ...]) -> Iterator[None]:
        self.events.append(args[0].shape[0])
        try:
            yield
        finally:
            self.events.append("left")


@pytest.mark.parametrize("kind", ["module", "callable"])
def test_every_call_runs_inside_its_context(kind: str) -> None:
    log, model = Log(), nn.Linear(3, 2)
    around_it = around(model if kind == "module" else lambda x: model(x), log)
    x = torch.rand(4, 3)
    assert torch.equal(around_it(x), model(x))
    around_it(x[:2])
    assert log.events == [4, "left", 2, "left"]


def test_errors_leave_the_context() -> None:
    log = Log()

    def broken(x: Tensor) -> Tensor:
        raise KeyError("model")

    with pytest.raises(KeyError, match="model"):
        around(broken, log)(torch.rand(1))
    assert log.events == [1, "left"]


def test_a_module_keeps_names_parameters_and_buffers() -> None:
    model = NETWORKS["cnn"].make()
    inside = around(model, Log())
    assert isinstance(inside, nn.Module)
    assert dict(inside.named_modules()) == dict(model.named_modules())
    assert [name for name, _ in inside.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert {name: id(b) for name, b in inside.named_buffers()} == {
        name: id(b) for name, b in model.named_buffers()
    }
    assert inside.get_submodule("first") is model.get_submodule("first")


def test_a_module_may_be_inside_several_contexts() -> None:
    outer, inner, model = Log(), Log(), nn.Linear(3, 2)
    both = around(around(model, inner), outer)
    both(torch.rand(4, 3))
    assert outer.events == inner.events == [4, "left"]
    assert isinstance(both, nn.Module)
    assert list(both.modules()) == [model]
