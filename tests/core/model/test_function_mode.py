"""Functions are recognised however they are called, and nothing is left behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rightreasons.core.model._autograd_graph import operations
from rightreasons.core.model._function_mode import Call, Intercept, finished, function_name


class Recording(Intercept):
    """Adds 100 to what the functions it answers give."""

    answers = dict.fromkeys(("relu", "gelu", "add", "clamp", "threshold", "max_pool1d"), "answer")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def answer(self, call: Call) -> Tensor:
        _, after, overwrites = call.values()
        self.seen.append(f"{call.name}{'!' if overwrites else ''}")
        return finished(call, after + 100, overwrites)


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
    plain = call(x.clone())
    wanted = plain + 100
    mode = Recording()
    given = x.clone()
    with mode:
        result = call(given)
    assert mode.seen == [name + "!" * overwrites]
    assert torch.equal(result, wanted)
    assert torch.equal(given, wanted if overwrites else x)
    assert torch.equal(call(x.clone()), plain), "outside, everything is as before"


def test_augmented_assignment_is_the_same_function() -> None:
    x = torch.ones(2)
    mode = Recording()
    with mode:
        x += 1
    assert mode.seen == ["add!"]
    assert x.tolist() == [102.0, 102.0]
    assert function_name(Tensor.__iadd__) == "add"
    assert function_name(Tensor.__invert__) == "invert"


@pytest.mark.parametrize(
    ("on_a_part", "shown"),
    [
        (lambda z: z.exp_(), "ExpBackward0"),
        (lambda z: z.mul_(2.0), "MulBackward0"),
        (lambda z: z.__imul__(2.0), "MulBackward0"),
        (lambda z: z.masked_fill_(z > 0, 0.0), "MaskedFillBackward0"),
        (lambda z: z.__setitem__(z > 0, 0.0), "IndexPutBackward0"),
    ],
    ids=["exp_", "mul_", "*=", "masked_fill_", "[...] ="],
)
def test_what_is_done_in_place_on_a_part_is_on_the_tape(on_a_part, shown: str) -> None:
    leaf = torch.randn(3, 4, requires_grad=True)

    def run() -> Tensor:
        z = leaf.neg()
        on_a_part(z[:, :2])
        return z

    wanted = run()
    (plain,) = torch.autograd.grad(wanted.sum(), leaf)
    with Recording():
        result = run()
    assert torch.equal(result, wanted)
    names = [operation.name for operation in operations(wanted, [leaf])]
    assert shown not in names
    assert shown in [operation.name for operation in operations(result, [leaf])]
    assert torch.equal(torch.autograd.grad(result.sum(), leaf)[0], plain)


def test_what_is_no_floating_point_tensor_is_left_alone() -> None:
    mode = Recording()
    out = torch.zeros(2)
    with mode:
        torch.tensor([1]) + 1
        torch.add(torch.ones(2), 1, out=out)
    assert mode.seen == []
    assert out.tolist() == [2.0, 2.0]


def test_an_error_leaves_no_mode_behind() -> None:
    mode = Recording()
    with pytest.raises(ZeroDivisionError), mode:
        raise ZeroDivisionError
    assert not torch.overrides._get_current_function_mode_stack()
