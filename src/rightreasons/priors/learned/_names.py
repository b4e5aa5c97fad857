"""Match rows of side information to features by name.

Legend: p features.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._suggest import names_in, repeats

SHOWN = 3


def table_of(table: Any, names: Sequence[Hashable] | None) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Name of each row, and the columns."""
    if isinstance(table, Mapping):
        if names is None:
            raise InputError(
                "rows are matched to features by name, never by order: pass names=[...], the feature each row of the "
                "table is about."
            )
        labels = list(table)
    elif hasattr(table, "columns") and hasattr(table, "index"):
        names, labels = list(table.index) if names is None else names, list(table.columns)
    else:
        raise InputError(
            f"a table is a pandas frame or a mapping from column to values; got {type(table).__name__}."
        )
    if not labels:
        raise InputError("a table needs at least one column, a meta-feature; got none but names.")
    refuse_repeated("columns of the table", [str(label) for label in labels])
    rows = as_names("rows of the table", names)
    columns = {str(label): _array(table[label]) for label in labels}
    for name, values in columns.items():
        if values.shape != (len(rows),):
            raise ShapeError(
                f"column {name!r} must have one value for each of the {len(rows)} rows; got shape {values.shape}."
            )
    return rows, columns


def _array(values: Any) -> np.ndarray:
    """Lists keep their objects: numpy would make text of numbers next to text."""
    return np.array(values, dtype=object) if isinstance(values, list | tuple) else np.asarray(values)


def taken(values: np.ndarray, place_p: np.ndarray) -> np.ndarray:
    """The column's values at the features; None where a feature has no row."""
    if (place_p >= 0).all():
        return values[place_p]
    return np.array([*values, None], dtype=object)[place_p]


def matched(
    wanted: Sequence[str],
    rows: Sequence[str],
    columns: Mapping[str, np.ndarray],
    unmatched: str,
    absent: str,
) -> np.ndarray:
    """Row of each feature, -1 where it has none."""
    position, known = {name: i for i, name in enumerate(rows)}, set(wanted)
    others = [name for name in rows if name not in known]
    without = [name for name in wanted if name not in position]
    if len(without) == len(wanted):
        holds = [name for name, values in columns.items() if known & set(map(str, values))]
        fix = (
            f"Column {holds[0]!r} has them: table.set_index({holds[0]!r})."
            if holds
            else "Use the same kind in both."
        )
        raise InputError(
            f"no row of the table is about a feature. Features have names like {list(wanted[:SHOWN])}, rows like "
            f"{list(rows[:SHOWN])}. {fix}"
        )
    if others and unmatched == "refuse":
        raise InputError(
            f"{len(others)} of {len(rows)} rows match no feature{like(others, wanted)}. Correct the names, or say "
            "unmatched='ignore' if the table is about more features than the model has."
        )
    if without and absent == "refuse":
        raise InputError(
            f"{len(without)} of {len(wanted)} features have no row{like(without, rows)}. Correct the names, or say "
            "absent='impute' to treat their values as missing."
        )
    return np.array([position.get(name, -1) for name in wanted])


def like(names: Sequence[str], known: Sequence[str] = ()) -> str:
    """Some of the names in brackets, and what the first may have meant."""
    if not names:
        return ""
    plain = names[0].strip().casefold()
    close = [name for name in known if name.strip().casefold() == plain] or get_close_matches(
        names[0], known, n=1, cutoff=0.6
    )
    meant = f"; did {names[0]!r} mean {close[0]!r}?" if close else ""
    return f" ({', '.join(map(repr, names[:SHOWN]))}{', ...' if len(names) > SHOWN else ''}{meant})"


def as_names(what: str, names: Any) -> tuple[str, ...]:
    """The names as text.

    Raises: InputError for no sequence, no name, or one that occurs twice.
    """
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise InputError(f"{what} must be a sequence of names; got {type(names).__name__}.")
    given = tuple(str(name) for name in names)
    if not given:
        raise InputError(f"{what} must hold at least one name; got none.")
    refuse_repeated(what, given)
    return given


def refuse_repeated(what: str, names: Sequence[str]) -> None:
    """Raise an InputError if a name occurs twice."""
    repeated = repeats(names)
    if not repeated:
        return
    raise InputError(
        f"{what} must have different names; {len(repeated)} occur more than once{like(repeated)}. Which row belongs "
        "to which feature would not be certain. Keep one of each."
    )


def refuse_unknown(categorical: Collection[str], columns: Mapping[str, Any]) -> None:
    """Raise an InputError unless these are names of columns."""
    unknown = [name for name in names_in("categorical", categorical) if name not in columns]
    if unknown:
        raise InputError(
            f"categorical names no column{like(unknown, list(columns))}. Columns: {list(columns)}."
        )
