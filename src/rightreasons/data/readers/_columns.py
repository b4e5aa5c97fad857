"""Column types: numbers, truth values, dates or categories."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._errors import DataError
from rightreasons.data._dataset import Column
from rightreasons.data._fitted_column import FittedColumn
from rightreasons.data.readers._options import Asked, NotNumbersError, extra

MOST_LEVELS = 50
EXACT = 2**53
"""Whole numbers up to here are exact in double precision."""
EXACT_SINGLE = 2**24
"""And up to here in single precision."""
_DAYS = "days since "
_ISO = r"\d{4}-\d{2}-\d{2}(?:[ T].*)?"
_CLOCK = r"-?\d+:\d{2}(?::\d{2}(?:[.,]\d+)?)?|-?\d+ days?(?: .*)?|-?P(?=[\dT])(?:\d+[YMWD])*(?:T(?:[\d.,]+[HMS])+)?"
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:([.,' \u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_OTHER_SIGN = re.compile(r"[-+]?\d*[.,]\d+")
_PARTS = {"bytes": "bytes", "mixed": "lists or records", "complex": "complex numbers"}
_OTHER_DATE = r"\d{1,4}[./]\d{1,2}[./]\d{1,4}(?: .*)?|\d{1,2}-\d{1,2}-\d{4}"


def feature(series: Any, path: Path, asked: Asked, fitted: FittedColumn | None) -> tuple[np.ndarray, Column]:
    """Numbers (N,) with NaN for missing and what they mean; `fitted` says what the column was in training.

    Raises: DataError naming the column and the row.
    """
    name = str(series.name)
    where = f"Column {name!r} of {path}"
    if fitted is None and bool(series.isna().all()):
        raise DataError(
            f"{where} has no value in any of its {len(series)} rows. Leave it out: drop=[{name!r}]."
        )
    require_simple(series, where, f" or leave it out: drop=[{name!r}]")
    kept = series.dtype.name == "category"
    if name in asked.categorical or (fitted.levels if fitted is not None else kept):
        return _categories(series, name, fitted.levels if fitted else ())
    if kept:  # of what was a number in training
        series = series.astype(series.cat.categories.dtype)
    found = _numbers(series, name, where, asked)
    if found is not None:
        if fitted is not None and not np.isnan(found[0]).all():
            _require_same_kind(found[1], fitted, where)
        return found
    texts = _texts(series)
    share = numbers_in(texts, asked).notna().sum() / max(int(texts.notna().sum()), 1)
    if fitted is not None or share > 0.5:
        raise _not_a_number(texts, where, name, asked)
    _require_few(texts, where, name)
    return _categories(series, name, ())


def plain_numbers(frame: Any, asked: Asked, fitted: Mapping[str, FittedColumn]) -> dict[str, np.ndarray]:
    """Columns of finite numbers, in double precision: all at once, for tables of many thousand columns.

    Those that `feature` would say something about are left to it.
    """
    named = set(asked.categorical) | {
        name for name, column in fitted.items() if column.levels or column.description.startswith(_DAYS)
    }
    names = [
        name
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if isinstance(dtype, np.dtype) and dtype.kind in "iuf" and name not in named
    ]
    values = frame[names].to_numpy(dtype=np.float64)
    usual = ~(np.isinf(values).any(0) | np.isnan(values).all(0) | (np.abs(values) >= EXACT).any(0))
    return {name: values[:, i] for i, name in enumerate(names) if usual[i]}


def numbers_in(texts: Any, asked: Asked) -> Any:
    """The texts as numbers in the notation that was said, NaN where they are none."""
    pd = extra("pandas", "pandas")
    decimal, thousands = asked.decimal or ".", asked.thousands
    if decimal == "." and thousands is None:
        return pd.to_numeric(texts, errors="coerce")
    groups = rf"|\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+" if thousands else ""
    number = rf"([-+]?(?:\d+{groups})?)(?:{re.escape(decimal)}(\d*))?((?:[eE][-+]?\d+)?)"

    def plain(text: Any) -> str:
        found = re.fullmatch(number, str(text).strip())
        return f"{found[1].replace(thousands or ' ', '')}.{found[2] or ''}{found[3]}" if found else ""

    return pd.to_numeric(texts.map(plain, na_action="ignore"), errors="coerce")


def require_simple(series: Any, where: str, otherwise: str = "") -> None:
    """Refuse values that are no single thing: lists, records, bytes."""
    values = series.cat.categories if series.dtype.name == "category" else series
    if values.dtype.kind not in "Oc":
        return
    kind = extra("pandas", "pandas").api.types.infer_dtype(values, skipna=True)
    if kind in _PARTS:
        first = repr(values.dropna().iloc[0] if values is series else values[0])
        raise DataError(
            f"{where} holds {_PARTS[kind]}, such as {' '.join(first.split())[:40]}, which are no numbers and no "
            f"categories. Write their parts as columns of numbers or texts,{otherwise or ' or say another column'}."
        )


def require_notation(texts: Any, where: str, asked: Asked) -> None:
    """Refuse numbers whose points or commas may stand for decimals or for thousands, unless it was said which."""
    there = texts.dropna()
    rest = there[numbers_in(there, asked).isna().to_numpy()]
    other = rest[[bool(_GROUPED.fullmatch(each) or _OTHER_SIGN.fullmatch(each)) for each in rest]]
    if not len(other) or len(there) - len(rest) + len(other) <= len(there) / 2:
        return
    first = other.iloc[0]
    row, groups = int((texts == first).to_numpy().argmax()) + 1, _GROUPED.fullmatch(first)
    sign = max(".,", key=first.rfind)  # the last of the two
    ways = (
        []
        if groups is None
        else [f"thousands={groups[1]!r} (--thousands) if {groups[1]!r} separates thousands"]
    )
    if first.count(sign) == 1:
        ways.append(f"decimal={sign!r} (--decimal) if decimals begin with {sign!r}")
    said = f"decimal={asked.decimal or '.'!r}" + (
        f" and thousands={asked.thousands!r}" if asked.thousands else ""
    )
    both = groups is not None and sign != groups[1]
    raise DataError(
        f"{where} holds numbers, and {first!r} in row {row} ({len(other)} such rows) is none with {said}. Say "
        f"{(' and ' if both else ', or ').join(ways)}; or write all numbers in one notation."
    )


def require_no_clock(series: Any, where: str, otherwise: str = "") -> None:
    """Refuse durations and times of day, which have no unit to count in."""
    kind = extra("pandas", "pandas").api.types.infer_dtype(series, skipna=True)
    found = series.dropna()
    texts = (
        found[found.str.strip().str.fullmatch(_CLOCK).to_numpy(dtype=bool)] if kind == "string" else found[:0]
    )
    if len(texts) > len(found) / 2:
        found = texts
    elif kind not in ("timedelta", "timedelta64", "time"):
        return
    raise DataError(
        f"{where} holds durations or times of day, such as {str(found.iloc[0])!r}, which are no numbers as they are. "
        f"Write them as numbers in one unit, such as seconds{otherwise}."
    )


def text_of(value: Any) -> str:
    """A category's name: whole numbers without a decimal point, text without surrounding blanks, bytes as UTF-8."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace").strip()
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value).strip()


