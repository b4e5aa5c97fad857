"""Wrap a model's forward in a context or with substituted parameters; the model is unmodified."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeAlias

from torch import Tensor, nn

from rightreasons.core.model._guard import Model

Enter: TypeAlias = Callable[[tuple[Any, ...]], AbstractContextManager[Any]]


class _Around(nn.Module):
    """Calls another module; its layers, parameters and buffers are that module's own, under their own names."""

    def __init__(self, inner: nn.Module, enter: Enter) -> None:
        super().__init__()
        # Shared, not registered: layers are found, hooked and replaced as in the module itself.
        self._modules, self._parameters, self._buffers = inner._modules, inner._parameters, inner._buffers
        self.__dict__["inner"] = inner
        self.enter = enter

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Any:
        """Those of the module itself, which is its own root: its modes are the ones that count."""
        return self.__dict__["inner"].named_modules(memo, prefix, remove_duplicate)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self.enter(args):
            return self.__dict__["inner"](*args, **kwargs)


def around(model: Model, enter: Enter) -> Model:
    """`model`, each of whose calls runs inside the context that `enter` makes of its positional arguments.

    The model itself is untouched. A module gives a module whose submodules and parameters are the same objects under
    the same names, so that layers can be named, hooked and their parameters replaced; a callable gives a callable.

    Args:
        model: a module or callable.
        enter: positional arguments of a call -> context manager.
    """
    if isinstance(model, nn.Module):
        return _Around(model, enter)

    @wraps(model)
    def run(*args: Any, **kwargs: Any) -> Tensor:
        with enter(args):
            return model(*args, **kwargs)

    return run
