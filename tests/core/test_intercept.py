"""Functions are recognised however they are called, and nothing is left behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rightreasons.core._intercept import Call, Intercept, finished, function_name


def recording(name: str) -> tuple[Intercept, list[str]]:
    seen: list[str] = []

    def handler(call: Call) -> Tensor:
        _, after, overwrites = call.values()
        seen.append(f"{call.name}{'!' if overwrites else ''}")
        return finished(call, after + 100, overwrites)

    return Intercept({name: handler}), seen


@pytest.mark.parametrize(
    ("call", "name", "overwrites"),
    [
        (F.relu, "relu", False),
        (nn.ReLU(), "relu", False),
        (nn.ReLU(inplace=True), "relu", True),
        (lambda x: F.relu(x, True), "relu", True),
        (lambda x: F.relu(input=x), "relu", False),
        (torch.relu_, "relu", True),
        (lambda x: x.relu(), "relu", False),
        (nn.GELU(), "gelu", False),
        (lambda x: x + 1, "add", False),
        (lambda x: x.add_(1), "add", True),
        (lambda x: torch.add(x, 1), "add", False),
        (lambda x: x.clamp(min=0), "clamp", False),
        (nn.Threshold(0, 0), "threshold", False),
        (nn.MaxPool1d(2), "max_pool1d", False),
    ],
)
def test_every_way_of_calling_is_the_same_function(call, name: str, overwrites: bool) -> None:
    x = torch.tensor([[[-1.0, 2.0]]])
    wanted = call(x.clone()) + 100
    mode, seen = recording(name)
    given = x.clone()
    with mode:
        result = call(given)
    assert seen == [name + "!" * overwrites]
    assert torch.equal(result, wanted)
    assert torch.equal(given, wanted if overwrites else x)
    assert torch.equal(call(x.clone()), wanted - 100), "outside, everything is as before"


def test_augmented_assignment_is_the_same_function() -> None:
    x = torch.ones(2)
    mode, seen = recording("add")
    with mode:
        x += 1
    assert seen == ["add!"]
    assert x.tolist() == [102.0, 102.0]
    assert function_name(Tensor.__iadd__) == "add"
    assert function_name(Tensor.__invert__) == "invert"


def test_what_is_no_floating_point_tensor_is_left_alone() -> None:
    mode, seen = recording("add")
    out = torch.zeros(2)
    with mode:
        torch.tensor([1]) + 1
        torch.add(torch.ones(2), 1, out=out)
    assert seen == []
    assert out.tolist() == [2.0, 2.0]


def test_an_error_leaves_no_mode_behind() -> None:
    mode, _ = recording("relu")
    with pytest.raises(ZeroDivisionError), mode:
        raise ZeroDivisionError
    assert not torch.overrides._get_current_function_mode_stack()
