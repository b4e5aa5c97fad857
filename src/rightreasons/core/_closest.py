"""The "did you mean" of every message about a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Sentence naming the closest known name, if one is close, and all known names.

    Cost: O(number of names). Args: `name` as typed; `known` the names that exist. Returns: one line, no final
    newline.

    >>> did_you_mean("mnits", ["digits", "mnist"])
    "Did you mean 'mnist'? Known: 'digits', 'mnist'."
    >>> did_you_mean("zzz", ["mnist"])
    "Known: 'mnist'."
    """
    names = sorted(known)
    listed = ", ".join(repr(each) for each in names) or "none"
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Known: {listed}."
