"""The tape names every operation between leaves and output, in order, and nothing else."""

import torch
import torch.nn.functional as F

from rightreasons.core.model._autograd_graph import Reach, is_linear, moves, operations


def leaf() -> torch.Tensor:
    return torch.randn(2, 3, requires_grad=True)


def test_operations_in_order_with_the_inputs_that_come_from_the_leaves() -> None:
    x, weight = leaf(), torch.randn(3, requires_grad=True)
    found = operations((F.relu(weight.exp() * x) + 1).sum(), [x])
    assert [op.kind for op in found] == ["Mul", "Relu", "Add", "Sum"]
    assert [op.inputs for op in found] == [(1,), (0,), (0,), (0,)]


def test_both_sides_of_a_product() -> None:
    x = leaf()
    assert operations((x.exp() * x.sin()).sum(), [x])[-2].inputs == (0, 1)


def test_other_leaves_are_not_followed() -> None:
    x, other = leaf(), leaf()
    assert operations((x + other).sum(), []) == []
    assert [op.kind for op in operations((x + other.exp()).sum(), [x])] == ["Add", "Sum"]
    assert operations(torch.ones(()), [x]) == []


def test_deep_networks_do_not_exhaust_the_stack() -> None:
    x = y = leaf()
    for _ in range(5000):
        y = y + 1
    assert len(operations(y, [x])) == 5000


def test_custom_functions_are_known_as_such() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx, g: torch.Tensor) -> torch.Tensor:
            return 2 * g

    x = leaf()
    first, second = operations(Twice.apply(x).relu(), [x])
    assert first.is_custom
    assert not second.is_custom
    assert first.kind == "Twice"
    assert operations(x.clamp(min=0.5), [x])[0].saved("min") == 0.5
    assert operations(x.clamp(min=0.5), [x])[0].saved("nothing") is None


def test_reach_tells_what_was_computed_from_the_leaves() -> None:
    x, other = leaf(), leaf()
    reach = Reach([x])
    assert reach(x)
    assert reach(x.exp() + other)
    assert reach((x + 1).relu())
    assert not reach(other)
    assert not reach(other.exp())
    assert not reach(torch.ones(2))
    assert not reach(None)


def test_reach_through_operations_looks_at_each_node_once() -> None:
    x = leaf()
    h = (x + 1).relu()
    reach = Reach((), through=("ReluBackward0",))
    assert not reach(x + 1)
    assert reach(h)
    known = dict(reach.known)
    assert reach(h * 2)
    assert len(reach.known) == len(known) + 1


def test_linear_operations_and_products() -> None:
    x, w = leaf(), torch.randn(3, 3)
    linear = [
        x @ w,
        w @ x.T,
        F.linear(x, w, w[0]),
        x / 2,
        x - 1,
        -x,
        x.mean(1),
        torch.cat([x, x]),
        x[:, 1:].T,
    ]
    for output in linear:
        assert all(is_linear(op) for op in operations(output, [x])), output
    for output in [x * x, x @ x.T, 2 / x, x.relu(), x.softmax(1), torch.addmm(x, x, w @ x.T[:, :1] * x[:1])]:
        assert not all(is_linear(op) for op in operations(output, [x])), output
    trained = F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)
    assert not is_linear(operations(trained, [x])[0])
    assert is_linear(operations(F.batch_norm(x, torch.zeros(3), torch.ones(3)), [x])[0])
    assert moves(operations(x.reshape(3, 2), [x])[0])
    assert not moves(operations(x + 1, [x])[0])
