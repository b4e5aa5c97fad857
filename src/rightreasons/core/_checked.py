"""Argument validation: a decorator that compares arguments with their annotations."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import InitVar, is_dataclass
from functools import cache, wraps
from numbers import Integral, Real
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons.core._errors import InputError, RightReasonsError, TargetError

C = TypeVar("C", bound=Callable[..., Any])
Fits: TypeAlias = Callable[[Any], bool]


class Least(NamedTuple):
    """The smallest number that is accepted, as metadata of an annotation."""

    least: int


Count: TypeAlias = Annotated[int, Least(1)]
"""A whole number of at least 1."""
Index: TypeAlias = Annotated[int, Least(0)]
"""A whole number of at least 0."""
_SHOWN = 60


def checked(target: C) -> C:
    """`target`, whose arguments are compared with its annotations at every call; a class: those of all public methods.

    Wrong types, NaN where a number is wanted, and generators of another device raise an `InputError` that names
    argument, rule, value and fix. A number of numpy is taken for the Python number it is. Cost: below a microsecond
    for each argument. What annotations cannot say (ranges, shapes) is for the function itself to check, after that.
    """
    if not inspect.isclass(target):
        return _checked_function(target)
    for name, member in list(vars(target).items()):
        public = name in ("__init__", "__call__") or (
            not name.startswith("_") and not issubclass(target, nn.Module)
        )
        if public and inspect.isfunction(member):
            made = name == "__init__" and is_dataclass(target)
            setattr(target, name, (_checked_value if made else _checked_function)(member))
    return target  # pyright: ignore[reportReturnType]


def _checked_function(function: Any) -> Any:
    admitted = _admission(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        first, named = admitted(args, kwargs)
        return function(*first, **named)

    return call


def _checked_value(init: Any) -> Any:
    """`__init__` of a value: what it says itself of an argument is more telling, and goes before."""
    admitted = _admission(init)

    @wraps(init)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            (_, *first), named = admitted((self, *args), kwargs)
        except InputError as refusal:
            try:
                init(self, *args, **kwargs)
            except RightReasonsError:
                raise
            except Exception:
                raise refusal from None
            raise
        init(self, *first, **named)

    return call


def _admission(
    function: Any,
) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[list[Any], dict[str, Any]]]:
    """Arguments -> the arguments that the function gets."""
    positional = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]

    def admitted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        rules = _rules(function)
        first = [
            _admitted(name, value, rules.get(name)) for name, value in zip(positional, args, strict=False)
        ]
        named = {name: _admitted(name, value, rules.get(name)) for name, value in kwargs.items()}
        return [*first, *args[len(positional) :]], named

    return admitted


class Rule(NamedTuple):
    """What one argument must be."""

    fits: Fits
    hint: Any


@cache
def _rules(function: Callable[..., Any]) -> dict[str, Rule]:
    """Of every annotated argument; made at the first call, when all names of its module exist."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError:  # a name that is imported for type checkers only
        hints = {name: hint for name, hint in function.__annotations__.items() if not isinstance(hint, str)}
    hints.pop("return", None)
    return {name: Rule(fits(hint), hint) for name, hint in hints.items() if hint is not Any}


def _admitted(name: str, value: Any, rule: Rule | None) -> Any:
    if rule is None:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if rule.fits(value):
        if isinstance(value, torch.Generator):
            _check_on_cpu(name, value)
        for part in (value,) if isinstance(value, Tensor) else value if type(value) is tuple else ():
            if isinstance(part, Tensor):
                check_dense(part, name)
        return value
    if isinstance(value, list) and Tensor not in _parts(rule.hint) and rule.fits(tuple(value)):
        return tuple(value)
    raise (TargetError if name == "target" else InputError)(_refusal(name, value, rule.hint))


def _check_on_cpu(name: str, generator: torch.Generator) -> None:
    if generator.device.type != "cpu":
        raise InputError(
            f"{name}: draws are made on the CPU so that they are the same on every device; got a generator on "
            f"{generator.device}. Pass torch.Generator().manual_seed(seed)."
        )


def _is_plain(part: Tensor) -> bool:
    return part.layout is torch.strided and not (part.is_nested or part.is_meta or part.is_quantized)


def check_dense(part: Tensor, what: str, error: type[InputError] = InputError) -> None:
    """Raise unless a tensor holds real numbers, one beside the other, that can be computed with here."""
    if not _is_plain(part):
        kind = "nested" if part.is_nested else "quantised" if part.is_quantized else str(part.layout)
        raise error(
            f"{what} must hold their numbers densely; got {kind} on {part.device}. Convert first: x.to_dense(), "
            "x.dequantize(), or torch.nested.to_padded_tensor(x, 0.0)."
        )
    if part.is_complex() or (part.dtype.itemsize == 1 and part.is_floating_point()):
        raise error(
            f"{what} must hold real numbers of 16 bits at least; got {part.dtype}. Convert: x.real or x.float()."
        )


