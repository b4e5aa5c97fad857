"""Plausibility limits of numbers, names and paths in recipes."""

import os
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, get_args

from pydantic import AfterValidator

LONGEST_NAME = 100
"""Characters of a name that becomes part of file names."""
MOST_SPLITS, MOST_TRIALS, MOST_EPOCHS, MOST_FITS = 10_000, 10_000, 10_000_000, 100_000
_MOST = 1_000_000_000
_MOST_OF: Mapping[str, int] = {
    "layers": 1000, "blocks": 1000, "depth": 100, "trees": 100_000, "rounds": 100_000, "steps": 100_000,
    "samples": 1_000_000, "input_samples": 1_000_000, "hidden": 1_000_000, "channels": 1_000_000, "width": 1_000_000,
}  # fmt: skip
_LONGEST_PART = 255


def require_plausible(key: str, value: Any) -> None:
    """Raise a ValueError for a field with a number beyond what it can mean.

    >>> require_plausible("hidden", [64, 32])
    """
    most = _MOST_OF.get(key, _MOST)
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, int) and abs(each) > most:
            raise ValueError(f"{key}: {most:,} is the most, got {each}.")
        if isinstance(each, float) and not isfinite(each):
            raise ValueError(f"{key}: numbers are finite, got {each}.")


def require_no_truth_value(key: str, value: Any, hint: Any) -> None:
    """Raise a ValueError for true or false where a number is meant: Python would take them for 1 and 0."""
    given = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, bool) for each in given) and not {bool, Any} & {hint, *get_args(hint)}:
        raise ValueError(f"{key} cannot be true or false, got {str(value).lower()}")


def _possible(path: str) -> str:
    if "\0" in path or any(len(os.fsencode(part)) > _LONGEST_PART for part in path.split("/")):
        raise ValueError(
            f"no system has such a path: a name in it has at most {_LONGEST_PART} bytes, none of which is 0; got "
            f"{path[:60]!r}"
        )
    return path


FilePath = Annotated[str, AfterValidator(_possible)]
"""A path as text."""
