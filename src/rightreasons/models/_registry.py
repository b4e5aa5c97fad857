"""Networks by name, initialised from a seed."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.models._cnn import CNN
from rightreasons.models._gru import GRU
from rightreasons.models._mlp import MLP
from rightreasons.models._own import accepted, from_path
from rightreasons.models._resnet import ResNet
from rightreasons.models._transformer import Transformer

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class _Factory:
    """How a network is told the shape of a row: the field and what to put there."""

    make: Callable[..., nn.Module]
    inputs: str
    value: Callable[[tuple[int, ...]], Any]


_MODELS: dict[str, _Factory] = {
    "mlp": _Factory(MLP, inputs="features", value=math.prod),
    "cnn": _Factory(CNN, inputs="shape", value=tuple),
    "resnet": _Factory(ResNet, inputs="shape", value=tuple),
    "gru": _Factory(GRU, inputs="shape", value=tuple),
    "transformer": _Factory(Transformer, inputs="shape", value=tuple),
}


def names() -> tuple[str, ...]:
    """Names that `build` knows.

    >>> names()
    ('mlp', 'cnn', 'resnet', 'gru', 'transformer')
    """
    return tuple(_MODELS)


@checked
def build(
    name: str,
    fields: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int] | None = None,
    outputs: int | None = None,
    vocabulary: int | None = None,
    folder: str | Path | None = None,
) -> nn.Module:
    """Network of that name; what the data decide is filled in unless the fields say it.

    Args:
        name: one of `names()`, or `module:factory` for a network of one's own, see `from_path`.
        fields: arguments of the network's class or factory, as in a recipe.
        shape: shape of one row of inputs, without the batch dimension.
        outputs: numbers per row that the task needs.
        vocabulary: number of words that inputs count along, if they are words.
        folder: where `module.py` is; without it no code is imported.

    Raises:
        InputError: an unknown name or field (naming the closest), a network of one's own without a folder, or what
            the network itself refuses.

    >>> build("cnn", {"channels": [4]}, shape=(3, 8, 8), outputs=5).outputs
    5
    """
    given = dict(fields or {})
    offered: dict[str, Any] = {"outputs": outputs, "vocabulary": vocabulary}
    if ":" in name:
        if folder is None:
            raise InputError(f"{name!r} is code, which is only imported from a folder you name: folder='.'.")
        make = from_path(name, folder)
        offered |= {"shape": None if shape is None else tuple(shape)}
    elif name in _MODELS:
        make = _MODELS[name].make
        offered[_MODELS[name].inputs] = None if shape is None else _MODELS[name].value(tuple(shape))
    else:
        raise InputError(f"There is no model {name!r}. {did_you_mean(name, _MODELS)}")
    for key in given:
        if key not in accepted(make, given):
            known = inspect.signature(make).parameters
            raise InputError(f"Model {name!r} has no field {key!r}. {did_you_mean(key, known)}")
    given = accepted(make, {key: value for key, value in offered.items() if value is not None}) | given
    try:
        model = make(**given)
    except (TypeError, RuntimeError) as error:  # the latter of torch, where memory does not suffice
        raise InputError(f"Model {name!r} cannot be built from {given!r}: {error}.") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{name!r} must return a torch.nn.Module, got {type(model).__name__}.")
    return model


@checked
def seeded(make: Callable[[], M], seed: int) -> M:
    """What `make()` returns when every random number it draws comes from `seed`; the caller's random state is kept.

    The same seed gives the same initial weights on one version of torch.

    >>> a, b = (seeded(lambda: MLP(3, [4]), seed=7) for _ in range(2))
    >>> torch.equal(a.layers[1].weight, b.layers[1].weight)
    True
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return make()
