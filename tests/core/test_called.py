"""Models that return something else than a tensor, or cannot take their inputs: alike at every entry point."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attacks, priors, tasks, training
from rightreasons.core._errors import InputError, TargetError
from rightreasons.models import OutputOf

X, Y = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]]), torch.tensor([0, 1])


class Net(nn.Module):
    """Linear, its output wrapped."""

    def __init__(self, wrapped: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.out, self.wrapped = nn.Linear(3, 2), wrapped

    def forward(self, x: Tensor) -> Any:
        return self.wrapped(self.out(x))


def maps(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    found = rr.Gradient()(net, x, y)
    assert isinstance(found, Tensor)
    return found


ENTRIES: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "attribution": lambda net, x: rr.Gradient()(net, x, Y),
    "explain": lambda net, x: rr.IntegratedGradients(steps=2).explain(net, x, Y),
    "lrp": lambda net, x: rr.LRP()(net, x, Y),
    "objective": lambda net, x: training.Objective(net, tasks.MultiClass(2))(x, Y),
    "penalty": lambda net, x: training.Objective(
        net, tasks.MultiClass(2), [training.Penalty(rr.Gradient(), priors.L1())]
    )(x, Y),
    "fit": lambda net, x: training.fit(training.Objective(net, tasks.MultiClass(2)), (x, Y), epochs=1),
    "attack": lambda net, x: attacks.PGD(eps=0.1, steps=1)(net, x, Y),
    "attack on maps": lambda net, x: attacks.TopK(eps=0.1, steps=1, k=1)(
        net, x, Y, attribution=rr.Gradient()
    ),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("wrapped", "message"),
    [
        (lambda z: {"scores": z}, r"got dict of 'scores'.*OutputOf\(model, 'scores'\)"),
        (lambda z: (z, z), r"got tuple.*OutputOf\(model, 0\)"),
        (lambda z: None, r"got NoneType"),
    ],
    ids=["dict", "tuple", "None"],
)
def test_every_entry_says_how_to_choose_an_output(
    entry: str, wrapped: Callable[[Tensor], Any], message: str
) -> None:
    with pytest.raises(TargetError, match=f"the model must return a tensor; {message}"):
        ENTRIES[entry](Net(wrapped), X)


@pytest.mark.parametrize(
    "wrapped", [lambda z: SimpleNamespace(logits=z), lambda z: z], ids=["logits", "tensor"]
)
def test_logits_are_taken(wrapped: Callable[[Tensor], Any]) -> None:
    net = Net(wrapped)
    assert torch.equal(maps(net, X, Y), net.out.weight[Y])
    losses = training.Objective(net, tasks.MultiClass(2))(X, Y)
    assert torch.equal(losses.total, nn.functional.cross_entropy(net.out(X), Y))
    assert attacks.PGD(eps=0.1, steps=1)(net, X, Y).shape == X.shape


@pytest.mark.parametrize(
    ("wrapped", "which"),
    [
        (lambda z: {"other": -z, "scores": z}, "scores"),
        (lambda z: SimpleNamespace(scores=z), "scores"),
        (lambda z: (-z, z), 1),
        (lambda z: (-z, z), lambda outputs: outputs[1]),
    ],
)
def test_the_output_that_is_meant_is_explained(wrapped: Callable[[Tensor], Any], which: Any) -> None:
    net = Net(wrapped)
    assert torch.equal(maps(OutputOf(net, which), X, Y), net.out.weight[Y])


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("scores", "returns dict with 'other', which has no output 'scores'"),
        ("other", "'other' is int, not a tensor"),
    ],
)
def test_an_output_that_is_not_there(which: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rr.Gradient()(OutputOf(Net(lambda z: {"other": 3}), which), X, Y)


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry != "fit"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_inputs_of_another_dtype_are_named_with_the_fix(entry: str, dtype: torch.dtype) -> None:
    kinds = (
        rf"inputs are {dtype} on cpu and the model's weights torch.float32 on cpu.*Convert the inputs, x.to\("
    )
    own = rf"attacks run on float32 or float64 inputs; got {dtype}. Pass x.float"
    with pytest.raises(InputError, match=f"{kinds}|{own}"):
        ENTRIES[entry](Net(lambda z: z), X.to(dtype))


def test_integers_for_a_linear_layer_and_ids_outside_the_vocabulary() -> None:
    with pytest.raises(InputError, match="inputs are torch.int64"):
        training.Objective(Net(lambda z: z), tasks.MultiClass(2))(X.long(), Y)
    words = nn.Sequential(nn.Embedding(4, 2), nn.Flatten())
    with pytest.raises(
        InputError, match=r"indices go from 0 to 7 in rows of \(1,\), and its embeddings have sizes \[4\]"
    ):
        rr.Gradient(at="0")(words, torch.tensor([[0], [7]]), Y)


def test_errors_of_the_model_stay_its_own() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        rr.Gradient()(broken, X, Y)


def test_a_class_is_no_network() -> None:
    with pytest.raises(InputError, match=r"the model is the class Net, not a network: make one, Net\(...\)"):
        rr.Gradient()(Net, X, Y)  # pyright: ignore[reportArgumentType]


def test_tensors_inside_torch_func_are_refused() -> None:
    net = Net(lambda z: z)
    for inside in (
        torch.func.vmap(lambda x: rr.Gradient()(net, x[None], 0)),
        torch.func.grad(lambda x: maps(net, x, Y).sum()),
    ):
        with pytest.raises(InputError, match=r"inside torch.func"):
            inside(X)


def test_one_row_in_a_batch_norm_that_is_trained_is_said() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), torch.ones(1, 3)
    objective = training.Objective(model, nn.functional.cross_entropy)
    with pytest.raises(rr.InputError, match=r"has a single row.*drop_last=True"):
        objective(x, torch.tensor([1]))
    assert rr.Gradient()(model, x, 0).shape == (1, 3)


def test_complex_outputs_are_refused() -> None:
    with pytest.raises(rr.TargetError, match=r"real numbers to be explained; got torch.complex64"):
        rr.Gradient()(lambda x: torch.complex(x, x), torch.ones(2, 1))
