"""Copy containers and objects with the modules and tensors inside them replaced."""

import sys
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Callable, Iterable
from dis import get_instructions
from enum import Enum
from functools import lru_cache, partial
from types import (
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    SimpleNamespace,
)
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = frozenset(
    (int, float, bool, str, bytes, type(None), type, Tensor, torch.dtype, torch.device, torch.Size)
)
_MANY = 1000
"""Entries of a container beyond which only the first tells whether there are modules in it."""
_MOST, _DEEPEST = 20_000, 60
"""Values that are looked into, and objects in objects, beyond which objects are shared as they are."""


class Substitution(ABC):
    """Leads from values to what stands in their place; what leads to nothing of the kind is itself.

    It looks into containers, methods, functions, partial objects, references and, if `objects`, into instances of
    ordinary classes. Those of Python's and PyTorch's own classes are shared.
    """

    objects = True

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}  # with what had the id, so that nothing else gets it
        self._depth = 0

    @abstractmethod
    def module(self, module: nn.Module) -> nn.Module:
        """What stands in place of a module."""

    @abstractmethod
    def tensor(self, tensor: Tensor) -> Tensor:
        """What stands in place of a tensor."""

    @abstractmethod
    def knows(self, module: nn.Module) -> bool:
        """Whether a module has something in its place, or is to get it when it is met by its global name."""

    def of(self, value: Any) -> Any:
        """`value`, with what stands in place of what it leads to; itself, if it leads to nothing of the kind."""
        kind = type(value)
        if kind in PLAIN:
            return self.tensor(value) if kind is Tensor else value
        way = _WAYS.get(kind)
        if way is None:
            if isinstance(value, nn.Module):
                return self.module(value)
            if isinstance(value, Tensor):
                return self.tensor(value)
            way = _way(kind) if self.objects else None
        if way is None or (
            kind is tuple and len(value) < _MANY and all(type(item) in PLAIN for item in value)
        ):
            return value
        if id(value) not in self._known:
            self._known[id(value)] = value, value  # what contains itself
            self._known[id(value)] = value, way(self, value)
        return self._known[id(value)][1]

    def _holder(self, value: Any) -> Any:
        """For containers that can be changed and instances of classes, which may hold themselves: made, then filled."""
        base = _base(type(value))
        if self._passed_over(value, base):
            return value
        content, before = _content(value, base), attributes(value)
        if not (content or before) or len(self._known) > _MOST or self._depth > _DEEPEST:
            return value
        new = _blank(value)
        if new is None:
            return value
        self._known[id(value)] = value, new
        self._depth += 1
        try:
            filled = [tuple(map(self.of, entry)) for entry in content]
            after = {name: self.of(item) for name, item in before.items()}
        finally:
            self._depth -= 1
        pairs = [*zip(filled, content, strict=True), (after.values(), before.values())]
        if all(a is b or (a is new and b is value) for x, y in pairs for a, b in zip(x, y, strict=True)):
            return value
        put(new, after)
        fill = _FILLED[base]
        for entry in filled:
            fill(new, *entry)
        return new

    def _passed_over(self, value: Any, base: Any) -> bool:
        """Whether it is a long container whose first value leads to nothing."""
        if not hasattr(base, "__len__") or base.__len__(value) <= _MANY:
            return False
        first = next(iter(dict.values(value) if issubclass(base, dict) else base.__iter__(value)))
        return self.of(first) is first

    def _fixed(self, value: Any) -> Any:
        base: Any = tuple if isinstance(value, tuple) else frozenset
        if self._passed_over(value, base):
            return value
        items, before = list(base.__iter__(value)), attributes(value)
        copied, after = list(map(self.of, items)), {name: self.of(item) for name, item in before.items()}
        if not (differ(copied, items) or differ(after.values(), before.values())):
            return value
        new = base.__new__(type(value), copied)
        put(new, after)
        return new

    def _method(self, value: MethodType) -> MethodType:
        owner = self.of(value.__self__)
        return value if owner is value.__self__ else MethodType(value.__func__, owner)

    def _partial(self, value: "partial[Any]") -> "partial[Any]":
        before = value.func, value.args, value.keywords, vars(value)
        after = tuple(map(self.of, before))
        if not differ(after, before):
            return value
        new = partial.__new__(type(value), after[0], *after[1], **after[2])
        vars(new).update(after[3])
        return new

    def _cached(self, value: Any) -> Any:
        wrapped = self.of(value.__wrapped__)
        return (
            value if wrapped is value.__wrapped__ else lru_cache(value.cache_parameters()["maxsize"])(wrapped)
        )

    def _function(self, value: FunctionType) -> FunctionType:
        """With cells of its own for what differs; it shares the others, so that it can write to them."""
        cells = value.__closure__ or ()
        held = [_in_cell(cell) for cell in cells]
        defaults, keywords = value.__defaults__, value.__kwdefaults__
        before = (*held, defaults, keywords)
        after = tuple(map(self.of, before))
        around = self._globals(value)
        if not (around or differ(after, before)):
            return value
        itself = [content is value for content in held]
        new = [
            cell if a is b and not own else CellType(a)
            for cell, a, b, own in zip(cells, after, held, itself, strict=False)
        ]
        code, name = value.__code__, value.__name__
        copied = FunctionType(code, around or value.__globals__, name, after[-2], tuple(new) or None)
        for cell, own in zip(new, itself, strict=True):
            if own:
                cell.cell_contents = copied
        copied.__kwdefaults__ = after[-1]
        copied.__dict__.update(value.__dict__)
        return copied

    def _globals(self, value: FunctionType) -> dict[str, Any]:
        """Those of a function with copies in place of the modules it names; empty, if there are none."""
        found, code = value.__globals__, value.__code__
        parts = {name: found[name] for name in _names(code) if isinstance(found.get(name), nn.Module)}
        ours = {name: self.module(m) for name, m in parts.items() if self.knows(m)}
        if not ours or any(step.opname == "STORE_GLOBAL" for step in get_instructions(code)):
            return {}
        return {**found, **ours}

    def _mapping(self, value: "MappingProxyType[Any, Any]") -> Any:
        before = dict(value)
        after = self.of(before)
        return value if after is before else MappingProxyType(after)

    def _reference(self, value: "weakref.ref[Any]") -> "weakref.ref[Any]":
        owner = value()
        return weakref.ref(self.module(owner)) if isinstance(owner, nn.Module) else value

    def _proxy(self, value: Any) -> Any:
        try:
            owner = (
                value.__init__.__self__
            )  # a proxy hands on every attribute, so this is of what it stands for
        except (ReferenceError, AttributeError):
            return value
        return weakref.proxy(self.module(owner)) if isinstance(owner, nn.Module) else value


