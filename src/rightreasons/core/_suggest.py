"""Suggestions for misspelt names, repeated names, and lists of names."""

from collections import Counter
from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from rightreasons.core._errors import InputError

_LISTED = 50
Name = TypeVar("Name", bound=Hashable)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Sentence naming the closest known name, if one is close, and the known names; of more than 50 the first three.

    Cost: O(number of names). Args: `name` as typed; `known` the names that exist. Returns: one line, no final
    newline.

    >>> did_you_mean("mnits", ["digits", "mnist"])
    "Did you mean 'mnist'? Known: 'digits', 'mnist'."
    >>> did_you_mean("zzz", ["mnist"])
    "Known: 'mnist'."
    """
    names = list(known)
    close = get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    if len(names) > _LISTED:
        return f"{guess}The {len(names)} names are like {', '.join(map(repr, names[:3]))}."
    return f"{guess}Known: {', '.join(map(repr, sorted(names))) or 'none'}."


def repeats(names: Iterable[Name]) -> list[Name]:
    """Names that occur more than once, each once, in the order of their first place. Cost: O(number of names).

    >>> repeats(["a", "b", "a", "c", "b"])
    ['a', 'b']
    """
    return [name for name, count in Counter(names).items() if count > 1]


def names_in(what: str, given: Any) -> tuple[str, ...]:
    """The names in a list of names: a single text is none, for it would be read letter by letter.

    Raises: InputError for a text, for no list, or for a list of something else.

    >>> names_in("drop", ["age", "sex"])
    ('age', 'sex')
    """
    names = entries_in(what, given)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{what} is a list of names, which are texts; got {name!r}. Say {str(name)!r}.")
    return names


def entries_in(what: str, given: Any, kind: str = "names") -> tuple[Any, ...]:
    """The entries of a list: a single text is none, for it would be read letter by letter.

    Raises: InputError for a text, or for no list.

    >>> entries_in("chosen", {7})
    (7,)
    """
    if isinstance(given, str | bytes):
        raise InputError(f"{what} is a list of {kind}; got the text {given!r}. Say [{given!r}].")
    if not isinstance(given, Iterable):
        raise InputError(f"{what} is a list of {kind}; got {given!r}.")
    return tuple(given)
