"""Weights of penalties that are scheduled or found while training."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Literal, TypeAlias, final

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError


@final
@checked
@dataclass(frozen=True)
class Ramp:
    """A weight that goes from `start` to `end` between two steps, and stays constant outside them.

    A warm-up from zero is `Ramp(end=0.1, last=500)`.

    Args:
        end: weight from step `last` on.
        last: step at which `end` is reached.
        start: weight up to step `first`.
        first: step at which it begins to change.
        shape: "linear", "cosine", or "geometric" (equal ratios; both ends positive).

    Example:
        >>> Ramp(end=2.0, last=4)(1)
        0.5
    """

    end: float
    last: int
    start: float = 0.0
    first: int = 0
    shape: Literal["linear", "cosine", "geometric"] = "linear"

    def __post_init__(self) -> None:
        if self.last <= self.first:
            raise InputError(f"a ramp needs first < last; got {self.first} and {self.last}.")
        if not all(isfinite(end) and end >= 0 for end in (self.start, self.end)):
            raise InputError(
                f"a penalty's weight must be finite and not negative; got start={self.start}, end={self.end}."
            )
        if self.shape not in ("linear", "cosine", "geometric"):
            raise InputError(f"shape must be linear, cosine or geometric; got {self.shape!r}.")
        if self.shape == "geometric" and min(self.start, self.end) <= 0:
            raise InputError("a geometric ramp needs start > 0 and end > 0.")

    def __call__(self, step: int) -> float:
        """The weight at `step`."""
        done = min(max((step - self.first) / (self.last - self.first), 0.0), 1.0)
        if self.shape == "geometric":
            return self.start * (self.end / self.start) ** done
        if self.shape == "cosine":
            done = (1 - cos(pi * done)) / 2
        return self.start + (self.end - self.start) * done


@final
@checked
@dataclass(frozen=True)
class Auto:
    """A weight measured once: `ratio` times the norm of the task's gradient over that of the penalty's.

    Before step `at` the penalty is off; from there on the weight is constant. Cost: two more backward passes at
    that one step.

    Args:
        ratio: how large the penalty's gradient shall be, as a multiple of the task's.
        at: the training step at which both are measured.
    """

    ratio: float = 1.0
    at: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.ratio) and self.ratio > 0):
            raise InputError(f"ratio must be positive; got {self.ratio}.")
        if self.at < 0:
            raise InputError(f"at is a step number, 0 or more; got {self.at}.")


Weight: TypeAlias = float | Callable[[int], float] | Auto | Literal["auto"]


def check_weight(weight: Weight) -> None:
    """Raise an `InputError` unless `weight` is one."""
    if isinstance(weight, (int, float)) and not isinstance(weight, bool):
        if not isfinite(weight) or weight < 0:
            raise InputError(f"a penalty's weight must be finite and not negative; got {weight}.")
    elif weight != "auto" and not isinstance(weight, Auto) and not callable(weight):
        raise InputError(
            f"weight must be a number, 'auto', Auto(...), or a function of the step; got {weight!r}."
        )
