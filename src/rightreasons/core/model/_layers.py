"""Which layers a model runs, in which order, and their outputs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from rightreasons.core._called import run
from rightreasons.core.model._guard import Model


class Ran(NamedTuple):
    """A layer that returned a tensor in a forward pass.

    Attributes:
        name: as in `model.named_modules()`.
        module: the layer.
        shape: of its output.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]


LayerChoice: TypeAlias = Callable[[Sequence[Ran]], str]
"""Chooses among the layers that ran, by name."""


def layers_run(model: Model, args: tuple[Tensor, ...], kwargs: Mapping[str, Any]) -> list[Ran]:
    """The layers of a model in the order in which they finish, so that a block comes after its parts.

    A layer that runs several times in one forward pass has no output of its own and is left out, like the model itself.
    Cost: one forward pass.

    Args:
        model: a module; a plain callable has no layers with names.
        args: its inputs, which it may overwrite.
        kwargs: its keywords.
    """
    if not isinstance(model, nn.Module):
        return []
    names = {module: name for name, module in model.named_modules() if name}
    found: list[Ran] = []

    def note(module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.append(Ran(names[module], module, tuple(output.shape)))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            run(model, args, kwargs)
    finally:
        for handle in handles:
            handle.remove()
    runs = Counter(ran.name for ran in found)
    return [ran for ran in found if runs[ran.name] == 1]
