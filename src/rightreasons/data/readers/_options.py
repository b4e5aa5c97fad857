"""Options of `read`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Literal, TypeAlias

from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.data._preprocessing import Preprocessing

Label: TypeAlias = Literal["class", "number"]


class ColumnsError(DataError):
    """Columns of a table that cannot be used as they are.

    Attributes:
        columns: for each, what is wrong with it.
    """

    def __init__(self, message: str, columns: Mapping[str, DataError]) -> None:
        super().__init__(message)
        self.columns = dict(columns)


class NotNumbersError(DataError):
    """Texts in a column of numbers.

    Attributes:
        texts: the different ones, the most frequent first.
    """

    def __init__(self, message: str, texts: Sequence[str]) -> None:
        super().__init__(message)
        self.texts = tuple(texts)


@dataclass(frozen=True)
class Asked:
    """The options of `read`, which documents them.

    Raises: DataError for signs of numbers that are none, or that stand for two things.
    """

    target: str | Sequence[str] | None = None
    event: str | None = None
    id: str | None = None
    group: str | None = None
    split: str | None = None
    label: Label | None = None
    classes: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates_since: str | None = None
    like: Preprocessing | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    skip_unlabelled: bool = False
    size: tuple[int, int] | None = None
    colour: bool | None = None
    background: str | None = None
    labels: str | None = None
    channels: str | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        for name in ("decimal", "thousands"):
            sign = getattr(self, name)
            if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in "+-"):
                raise DataError(
                    f"{name}={sign!r} (--{name}) must be one character that no number begins with."
                )
        if self.thousands == (self.decimal or "."):
            raise DataError(
                f"thousands={self.thousands!r} (--thousands) is also what decimals begin with. Say another decimal "
                "(--decimal), such as ','."
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that make the label, the event last."""
        named = () if self.target is None else (self.target,) if isinstance(self.target, str) else self.target
        return (*named, *(() if self.event is None else (self.event,)))

    @property
    def about_rows(self) -> tuple[str, ...]:
        """The columns that are no features."""
        return (*self.targets, *(each for each in (self.id, self.group, self.split) if each is not None))


def extra(module: str, package: str, name: str = "data") -> ModuleType:
    """The module of an optional dependency.

    Raises: MissingExtraError with the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"Package {package} is not installed. pip install 'rightreasons[{name}]'"
        ) from error
