"""Encode one column of side information: standardised, or one-hot."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rightreasons.core._errors import InputError

_MOST_LEVELS = 50


@dataclass(frozen=True)
class MetaColumn:
    """One column of meta-features.

    Args:
        name: what it is called.
        source: the original column it was made from.
        kind: "number", a "level" of a category, "member" of a set, or where values are "missing".
        centre: what was subtracted from a number.
        scale: what it was then divided by.
    """

    name: str
    source: str
    kind: Literal["number", "level", "member", "missing"] = "number"
    centre: float = 0.0
    scale: float = 1.0


def expanded(
    name: str, values: Shaped[np.ndarray, " p"], categorical: bool = False
) -> tuple[list[MetaColumn], Float[np.ndarray, "p n"], Bool[np.ndarray, " p"]]:
    """Columns made from an original one, their values, and where it is missing.

    Raises: InputError if it is constant, all missing, infinite, of mixed kinds, numbers written as text, or has too
        many categories.
    """
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    there = values[~missing]
    if not len(there):
        raise InputError(
            f"meta-feature {name!r} has no value for any of the {len(values)} features: nothing can fill it. "
            "Leave it out."
        )
    texts = all(isinstance(value, str) for value in there)
    if texts and not categorical:
        _refuse_numbers(name, there)
    if categorical or texts:
        return _levels(name, values, missing)
    if not all(isinstance(value, Real | np.bool_) for value in there):
        raise InputError(
            f"meta-feature {name!r} holds neither numbers only nor text only, such as {there[0]!r} "
            f"({type(there[0]).__name__}). Convert it."
        )
    numbers = there.astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        centre, scale = float(numbers.mean()), float(numbers.std())
    if not np.isfinite(scale):
        raise InputError(
            f"meta-feature {name!r} holds infinite values, or such large ones that they have no spread. Use NaN where "
            "it is unknown, or its logarithm."
        )
    column = MetaColumn(name, name, "number", centre, scale)
    if np.ptp(numbers) == 0 or scale == 0:
        raise _constant(name, numbers[0], len(numbers))
    standard = np.zeros((len(values), 1))
    standard[~missing, 0] = (numbers - centre) / scale
    return [column], standard, missing


def _refuse_numbers(name: str, texts: Shaped[np.ndarray, " n"]) -> None:
    """Raise if most texts are numbers: a category for each would lose their order."""
    numbers = [text for text in texts if _is_number(text)]
    if len(numbers) > len(texts) / 2:
        other = next((text for text in texts if not _is_number(text)), None)
        raise InputError(
            f"meta-feature {name!r} holds numbers written as text, such as {numbers[0]!r}"
            f"{'' if other is None else f', next to {other!r}'}. Convert them: pandas.to_numeric(column, "
            f"errors='coerce'). If they stand for categories, say categorical=[{name!r}]."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse_constant(column: MetaColumn, numbers: Float[np.ndarray, " p"]) -> None:
    """Raise if the column tells no feature from another."""
    if np.ptp(numbers) == 0:
        raise _constant(column.name, numbers[0], len(numbers))


def _levels(
    name: str, values: np.ndarray, missing: np.ndarray
) -> tuple[list[MetaColumn], Float[np.ndarray, "p n"], Bool[np.ndarray, " p"]]:
    texts = np.array(["" if gone else _text(value) for value, gone in zip(values, missing, strict=True)])
    levels = sorted(set(texts[~missing].tolist()))
    if len(levels) > _MOST_LEVELS:
        raise InputError(
            f"meta-feature {name!r} holds {len(levels)} different texts, such as {levels[0]!r}: names, not categories. "
            f"At most {_MOST_LEVELS} become columns. Leave it out, or group them."
        )
    columns = [MetaColumn(f"{name}={level}", name, "level") for level in levels]
    return columns, (texts[:, None] == np.array(levels)[None]).astype(float) * ~missing[:, None], missing


def _text(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def _is_missing(value: Any) -> bool:
    """None, NaN, what pandas writes for a missing value, and an empty text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _constant(name: str, value: Any, count: int) -> InputError:
    return InputError(
        f"meta-feature {name!r} is {value:g} for all of the {count} features that have it: it tells no feature from "
        "another. Leave it out."
    )
