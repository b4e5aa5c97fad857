"""The replaced layers against PyTorch's own: values, gradients, second and third order, in float64."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rightreasons.core.model._grad import score_gradients
from rightreasons.core.model._kernels import SecondOrderKernels

CONVOLUTIONS = [
    (1, dict()),
    (1, dict(stride=2, padding=1)),
    (2, dict()),
    (2, dict(padding=1)),
    (2, dict(stride=2, padding=(1, 0))),
    (2, dict(dilation=2)),
    (2, dict(groups=2)),
    (2, dict(padding="same")),
    (3, dict(padding=1)),
]


def _conv(
    dimensions: int, settings: dict, bias: bool = True
) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    weight = torch.randn(4, 4 // settings.get("groups", 1), *(3,) * dimensions).double().requires_grad_()
    offset = torch.randn(4).double().requires_grad_() if bias else None
    conv = (F.conv1d, F.conv2d, F.conv3d)[dimensions - 1]
    tensors = [weight] if offset is None else [weight, offset]
    return lambda x: conv(x, weight, offset, **settings), tensors


def _norm() -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    layer = nn.BatchNorm2d(4).double().eval()
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    return layer, list(layer.parameters())


def _orders(layer: Callable[[Tensor], Tensor], tensors: list[Tensor], x: Tensor, ours: bool) -> list[Tensor]:
    """The value, its gradient, the gradient of a function of that, and the gradient of a function of that again."""
    if ours:
        with SecondOrderKernels():
            y = layer(x)
    else:
        y = layer(x)
    everything = [x, *tensors]
    first = torch.autograd.grad(y.sin().sum(), everything, create_graph=True)
    second = torch.autograd.grad(
        sum(g.square().sum() for g in first), everything, create_graph=True, allow_unused=True
    )
    second = [torch.zeros_like(t) if g is None else g for g, t in zip(second, everything, strict=True)]
    third = torch.autograd.grad(sum(g.sin().sum() for g in second), everything, allow_unused=True)
    third = [torch.zeros_like(t) if g is None else g for g, t in zip(third, everything, strict=True)]
    return [y, *first, *second, *third]


def _agree(layer: Callable[[Tensor], Tensor], tensors: list[Tensor], x: Tensor) -> None:
    theirs, ours = _orders(layer, tensors, x, ours=False), _orders(layer, tensors, x, ours=True)
    for a, b in zip(theirs, ours, strict=True):
        assert (a - b).norm() <= 1e-10 * a.norm().clamp(min=1e-12)


@pytest.mark.parametrize(("dimensions", "settings"), CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_to_third_order(dimensions: int, settings: dict, bias: bool) -> None:
    x = torch.randn(2, 4, *(7, 6, 5)[:dimensions]).double().requires_grad_()
    _agree(*_conv(dimensions, settings, bias), x)


@pytest.mark.parametrize(
    "layer",
    [
        F.relu,
        torch.relu,
        Tensor.relu,
        lambda x: F.relu(x * 1, inplace=True),
        lambda x: torch.relu_(x * 1),
        lambda x: (x * 1).relu_(),
        lambda x: F.relu((x * 1)[:, :2], inplace=True),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        lambda x: F.max_pool2d(x, (2, 1), dilation=(1, 2)),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        lambda x: torch.max_pool2d(x, 2),
    ],
)
def test_piecewise_linear_layers_to_third_order(layer: Callable[[Tensor], Tensor]) -> None:
    _agree(layer, [], torch.randn(2, 4, 7, 6).double().requires_grad_())


def test_batch_norm_in_eval_mode_to_third_order() -> None:
    _agree(*_norm(), torch.randn(2, 4, 3, 3).double().requires_grad_())


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(4, affine=False).eval(),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.BatchNorm2d(4).train(),
        nn.Conv2d(4, 2, 3, padding="same", padding_mode="circular"),
    ],
    ids=str,
)
def test_other_settings_agree(layer: nn.Module) -> None:
    layer.double()
    x = torch.randn(3, 4, 5, 5).double()
    expected = layer(x)
    with SecondOrderKernels():
        torch.testing.assert_close(layer(x), expected)


def test_in_place_relu_writes_over_its_input() -> None:
    with SecondOrderKernels():
        z = torch.tensor([-1.0, 2.0], requires_grad=True) * 1
        F.relu(z, inplace=True)
    assert z.tolist() == [0.0, 2.0]


def test_the_second_pass_leaves_out_what_is_zero() -> None:
    weights = [torch.randn(3, 3, 3, 3, requires_grad=True) for _ in range(2)]
    bias = torch.zeros(3, requires_grad=True)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with SecondOrderKernels():
        y = F.conv2d(F.max_pool2d(F.relu(F.conv2d(x, weights[0], bias)), 2), weights[1])
    (g,) = score_gradients(y.flatten(1).sum(1), [x], create_graph=True)
    grads = torch.autograd.grad(g.square().sum(), [*weights, bias], allow_unused=True)
    assert [grad is None for grad in grads] == [False, False, True]  # a bias only shifts where the kinks are


def test_an_inner_gradient_reaches_points_through_a_weight_made_of_them() -> None:
    x = torch.randn(1, 1, 3, 3).double().requires_grad_()
    z = torch.randn(1, 1, 6, 6).double().requires_grad_()

    def score() -> Tensor:
        return F.conv2d(z.sin(), x.square()).flatten(1).sum(1) + F.conv2d(z, x).flatten(1).sum(1)

    expected = score_gradients(score(), [x, z])
    with SecondOrderKernels():
        ours = score()
    for a, b in zip(expected, score_gradients(ours, [x, z]), strict=True):
        torch.testing.assert_close(a, b)


def test_function_transforms_run_inside() -> None:
    weight = torch.randn(4, 4, 3, 3).double()

    def norm(x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(F.conv2d(x[None], weight)), 2).square().sum()

    x = torch.randn(3, 4, 6, 6).double()
    expected = torch.stack([torch.func.grad(norm)(row) for row in x])
    with SecondOrderKernels():
        torch.testing.assert_close(torch.func.vmap(torch.func.grad(norm))(x), expected)


def test_autocast_and_unbatched_images_stay_with_pytorch() -> None:
    conv, x = nn.Conv2d(4, 2, 3), torch.randn(4, 6, 6)
    expected = conv(x)
    with SecondOrderKernels():
        torch.testing.assert_close(conv(x), expected)
        with torch.autocast("cpu", torch.bfloat16):
            assert conv(x[None]).dtype == torch.bfloat16


def test_memory_format_is_kept() -> None:
    conv = nn.Conv2d(4, 8, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    with SecondOrderKernels():
        y = F.max_pool2d(F.relu(conv(x)), 2)
    (g,) = score_gradients(y.flatten(1).sum(1), [x], create_graph=True)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert g.is_contiguous(memory_format=torch.channels_last)