_FILLED: dict[type, Callable[..., Any]] = {
    object: lambda _: None,
    SimpleNamespace: lambda _: None,
    list: list.append,
    deque: deque.append,
    set: set.add,
    dict: dict.__setitem__,
    defaultdict: dict.__setitem__,
    OrderedDict: OrderedDict.__setitem__,
}
"""How the containers that can be changed are filled, whatever their subclasses make of it."""
_WAYS: dict[type, Callable[[Any, Any], Any]] = {
    **dict.fromkeys((*_FILLED, UserList, UserDict), Substitution._holder),
    **dict.fromkeys((tuple, frozenset), Substitution._fixed),
    MethodType: Substitution._method,
    FunctionType: Substitution._function,
    partial: Substitution._partial,
    MappingProxyType: Substitution._mapping,
    weakref.ref: Substitution._reference,
    **dict.fromkeys(weakref.ProxyTypes, Substitution._proxy),
    type(lru_cache(len)): Substitution._cached,
}
del _WAYS[object]
_SHARED = frozenset((*sys.stdlib_module_names, "torch")) - {"__main__"}


@lru_cache(4096)
def _way(kind: type) -> Callable[[Any, Any], Any] | None:
    """How an instance of a class that somebody wrote is looked into; None, if it is shared as it is."""
    if (
        kind.__module__.partition(".")[0] in _SHARED
        or hasattr(kind, "__del__")
        or issubclass(kind, type | Enum)
    ):
        return None
    if issubclass(kind, tuple | frozenset):
        return Substitution._fixed
    return Substitution._partial if issubclass(kind, partial) else Substitution._holder


def _base(kind: type) -> Any:
    return next(owner for owner in kind.__mro__ if owner in _FILLED)


def _blank(value: Any) -> Any:
    """An empty object of the same class; None of one that is in part written in C."""
    kind, base = type(value), _base(type(value))
    try:
        new: Any = base.__new__(kind)
    except TypeError:
        return None
    if base is deque:
        deque.__init__(new, (), value.maxlen)
    elif base is defaultdict:
        new.default_factory = value.default_factory
    return new


def _content(value: Any, base: Any) -> list[tuple[Any, ...]]:
    if issubclass(base, dict):
        return list(dict.items(value))
    return [(item,) for item in base.__iter__(value)] if base in (list, deque, set) else []


def attributes(value: Any) -> dict[Any, Any]:
    """What an object has in its dictionary, by name, and in slots, by their descriptors."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        found = None
    return {**slots(value), **(found if isinstance(found, dict) else {})}


def slots(value: Any) -> dict[MemberDescriptorType, Any]:
    """What an object has in slots."""
    found: dict[MemberDescriptorType, Any] = {}
    for member in _members(type(value)):
        try:
            found[member] = member.__get__(value)
        except AttributeError:  # empty
            continue
    return found


def put(value: Any, found: dict[Any, Any]) -> None:
    """Give an object attributes, past whatever its class makes of setting them."""
    for key, item in found.items():
        if isinstance(key, MemberDescriptorType):
            key.__set__(value, item)
        else:
            object.__getattribute__(value, "__dict__")[key] = item


@lru_cache(4096)
def _members(kind: type) -> tuple[MemberDescriptorType, ...]:
    return tuple(
        member
        for owner in kind.__mro__
        if "__slots__" in vars(owner)
        for member in vars(owner).values()
        if isinstance(member, MemberDescriptorType)
    )


def differ(after: Iterable[Any], before: Iterable[Any]) -> bool:
    """Whether any of these are not the same objects."""
    return any(a is not b for a, b in zip(after, before, strict=True))


def _names(code: CodeType) -> set[str]:
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _in_cell(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
