"""Detect class names that are probably misspelt."""

from collections.abc import Mapping

_RARE = 0.1  # of the rows of the name it is like
_SHORTEST = 4  # letters: shorter names differ by one letter and mean something else


def misspelt(counts: Mapping[str, int]) -> dict[str, str]:
    """Names that are probably misspelt, and what they were meant to be: rare, and one letter away from a frequent one.

    One letter too many, missing, replaced or moved to the next place; capitals, blanks and hyphens do not count. Names
    that differ in a digit, such as grades, are not alike. Cost: O(rare names x names).

    >>> misspelt({"flags": 120, "flgas": 2, "Flags ": 1, "fields": 90, "grade 1": 50, "grade 2": 3})
    {'flgas': 'flags', 'Flags ': 'flags'}
    """
    found: dict[str, str] = {}
    for name, count in counts.items():
        for other, more in counts.items():
            if 0 < count <= _RARE * more and _alike(_plain(name), _plain(other)):
                found[name] = other
                break
    return found


def _plain(name: str) -> str:
    return "".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _alike(a: str, b: str) -> bool:
    """Whether the names are one, or one edit of letters apart."""
    if a == b:
        return True
    if min(len(a), len(b)) < _SHORTEST or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    end = next(
        (i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False)) if x != y), min(len(a), len(b))
    )
    a, b = a[: len(a) - end], b[: len(b) - end]
    return (a + b).isalpha() and (max(len(a), len(b)) == 1 or (len(a) == 2 and a == b[::-1]))
