"""Tasks by name."""

from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.tasks._binary import Binary
from rightreasons.tasks._multiclass import MultiClass
from rightreasons.tasks._multilabel import MultiLabel
from rightreasons.tasks._regression import Regression
from rightreasons.tasks._survival import Survival
from rightreasons.tasks._task import Task

_TASKS: dict[str, type[Any]] = {
    "binary": Binary,
    "multiclass": MultiClass,
    "multilabel": MultiLabel,
    "regression": Regression,
    "survival": Survival,
}


def names() -> tuple[str, ...]:
    """Names that `build` knows.

    >>> names()
    ('binary', 'multiclass', 'multilabel', 'regression', 'survival')
    """
    return tuple(_TASKS)


@checked
def build(name: str, fields: Mapping[str, Any] | None = None) -> Task:
    """Task of that name with those fields; lists (as JSON and YAML have) become tuples.

    Raises: InputError for an unknown name or field, naming the closest; and what the task itself refuses.

    >>> build("multiclass", {"classes": 10})
    MultiClass(classes=10, weights=None)
    """
    if name not in _TASKS:
        raise InputError(f"There is no task {name!r}. {did_you_mean(name, _TASKS)}")
    task: Callable[..., Task] = _TASKS[name]
    known = [field.name for field in dataclass_fields(_TASKS[name])]
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in (fields or {}).items()}
    for key in given:
        if key not in known:
            raise InputError(f"Task {name!r} has no field {key!r}. {did_you_mean(key, known)}")
    try:
        return task(**given)
    except TypeError as error:
        raise InputError(f"Task {name!r} cannot be built from {given!r}: {error}.") from error
