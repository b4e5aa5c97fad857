"""Labels, and their names, from columns of a table."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data._dataset import PARTS, SURVIVAL
from rightreasons.data.readers._columns import (
    in_order,
    numbers_in,
    require_exact,
    require_exact_texts,
    require_no_clock,
    require_notation,
    require_simple,
    text_of,
)
from rightreasons.data.readers._options import Asked, extra

_MOST_WHOLE = 10  # different whole numbers that are still taken for classes
_FEWEST = 10  # rows; among fewer, groups may be all different by chance
_ABSENT = {
    True: "A row without a label teaches nothing: leave these rows out, of a table by skip_unlabelled=True "
    "(--skip-unlabelled), or read them without a target to predict it.",
    False: "Fill it in, or delete these rows.",
}
_PART_NAMES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation"}


def read_labels(frame: Any, path: Path, asked: Asked) -> dict[str, Any]:
    """Fields `y`, `classes` and `labels` of the data set.

    Raises: DataError for labels that are missing, constant, or cannot be read as what they must be.
    """
    if asked.event is not None:
        return {"y": _survival(frame, path, asked), "labels": SURVIVAL}
    if asked.target is None:
        return {"y": torch.full((len(frame),), torch.nan)}
    if not isinstance(asked.target, str):
        if len(asked.targets) < 2:
            raise DataError(
                f"Several targets are at least two columns, got {list(asked.targets)}. Pass one as text."
            )
        columns = [_zero_or_one(frame[name], f"Target {name!r} of {path}", asked) for name in asked.targets]
        if asked.like is None:
            for name, column in zip(asked.targets, columns, strict=True):
                _require_varied(column, f"Target {name!r} of {path}")
        return {"y": torch.from_numpy(np.stack(columns, axis=1)), "labels": asked.targets}
    where = f"Target {asked.target!r} of {path}"
    values = _present(frame[asked.target], where)
    known = asked.classes or asked.like is not None
    if not known:
        _require_varied(values.to_numpy(), where)
    if asked.label == "class" or (asked.label is None and (asked.classes or _is_class(values, where, asked))):
        return _class_numbers(values, where, asked)
    return {"y": torch.from_numpy(_numbers(values, where, asked))}


def names_of_rows(frame: Any, path: Path, asked: Asked) -> dict[str, Any]:
    """Fields `ids`, `clusters` and `parts` of the data set.

    Raises: DataError for missing or repeated ids, rows of no group, parts of another name.
    """
    found: dict[str, Any] = {}
    if asked.id is not None:
        ids = _texts(frame[asked.id], f"Id {asked.id!r} of {path}")
        _require_different(ids, asked.id, path)
        found["ids"] = tuple(ids)
    if asked.group is not None:
        found["clusters"] = tuple(_texts(frame[asked.group], f"Group {asked.group!r} of {path}"))
        _require_shared(found["clusters"], asked.group, path)
    if asked.split is not None:
        found["parts"] = tuple(parts_of(_texts(frame[asked.split], f"Split {asked.split!r} of {path}"), path))
    return found


def parts_of(texts: list[str], path: Path) -> list[str]:
    """Train, validation or test for each row, other common names of them understood."""
    parts = [_PART_NAMES.get(text.lower(), text.lower()) for text in texts]
    for row, part in enumerate(parts):
        if part not in PARTS:
            raise DataError(
                f"The split column of {path} holds {texts[row]!r} in row {row + 1}. {did_you_mean(part, PARTS)}"
            )
    return parts


def _require_different(ids: list[str], name: str, path: Path) -> None:
    first: dict[str, int] = {}
    for row, each in enumerate(ids, start=1):
        if first.setdefault(each, row) != row:
            raise DataError(
                f"Id {name!r} of {path} must name one row, but {each!r} names rows {first[each]} and {row} "
                f"({len(ids) - len(set(ids))} repeated). If rows of one id belong together, such as visits of a "
                f"patient, say group={name!r} instead of id; otherwise delete the copies."
            )


def _require_shared(clusters: tuple[str, ...], name: str, path: Path) -> None:
    """Refuse groups of one row each, which group nothing."""
    if len(clusters) >= _FEWEST and len(set(clusters)) == len(clusters):
        raise DataError(
            f"Group {name!r} of {path} has a different value in each of the {len(clusters)} rows, so it keeps no rows "
            f"together. If it names the rows, say id={name!r} (--id) instead of group."
        )


def _present(series: Any, where: str) -> Any:
    """The values, all of which must be there."""
    require_simple(series, where)
    absent = series.isna().to_numpy()
    if absent.any():
        raise DataError(
            f"{where} is missing in {int(absent.sum())} of {len(series)} rows, first in row "
            f"{int(absent.argmax()) + 1}. "
            f"{_ABSENT[where.startswith('Target') or where.startswith('Event')]}"
        )
    return series


def _require_varied(values: np.ndarray, where: str) -> None:
    if all(value == values[0] for value in values):
        raise DataError(
            f"{where} is {text_of(values[0])!r} in all {len(values)} rows: there is nothing to learn. Is it the right "
            "column?"
        )


def _texts(series: Any, where: str) -> list[str]:
    return [text_of(value) for value in _present(series, where)]


def _is_class(values: Any, where: str, asked: Asked) -> bool:
    """Whether labels are classes: text, true/false, or few whole numbers."""
    pd = extra("pandas", "pandas")
    if pd.api.types.is_bool_dtype(values) or values.dtype.name == "category":
        return True
    if pd.api.types.is_numeric_dtype(values):
        whole = bool((values == values.round()).all())
        return whole and values.nunique() <= _MOST_WHOLE
    _require_quantity(values, where, asked)
    share = float(numbers_in(values, asked).notna().mean())
    if share > 0.5:
        _numbers(values, where, asked)
    if values.nunique() > max(2, len(values) / 2):
        raise DataError(
            f"{where} holds {values.nunique()} different texts in {len(values)} rows, such as {values.iloc[0]!r}: no "
            "classes that could be learned. Is it the right column? If so, say label='class'."
        )
    return True


def _class_numbers(values: Any, where: str, asked: Asked) -> dict[str, Any]:
    texts = [text_of(value) for value in values]
    own = [text_of(each) for each in values.cat.categories] if values.dtype.name == "category" else []
    present = set(texts)
    classes = asked.classes or tuple(each for each in own if each in present) or in_order(present)
    number = {name: i for i, name in enumerate(classes)}
    for row, text in enumerate(texts, start=1):
        if text not in number:
            raise DataError(
                f"{where} is {text!r} in row {row}, a class that is not among those given. "
                f"{did_you_mean(text, classes)}"
            )
    return {"y": torch.tensor([number[text] for text in texts]), "classes": classes}


def _require_quantity(values: Any, where: str, asked: Asked) -> None:
    """Refuse dates, durations and numbers of an uncertain notation."""
    if values.dtype.kind == "M":
        raise DataError(
            f"{where} holds dates, such as {values.iloc[0]}. Write it as a number, such as days since a day."
        )
    require_no_clock(values, where)
    if values.dtype.kind == "O":
        require_notation(values.astype(str), where, asked)


def _numbers(values: Any, where: str, asked: Asked) -> np.ndarray:
    _require_quantity(values, where, asked)
    if values.dtype.kind == "O":
        require_exact_texts(values.astype(str), where, asked)
    require_exact(values.to_numpy(), where)
    numbers = np.array(numbers_in(values, asked), dtype=float)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where} holds numbers, but {values.iloc[row]!r} in row {row + 1} is none ({int(wrong.sum())} such rows). "
            "Correct it, or say label='class' if the numbers are names."
        )
    return numbers


def _zero_or_one(series: Any, where: str, asked: Asked) -> np.ndarray:
    values = _present(series, where)
    words = {"true": 1.0, "false": 0.0}
    said = values.map(lambda value: words.get(str(value).lower(), value))
    numbers = numbers_in(said, asked).to_numpy(dtype=float)
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where} must be 0 or 1, got {text_of(values.iloc[row])!r} in row {row + 1}. Several labels are each "
            "present or absent, an event is seen or not."
        )
    return numbers.astype(np.float32)


def _survival(frame: Any, path: Path, asked: Asked) -> Tensor:
    if not isinstance(asked.target, str):
        raise DataError(
            f"event={asked.event!r} says whether the event was seen; the time until then is missing. Say target=COLUMN."
        )
    where = f"Target {asked.target!r} of {path}"
    time = _numbers(_present(frame[asked.target], where), where, asked)
    event = _zero_or_one(frame[asked.event], f"Event {asked.event!r} of {path}", asked)
    if (time < 0).any():
        row = int((time < 0).argmax())
        raise DataError(f"{where} is a time and cannot be negative, got {time[row]:g} in row {row + 1}.")
    if asked.like is None and not event.any():
        raise DataError(
            f"Event {asked.event!r} of {path} is 0 in all {len(event)} rows: nothing can be learned about when it "
            "comes."
        )
    return torch.from_numpy(np.stack([time, event], axis=1))
