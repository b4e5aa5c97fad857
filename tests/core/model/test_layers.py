"""The layers a model runs, in order."""

import torch
from torch import Tensor, nn

from rightreasons.core.model._layers import layers_run
from tests.attribution.helpers import assert_same_state, state
from tests.networks import NETWORKS


def test_layers_come_in_the_order_in_which_they_finish_and_only_if_they_run_once() -> None:
    model, x = NETWORKS["cnn"].make(), NETWORKS["cnn"].inputs(2)
    before = state(model.eval())
    found = layers_run(model, (x,), {})
    assert [ran.name for ran in found] == ["first", "norm", "second", "norm2", "drop", "head"]
    assert [ran.shape for ran in found[:2]] == [(2, 3, 5, 5)] * 2
    assert found[0].module is model.first
    assert_same_state(state(model), before)


def test_a_block_comes_after_its_parts_and_tuples_are_left_out() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.both = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), Both()

        def forward(self, x: Tensor, *, scale: float) -> Tensor:
            return self.both(self.block(x))[0] * scale

    found = layers_run(Model(), (torch.zeros(1, 2),), {"scale": 2.0})
    assert [ran.name for ran in found] == ["block.0", "block.1", "block"]


def test_a_plain_callable_has_no_layers() -> None:
    assert layers_run(lambda x: x, (torch.zeros(1, 2),), {}) == []
