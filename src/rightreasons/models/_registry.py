"""Networks by name, for recipes, and their initialisation from a seed."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import InputError
from rightreasons.models._cnn import CNN
from rightreasons.models._mlp import MLP

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
}


def names() -> tuple[str, ...]:
    """Names that `build` knows.

    >>> names()
    ('mlp', 'cnn')
    """
    return tuple(_MODELS)


def build(
    name: str,
    fields: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int] | None = None,
    outputs: int | None = None,
) -> nn.Module:
    """Network of that name; what the data decide is filled in unless the fields say it.

    Args:
        name: one of `names()`.
        fields: arguments of the network's class, as in a recipe.
        shape: shape of one row of inputs, without the batch dimension.
        outputs: numbers per row that the task needs.

    Raises:
        InputError: an unknown name or field (naming the closest), or what the network itself refuses.

    >>> build("cnn", {"channels": [4]}, shape=(3, 8, 8), outputs=5).outputs
    5
    """
    if name not in _MODELS:
        raise InputError(f"There is no model {name!r}. {did_you_mean(name, _MODELS)}")
    factory = _MODELS[name]
    known = list(inspect.signature(factory.make).parameters)
    given = dict(fields or {})
    for key in given:
        if key not in known:
            raise InputError(f"Model {name!r} has no field {key!r}. {did_you_mean(key, known)}")
    if shape is not None:
        given.setdefault(factory.inputs, factory.value(tuple(shape)))
    if outputs is not None:
        given.setdefault("outputs", outputs)
    try:
        return factory.make(**given)
    except TypeError as error:
        raise InputError(f"Model {name!r} cannot be built from {given!r}: {error}.") from error


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
