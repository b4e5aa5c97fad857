"""Other functions in place of PyTorch's, while a model runs, whatever way the model calls them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Handler: TypeAlias = Callable[["Call"], Any]


class Call:
    """One call of a PyTorch function, its first tensor told apart.

    Attributes:
        name: of the function, without the underscores of in-place and operator forms: "relu", "add".
        x: its first argument.
        rest: its other positional arguments.
        kwargs: its keyword arguments.
    """

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None
    ) -> None:
        self.func, self.kwargs = func, dict(kwargs or {})
        self.name = function_name(func)
        named = self.kwargs.pop("input", None)
        self.x, self.rest = (args[0], args[1:]) if args else (named, ())

    def on(self, x: Tensor) -> Any:
        """The function of another first argument, which it may overwrite."""
        return self.func(x, *self.rest, **self.kwargs)

    def values(self) -> tuple[Tensor, Tensor, bool]:
        """Input and output, without a graph, and whether the function overwrites its input (here it does not)."""
        with torch.no_grad():
            before = self.x.detach().clone()
            scratch = before.clone()
            after = self.on(scratch)
        return before, after, after is scratch


def function_name(func: Callable[..., Any]) -> str:
    """What a function, method, operator or in-place form has in common: "add" for `+=`."""
    name = getattr(func, "__name__", "").partition(".")[0]
    if name.startswith("__i") and name.endswith("__") and name != "__invert__":
        return name[3:-2]
    return name.strip("_")


class Intercept(TorchFunctionMode):
    """Inside, functions named in `handlers` are answered by them, if the first argument is a floating-point tensor.

    Modules, functionals, tensor methods, operators and in-place forms look the same; what a handler calls is not
    intercepted. Nothing is patched: outside, and after an error, everything is as before.

    Args:
        handlers: name of a function (see `function_name`) -> what to return instead.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self.handlers = handlers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        handler = self.handlers.get(function_name(func))
        if handler is None:
            return func(*args, **(kwargs or {}))
        call = Call(func, args, kwargs)
        usable = isinstance(call.x, Tensor) and call.x.is_floating_point() and call.kwargs.get("out") is None
        return handler(call) if usable else func(*args, **(kwargs or {}))


def finished(call: Call, result: Tensor, overwrites: bool) -> Tensor:
    """`result`, also written over the call's input where the function itself would have done that."""
    return call.x.copy_(result) if overwrites else result
