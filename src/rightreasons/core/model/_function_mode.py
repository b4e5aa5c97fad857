"""A TorchFunctionMode that overrides functions during a forward pass."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rightreasons.core._inputs import wide


class Bound:
    """A function with all its arguments but the first. Holds no tensor it was called with: see `Call`."""

    def __init__(self, func: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.rest, self.kwargs = func, rest, kwargs

    def __call__(self, x: Tensor) -> Any:
        """The function of another first argument, which it may overwrite."""
        return self.func(x, *self.rest, **self.kwargs)


class Call:
    """One call of a PyTorch function, its first tensor told apart.

    Attributes:
        name: of the function, without the underscores of in-place and operator forms: "relu", "add".
        x: its first argument.
        rest: its other positional arguments.
        kwargs: its other keyword arguments.
        on: the function of another first argument. Whatever outlives the call may keep `on`, but never the call: a
            tensor that is overwritten later would hold a graph that holds the tensor, which is never freed.
    """

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None
    ) -> None:
        self.name = function_name(func)
        self.kwargs = dict(kwargs or {})
        self.x = args[0] if args else self.kwargs.pop("input", None)
        self.rest = args[1:]
        self.on = Bound(func, self.rest, self.kwargs)

    @property
    def others(self) -> list[Tensor]:
        """The tensors among its other arguments."""
        return [value for value in (*self.rest, *self.kwargs.values()) if isinstance(value, Tensor)]

    def in_float32(self) -> Bound:
        """The function of another first argument, with halves among its other arguments in float32."""
        kwargs = {key: wide(v) if isinstance(v, Tensor) else v for key, v in self.kwargs.items()}
        return Bound(self.on.func, tuple(wide(v) if isinstance(v, Tensor) else v for v in self.rest), kwargs)

    def as_it_is(self) -> Any:
        """The function of its own arguments, with nothing hidden on the tape.

        What is done in place on a part of a tensor is one "CopySlices" for autograd, whatever it is. Here it is done
        on a copy, which is then written back, so that the tape shows the function.
        """
        x = self.x
        tracked = any(t.requires_grad for t in (x, *self.others)) and torch.is_grad_enabled()
        if not (tracked and x._is_view() and _is_in_place(self.on.func, self.kwargs)):
            return self.on(x)
        copy = x.clone()
        self.on(copy)
        return x.copy_(copy) if copy.shape == x.shape else self.on(x)

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


def _is_in_place(func: Callable[..., Any], kwargs: Mapping[str, Any] | None) -> bool:
    if kwargs and kwargs.get("inplace"):
        return True
    name = getattr(func, "__name__", "").partition(".")[0]
    if name.endswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and function_name(func) != "invert")
    return name.endswith("_")


class Intercept(TorchFunctionMode):
    """Inside, some functions are answered by methods of this, if their first argument is a floating-point tensor.

    Modules, functionals, tensor methods, operators and in-place forms look the same; what a method calls is not
    intercepted. Nothing is patched: outside, and after an error, everything is as before.

    Attributes:
        answers: name of a function (see `function_name`) -> name of the method that gets the `Call`. Names, because
            bound methods would make every instance, and the activations it knows, wait for the garbage collector.
    """

    answers: ClassVar[Mapping[str, str]]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        method = self.answers.get(function_name(func))
        if method is None and not _is_in_place(func, kwargs):
            return func(*args, **(kwargs or {}))
        call = Call(func, args, kwargs)
        usable = isinstance(call.x, Tensor) and call.x.is_floating_point() and call.kwargs.get("out") is None
        if not usable:
            return func(*args, **(kwargs or {}))
        return call.as_it_is() if method is None else getattr(self, method)(call)


def finished(call: Call, result: Tensor, overwrites: bool) -> Tensor:
    """`result`, also written over the call's input where the function itself would have done that."""
    return call.x.copy_(result) if overwrites else result
