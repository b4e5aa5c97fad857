import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models import MLP, activations


@pytest.mark.parametrize(("outputs", "shape"), [(1, (5,)), (3, (5, 3))])
def test_one_output_is_squeezed_and_several_are_not(outputs, shape):
    assert MLP(4, [6], outputs)(torch.randn(5, 4)).shape == shape


def test_forward_is_the_written_out_formula():
    model = MLP(3, [4, 2], outputs=2).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    h = x
    linear = [layer for layer in model.layers if isinstance(layer, torch.nn.Linear)]
    for layer in linear[:-1]:
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    assert torch.allclose(model(x), h @ linear[-1].weight.T + linear[-1].bias, rtol=1e-12)


def test_images_are_flattened_and_empty_batches_pass():
    assert MLP(12, [4], outputs=2)(torch.randn(5, 3, 2, 2)).shape == (5, 2)
    assert MLP(12, [4])(torch.randn(0, 12)).shape == (0,)


def test_no_hidden_layer_is_a_linear_model():
    assert sum(p.numel() for p in MLP(5, []).parameters()) == 6


@pytest.mark.parametrize("name", activations())
def test_every_activation_gives_a_finite_gradient(name):
    model = MLP(3, [8, 8], activation=name)
    x = torch.randn(4, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    grad.square().sum().backward()
    assert torch.isfinite(model.layers[1].weight.grad).all()


def test_dropout_acts_in_training_only():
    model = MLP(20, [200], dropout=0.5)
    x = torch.randn(3, 20)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"features": 0}, "must be at least 1"),
        ({"features": 3, "hidden": [4, 0]}, "must be at least 1"),
        ({"features": 3, "dropout": 1.0}, r"in \[0, 1\), got 1.0"),
        ({"features": 3, "activation": "rellu"}, "no activation 'rellu'. Did you mean 'relu'"),
    ],
)
def test_fields_are_checked(fields, match):
    with pytest.raises(InputError, match=match):
        MLP(**fields)


@pytest.mark.parametrize("shape", [(5, 3), (4,)])
def test_rows_of_another_length_are_refused(shape):
    with pytest.raises(ShapeError, match="rows of 4 numbers, got a batch of shape"):
        MLP(4, [2])(torch.zeros(shape))
