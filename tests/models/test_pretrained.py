import sys

import pytest
import torch
from torch import nn

from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.models import MLP, ResNet, freeze, load_weights

safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture
def saved(tmp_path):
    def write(model):
        safetensors.save_file(model.state_dict(), tmp_path / "w.safetensors")
        return tmp_path / "w.safetensors"

    return write


def test_weights_and_running_statistics_are_taken(saved):
    torch.manual_seed(1)
    one, other = ResNet((1, 8, 8), 3, channels=(2,)), ResNet((1, 8, 8), 3, channels=(2,))
    one(torch.randn(9, 1, 8, 8))
    assert load_weights(other, saved(one)) == ()
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_another_head_can_be_skipped(saved):
    one, other = ResNet((1, 8, 8), 10, channels=(2,)), ResNet((1, 8, 8), 3, channels=(2,))
    before = other.head.weight.clone()
    assert load_weights(other, saved(one), skip=["head"]) == ("head.weight", "head.bias")
    assert torch.equal(other.head.weight, before)
    assert torch.equal(one.blocks[0].weight, other.blocks[0].weight)
    with pytest.raises(
        InputError, match=r"of another shape: head.weight \(10, 2\) for \(3, 2\).*skip=\['head'\]"
    ):
        load_weights(other, saved(one))


def test_weights_of_another_network_leave_the_model_alone(saved):
    model = MLP(3, [4])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        InputError, match=r"Not in the file: layers.1.bias, .* and 1 more; not in the model: 0.bias"
    ):
        load_weights(model, saved(nn.Sequential(nn.Linear(3, 4))))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_files_that_are_none_are_refused(tmp_path, saved, monkeypatch):
    path = saved(MLP(3, [4]))
    with pytest.raises(
        InputError, match="There is no file '.*v.safetensors'. Did you mean '.*w.safetensors'"
    ):
        load_weights(MLP(3, [4]), tmp_path / "v.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="cannot be read as safetensors: .*Pickled weights .* are not read"):
        load_weights(MLP(3, [4]), path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(MissingExtraError, match="safetensors is not installed. pip install"):
        load_weights(MLP(3, [4]), path)


def test_frozen_parts_stay_as_they_are_in_training():
    model = ResNet((1, 8, 8), 2, channels=(2, 3))
    frozen = freeze(model, ["blocks.0", "blocks.1", "blocks.3*"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    model.train()(torch.randn(5, 1, 8, 8)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"blocks.0.weight", "blocks.1.weight", "blocks.3.inner.0.weight"} <= set(frozen)
    assert not changed & set(frozen)
    assert not {name for name in changed if name.startswith(("blocks.1.", "blocks.3.")) and "running" in name}
    assert "head.weight" in changed


def test_names_must_be_the_models_and_leave_something_to_train():
    with pytest.raises(InputError, match="no parameters named 'layer.1'. Did you mean 'layers.1'"):
        freeze(MLP(3, [4]), ["layer.1"])
    model = MLP(3, [4])
    with pytest.raises(InputError, match=r"Freezing \['layers'\] would leave nothing to train"):
        freeze(model, ["layers"])
    assert all(p.requires_grad for p in model.parameters())
