import pytest
import torch
from torch import nn

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models import CNN


@pytest.mark.parametrize(("outputs", "shape"), [(1, (2,)), (10, (2, 10))])
def test_one_output_is_squeezed_and_several_are_not(outputs, shape):
    assert CNN((1, 8, 8), outputs, channels=(2,), hidden=4)(torch.randn(2, 1, 8, 8)).shape == shape


def test_the_published_network_has_the_published_layers():
    model = CNN((1, 28, 28), 10, channels=(32, 64), hidden=1024, dropout=0.5)
    shapes = [tuple(p.shape) for name, p in model.named_parameters() if name.endswith("weight")]
    assert shapes == [(32, 1, 5, 5), (64, 32, 5, 5), (1024, 64 * 7 * 7), (10, 1024)]


def test_odd_sizes_are_halved_downwards():
    assert CNN((3, 9, 7), 2, channels=(2, 3), kernel=3, hidden=4)(torch.randn(2, 3, 9, 7)).shape == (2, 2)


def test_batch_norm_is_optional_and_follows_each_convolution():
    kinds = [type(layer) for layer in CNN((1, 8, 8), batch_norm=True).blocks]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] * 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in CNN((1, 8, 8)).modules())


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shape": (28, 28)}, r"must be \(channels, height, width\)"),
        ({"shape": (1, 3, 3)}, "do not fit images of 3 x 3"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"channels": (0,)}, "must be at least 1"),
        ({"dropout": -0.1}, "dropout must be in"),
        ({"activation": "swishy"}, "no activation"),
    ],
)
def test_fields_are_checked(fields, match):
    with pytest.raises(InputError, match=match):
        CNN(**fields)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 9, 8), (2, 3, 8, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match=r"images of shape \(1, 8, 8\), got a batch"):
        CNN((1, 8, 8), channels=(2,), hidden=3)(torch.zeros(shape))
