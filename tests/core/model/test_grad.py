"""The one place that differentiates."""

import pytest
import torch
from torch import nn

import rightreasons as rr
from rightreasons.core._errors import DifferentiabilityError
from rightreasons.core.model._grad import loss_gradients, norm_of, score_gradients, vector_jacobian


def test_every_row_gets_its_own_gradient() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    (grad,) = score_gradients(x.pow(3).sum(1), (x,))
    torch.testing.assert_close(grad, 3 * x.detach() ** 2)
    assert not grad.requires_grad
    (grad,) = score_gradients(x.pow(3).sum(1), (x,), create_graph=True)
    assert grad.requires_grad


def test_an_input_without_influence_has_gradient_zero() -> None:
    x, unused = torch.randn(2, 3, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    grads = score_gradients(x.sum(1), (x, unused))
    assert grads[1].shape == (2, 5)
    assert not grads[1].any()
    first, second = rr.Gradient()(lambda a, b: a.sum(1), (torch.ones(2, 3), torch.ones(2, 5)))
    assert first.all()
    assert not second.any()


def test_nothing_to_differentiate() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(DifferentiabilityError, match=r"carries no gradient: .*detach, argmax"):
        score_gradients(x.detach().sum(1), (x,))
    with pytest.raises(DifferentiabilityError, match="does not depend on what is explained"):
        score_gradients(torch.ones(2, requires_grad=True) * 1, (x,))


CUT = {
    "argmax": lambda z: z.argmax(1).float(),
    "detach": lambda z: z.detach().sum(1),
    "compare": lambda z: (z > 0).float().sum(1),
    "numpy": lambda z: torch.from_numpy(z.detach().numpy().sum(1)),
}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
@pytest.mark.parametrize("frozen", [False, True])
def test_models_that_cut_the_graph(cut: object, frozen: bool) -> None:
    body = nn.Linear(4, 3).requires_grad_(not frozen)
    for method in (rr.Gradient(), rr.IntegratedGradients(steps=2), rr.ExpectedGradients(torch.zeros(3, 4))):
        with pytest.raises(DifferentiabilityError, match="carries no gradient"):
            method(lambda x: cut(body(x)), torch.randn(2, 4))


def test_a_model_that_detaches_its_inputs() -> None:
    body = nn.Linear(4, 1)
    with pytest.raises(DifferentiabilityError, match="does not depend on what is explained"):
        rr.Gradient()(lambda x: body(x.detach()), torch.randn(2, 4))


def test_a_model_that_switches_gradients_off() -> None:
    class Off(nn.Linear):
        @torch.no_grad()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)

    with pytest.raises(DifferentiabilityError, match="carries no gradient"):
        rr.Gradient()(Off(4, 1), torch.randn(2, 4))


def test_vector_jacobian_products() -> None:
    x, w = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    values, cotangents = (x * w, x.square()), (torch.randn(3), torch.randn(3))
    by_x, by_w = vector_jacobian(values, (x, w), cotangents)
    torch.testing.assert_close(by_x, cotangents[0] * w + cotangents[1] * 2 * x)
    torch.testing.assert_close(by_w, cotangents[0] * x)
    assert vector_jacobian((x.detach(),), (x,), (cotangents[0],)) == (None,)
    assert vector_jacobian(values, (), cotangents) == ()
    assert vector_jacobian((x * 1,), (w,), (cotangents[0],)) == (None,)


def test_gradients_of_a_loss_touch_no_grad() -> None:
    x, unused = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    loss = x.square().sum()
    by_x, by_unused = loss_gradients(loss, (x, unused), retain_graph=True)
    torch.testing.assert_close(by_x, 2 * x)
    assert by_unused is None
    assert x.grad is None
    assert loss_gradients(loss.detach(), (x,)) == (None,)
    assert loss_gradients(loss, ()) == ()
    torch.testing.assert_close(loss_gradients(loss, (x,))[0], 2 * x)


def test_norm_of_all_gradients_together() -> None:
    assert norm_of((torch.tensor([3.0]), None, torch.tensor([[4.0]]))) == 5
    assert norm_of((None,)) == 0


def test_a_lost_score_has_no_gradient() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    bias = torch.tensor([0.0, torch.nan])
    scores = (x.sum(1) + bias).relu()  # whose derivative at NaN is 0
    (gradient,) = score_gradients(scores, [x])
    torch.testing.assert_close(gradient, torch.tensor([[1.0, 1.0], [torch.nan, torch.nan]]), equal_nan=True)