def in_order(names: set[str]) -> tuple[str, ...]:
    """Names of numbers by their size, others by the alphabet."""
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))


def _numbers(series: Any, name: str, where: str, asked: Asked) -> tuple[np.ndarray, Column] | None:
    """The column if it holds numbers, truth values or dates; None if it holds other text."""
    pd = extra("pandas", "pandas")
    require_no_clock(series, where, f", or leave the column out: drop=[{name!r}]")
    present = series.dropna()
    if pd.api.types.is_bool_dtype(present.infer_objects()):
        return series.astype("float64").to_numpy(), Column(name, "0 false, 1 true")
    if pd.api.types.is_numeric_dtype(series):
        values = series.astype("float64").to_numpy(dtype=float, na_value=np.nan)
        require_exact(present.to_numpy(), where)
        return _finite(values, where), Column(name)
    if pd.api.types.is_datetime64_any_dtype(series):
        return _days(series, name, where, asked)
    texts = _texts(series)
    there = texts.dropna()
    if bool(there.str.fullmatch(_ISO).all()) and len(there):
        return _days(_parsed_dates(texts, where), name, where, asked)
    if bool(there.str.fullmatch(_OTHER_DATE).all()) and len(there):
        raise DataError(
            f"{where} holds dates such as {there.iloc[0]!r}, whose order of day and month is not certain. Write "
            "them as "
            f"YYYY-MM-DD, or leave the column out: drop=[{name!r}]."
        )
    require_notation(texts, where, asked)
    parsed = numbers_in(texts, asked)
    if bool((parsed.isna() == texts.isna()).all()):
        require_exact_texts(texts.dropna(), where, asked)
        return _finite(parsed.to_numpy(dtype=float), where), Column(name)
    return None


def _texts(series: Any) -> Any:
    """The values as text without surrounding blanks, missing where there is none."""
    return series.map(lambda value: str(value).strip(), na_action="ignore").astype("str")


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"{where} is infinite in row {int(infinite.argmax()) + 1} ({int(infinite.sum())} such rows): it would have "
            "no mean. Leave the cell empty where the value is unknown."
        )
    return values


def require_exact(values: np.ndarray, where: str) -> None:
    """Refuse whole numbers that double precision would make equal."""
    if (
        values.dtype.kind not in "iu"
        or not len(values)
        or max(int(values.max()), -int(values.min())) <= EXACT
    ):
        return
    different = np.unique(values)
    if len(np.unique(different.astype(np.float64))) < len(different):
        raise _merged(int(values.max()), where)