def fits(hint: Any, *, nan: bool = False) -> Fits:
    """Whether a value is what `hint` says; `nan` among numbers is for elements of a collection only."""
    hint = hint.type if isinstance(hint, InitVar) else hint
    origin, of = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return lambda value: True
    if origin in (Union, UnionType):
        return _any_of([fits(part, nan=nan) for part in of])
    if origin is Literal:
        return lambda value: any(type(value) is type(one) and value == one for one in of)
    if origin is Annotated:
        inner, least = fits(of[0], nan=nan), next((m.least for m in of[1:] if isinstance(m, Least)), None)
        return inner if least is None else lambda value: inner(value) and value >= least
    if hint is int:
        return _is_whole
    if hint is float:
        return _is_number if nan else lambda value: _is_number(value) and value == value
    if hint in (None, type(None)):
        return lambda value: value is None
    return _fits_container(origin, of) if inspect.isclass(origin) else _fits_class(hint)


def _any_of(each: list[Fits]) -> Fits:
    def fit(value: Any) -> bool:
        for one in each:  # a generator would cost twice the time
            if one(value):
                return True
        return False

    return fit


def _is_whole(value: Any) -> bool:
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def _is_number(value: Any) -> bool:
    return type(value) in (float, int) or (isinstance(value, Real) and not isinstance(value, bool))


def _fits_container(origin: type, of: tuple[Any, ...]) -> Fits:
    if origin is tuple and not (len(of) == 2 and of[1] is Ellipsis):
        each = [fits(part) for part in of]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(each)
            and all(fit(part) for fit, part in zip(each, value, strict=True))
        )
    if issubclass(origin, Mapping) and len(of) == 2:
        key, content = (fits(part, nan=True) for part in of)
        return lambda value: (
            isinstance(value, origin) and all(key(k) and content(v) for k, v in value.items())
        )
    if origin is type or not issubclass(origin, Collection) or not of:
        return lambda value: isinstance(value, origin)
    element = fits(of[0], nan=True)
    refused = (str, bytes, Mapping) if of[0] is str else (Mapping,)  # a string is taken letter by letter
    return lambda value: (
        not isinstance(value, refused)
        and _is_collection(value, origin)
        and all(map(element, _elements(value)))
    )


def _is_collection(value: Any, origin: type) -> bool:
    if isinstance(value, Tensor):
        return origin is not tuple and _is_plain(value) and value.dim() > 0
    if getattr(value, "ndim", 1) == 0:
        return False
    listed = hasattr(value, "tolist") and origin is not tuple  # an array stands for the list of its numbers
    return listed or isinstance(value, origin)


def _elements(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _fits_class(hint: Any) -> Fits:
    array = getattr(hint, "array_type", None)  # shapes and dtypes are for errors of their own
    hint = hint if array is None else array
    if hint is Callable:
        return callable
    checkable = inspect.isclass(hint) and not is_typeddict(hint)
    if not checkable or (
        getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False)
    ):
        return lambda value: True
    return lambda value: isinstance(value, hint)


def _refusal(name: str, value: Any, hint: Any) -> str:
    return f"{name} must be {_words(hint)}; got {_shown(value)}. {_fix(value, hint)}".rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, bool | int | float | str | None):
        text = repr(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if isinstance(value, list | tuple | set | dict) and len(repr(value)) <= _SHOWN:
        return repr(value)
    return f"{type(value).__module__.split('.')[0]}'s {type(value).__name__}".removeprefix("builtins's ")


def _fix(value: Any, hint: Any) -> str:
    classes = [part for part in _parts(hint) if inspect.isclass(part)]
    if any(getattr(part, "array_type", part) is Tensor for part in classes):
        return "Convert: torch.as_tensor(x)." if isinstance(value, np.ndarray | list) else ""
    if torch.Generator in classes:
        return "Pass torch.Generator().manual_seed(seed)."
    if inspect.isclass(value) and any(issubclass(value, part) for part in classes):
        return f"Pass one of them: {value.__name__}(...)."
    return ""


def _parts(hint: Any) -> list[Any]:
    """The alternatives of a hint."""
    parts = (
        [p for h in get_args(hint) for p in _parts(h)] if get_origin(hint) in (Union, UnionType) else [hint]
    )
    return [part for part in parts if not (part is int and float in parts)]


def _words(hint: Any) -> str:
    parts = _parts(hint)
    named = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
    others = [
        _word(part)
        for part in parts
        if get_origin(part) is not Literal and not (named and part is type(None))
    ]
    if named:
        named += [None] if type(None) in parts else []
        others = [("one of " if len(named) > 1 else "") + ", ".join(map(repr, named)), *others]
    return ", ".join(others[:-1]) + (" or " if len(others) > 1 else "") + others[-1]


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a string",
    type(None): "None",
    Tensor: "a tensor",
    nn.Module: "a module",
    torch.Generator: "a torch.Generator",
    Mapping: "a mapping",
    Callable: "a function",
}


def _word(hint: Any) -> str:
    origin, of = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([_word(of[0]), *(f"of at least {m.least}" for m in of[1:] if isinstance(m, Least))])
    known = getattr(hint, "array_type", origin or hint)
    name = _NAMES.get(known) or getattr(known, "__name__", str(known))
    if known not in _NAMES:
        name = f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name.lower() if origin else name}"
    elements = [part for part in of if part not in (Ellipsis, Any)] if known is not Callable else []
    return name + (f" of {_plural(elements)}" if elements else "")


def _plural(elements: list[Any]) -> str:
    """What a collection holds, or each place of a tuple."""
    words = [_words(element) for element in elements]
    simple = len(words) == 1 and words[0].startswith("a") and not {"of", "or"} & set(words[0].split())
    return f"{words[0].split(' ', 1)[1]}s" if simple else " and ".join(words)
