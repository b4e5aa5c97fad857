import pytest
import torch
from torch import nn

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models import ResNet
from rightreasons.models._resnet import Residual


@pytest.mark.parametrize(("outputs", "shape"), [(1, (2,)), (10, (2, 10))])
def test_one_output_is_squeezed_and_several_are_not(outputs, shape):
    assert ResNet((3, 9, 8), outputs, channels=(2, 3))(torch.randn(2, 3, 9, 8)).shape == shape


def test_resnet_20_has_twenty_layers_but_for_the_shortcuts():
    model = ResNet((3, 32, 32), 10, channels=(16, 32, 64), blocks=3)
    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    shortcuts = [each for each in layers if isinstance(each, nn.Conv2d) and each.kernel_size == (1, 1)]
    assert len(layers) - len(shortcuts) == 20
    assert len(shortcuts) == 2
    assert 0.26e6 < sum(p.numel() for p in model.parameters()) < 0.28e6  # the paper's table: 0.27 million


def test_a_block_that_adds_nothing_passes_its_input_on():
    block = Residual(3, 3, 1, "relu").eval()
    nn.init.zeros_(block.inner[3].weight)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shape": (28, 28)}, r"needs a shape \(channels, height, width\)"),
        ({"channels": ()}, "at least one stage"),
        ({"shape": (1, 3, 9)}, "3 stages do not fit images of 3 x 9"),
        ({"blocks": 0}, "must be at least 1"),
        ({"activation": "rellu"}, "no activation"),
    ],
)
def test_fields_are_checked(fields, match):
    with pytest.raises(InputError, match=match):
        ResNet(**fields)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 3, 8, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match=r"images of shape \(1, 8, 8\), got a batch"):
        ResNet((1, 8, 8), channels=(2,))(torch.zeros(shape))