def require_exact_texts(texts: Any, where: str, asked: Asked) -> None:
    """Refuse whole numbers, written out in texts, that double precision would make equal."""
    large = texts[(numbers_in(texts, asked).abs() >= EXACT).to_numpy()]
    digits = large.str.replace(asked.thousands or " ", "").str.split(asked.decimal or ".").str[0].str.strip()
    whole = set(map(int, digits[digits.str.fullmatch(r"[-+]?\d{1,400}").to_numpy(dtype=bool)]))
    if len(set(map(float, whole))) < len(whole):
        raise _merged(max(whole, key=abs), where)


def _merged(largest: int, where: str) -> DataError:
    return DataError(
        f"{where} holds whole numbers as large as {largest}, and above 2^53 double precision makes different ones "
        "equal. If they are names, make them text or say so (id, categorical); if they count, count from a smaller "
        "origin."
    )


def exact_floats(values: np.ndarray, where: str) -> np.ndarray:
    """Numbers in single precision where all of that type, or these whole numbers, are exact in it, else in double.

    Raises: DataError for whole numbers that double precision would make equal.
    """
    require_exact(values.reshape(-1), where)
    whole = (
        values.dtype.kind in "iu"
        and values.size
        and max(int(values.max()), -int(values.min())) <= EXACT_SINGLE
    )
    return values.astype(
        np.float32 if whole or np.can_cast(values.dtype, np.float32) else np.float64, copy=False
    )


def _not_a_number(texts: Any, where: str, name: str, asked: Asked) -> NotNumbersError:
    bad = (numbers_in(texts, asked).isna() & texts.notna()).to_numpy()
    row = int(bad.argmax())
    return NotNumbersError(
        f"{where} holds numbers, but {texts.iloc[row]!r} in row {row + 1} is none ({int(bad.sum())} such rows). "
        "Correct "
        f"it, say missing=[{texts.iloc[row]!r}] if it stands for no value, or categorical=[{name!r}] if the "
        "numbers are "
        "names.",
        texts[bad].value_counts().index.tolist(),
    )


def _require_same_kind(column: Column, fitted: FittedColumn, where: str) -> None:
    """Dates where training had dates, and nowhere else."""
    now, then = (each.description.startswith(_DAYS) for each in (column, fitted))
    if now != then:
        kinds = ("dates", "numbers") if then else ("numbers", "dates")
        raise DataError(f"{where} held {kinds[0]} in training and holds {kinds[1]} now. Write it as it was.")


def _require_few(texts: Any, where: str, name: str) -> None:
    count, different = int(texts.notna().sum()), int(texts.nunique())
    if different > MOST_LEVELS or (count >= 10 and different > count / 2):
        raise DataError(
            f"{where} holds {different} different texts in {count} rows, such as {texts.dropna().iloc[0]!r}: names or "
            f"free text, not categories. Leave it out: drop=[{name!r}], or insist: categorical=[{name!r}]."
        )


def _categories(series: Any, name: str, known: tuple[str, ...]) -> tuple[np.ndarray, Column]:
    """Positions among the levels; levels that training did not have follow those that it had."""
    texts = series.map(text_of, na_action="ignore").astype("str")
    present = set(texts.dropna())
    own = [text_of(each) for each in series.cat.categories] if series.dtype.name == "category" else []
    fresh = tuple(each for each in own if each in present) or in_order(present)
    levels = (*known, *(each for each in fresh if each not in known))
    position = {level: float(i) for i, level in enumerate(levels)}
    return texts.map(position, na_action="ignore").astype("float64").to_numpy(), Column(name, levels=levels)


def _parsed_dates(texts: Any, where: str) -> Any:
    pd = extra("pandas", "pandas")
    parsed = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    wrong = (parsed.isna() & texts.notna()).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where} holds dates, but {texts.iloc[row]!r} in row {row + 1} is no day of the calendar. Correct it."
        )
    return parsed


def _days(moments: Any, name: str, where: str, asked: Asked) -> tuple[np.ndarray, Column]:
    pd = extra("pandas", "pandas")
    if asked.dates_since is None:
        raise DataError(
            f"{where} holds dates, such as {moments.dropna().iloc[0]:%Y-%m-%d}, and no day to count from. Say one, "
            f"e.g. dates_since='2000-01-01' (--dates-since), or leave it out: drop=[{name!r}]."
        )
    try:
        origin = pd.Timestamp(date.fromisoformat(asked.dates_since), tz="UTC")
    except ValueError as error:
        raise DataError(
            f"dates_since must be a day as YYYY-MM-DD, got {asked.dates_since!r}: {error}."
        ) from error
    moments = moments.dt.tz_localize("UTC") if moments.dt.tz is None else moments.dt.tz_convert("UTC")
    days = (moments - origin) / pd.Timedelta(days=1)
    return days.to_numpy(dtype=float), Column(name, f"{_DAYS}{asked.dates_since}")
