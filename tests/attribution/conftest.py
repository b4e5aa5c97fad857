"""What the attribution tests share."""

import pytest
import torch
from torch import Tensor, nn

from tests.cases import NETWORK
from tests.networks import labels


@pytest.fixture
def model() -> nn.Module:
    return NETWORK.make()


@pytest.fixture
def x() -> Tensor:
    inputs = NETWORK.inputs(5)
    assert isinstance(inputs, Tensor)
    return inputs


@pytest.fixture
def y() -> Tensor:
    return labels(5)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)
