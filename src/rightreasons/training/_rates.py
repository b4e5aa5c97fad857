"""Learning-rate schedules."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import final

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError


@checked
@dataclass(frozen=True)
class Schedule(ABC):
    """A factor for the learning rate at every step, a function of the share of the run that is done.

    Step s of S has the factor at (s + 1/2) / S, so a schedule has no state, and a resumed run goes on with it.

    Args:
        warm_up: share of the steps over which the factor rises linearly from 0 to that of the schedule's beginning.
    """

    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up < 1:
            raise InputError(f"warm_up is a share of the steps, at least 0 and below 1; got {self.warm_up}.")

    def __call__(self, done: float) -> float:
        """The factor when this share of the steps is done."""
        if done < self.warm_up:
            return self.after_warm_up(0.0) * done / self.warm_up
        return self.after_warm_up((done - self.warm_up) / (1 - self.warm_up))

    @abstractmethod
    def after_warm_up(self, done: float) -> float:
        """The factor when this share of the steps after the warm-up is done."""


@final
@checked
@dataclass(frozen=True)
class Constant(Schedule):
    """The rate as it is, after a warm-up.

    Args:
        warm_up: see `Schedule`.

    >>> Constant(warm_up=0.5)(0.25), Constant(warm_up=0.5)(0.75)
    (0.5, 1.0)
    """

    def after_warm_up(self, done: float) -> float:
        return 1.0


@final
@checked
@dataclass(frozen=True)
class Linear(Schedule):
    """From 1 to `end` in a straight line: 1 + (end - 1) done.

    Args:
        warm_up: see `Schedule`.
        end: factor at the end.

    >>> Linear()(0.25)
    0.75
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor("end", self.end)

    def after_warm_up(self, done: float) -> float:
        return 1 + (self.end - 1) * done


@final
@checked
@dataclass(frozen=True)
class Cosine(Schedule):
    """From 1 to `end` along half a cosine: end + (1 - end) (1 + cos(pi done)) / 2, without restarts [loshchilov2017].

    Args:
        warm_up: see `Schedule`.
        end: factor at the end.

    >>> Cosine()(0.5)
    0.5
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor("end", self.end)

    def after_warm_up(self, done: float) -> float:
        return self.end + (1 - self.end) * (1 + cos(pi * done)) / 2


@final
@checked
@dataclass(frozen=True)
class Exponential(Schedule):
    """From 1 to `end` in equal ratios: end^done.

    Args:
        warm_up: see `Schedule`.
        end: factor at the end, more than 0.

    >>> Exponential(end=0.01)(0.5)
    0.1
    """

    end: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor("end", self.end)
        if self.end == 0:
            raise InputError("an exponential schedule needs end > 0: equal ratios never reach 0.")

    def after_warm_up(self, done: float) -> float:
        return float(self.end**done)


@final
@checked
@dataclass(frozen=True)
class Steps(Schedule):
    """Multiplied by `factor` at each of some moments: factor^(moments that have passed).

    Args:
        warm_up: see `Schedule`.
        factor: what the rate is multiplied by.
        at: moments, as shares of the steps after the warm-up.

    >>> Steps(at=(0.5, 0.75))(0.2), Steps(at=(0.5, 0.75))(0.6)
    (1.0, 0.1)
    """

    factor: float = 0.1
    at: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor("factor", self.factor)
        if not self.at or any(not 0 < moment < 1 for moment in self.at):
            raise InputError(f"at are shares of the steps, each between 0 and 1; got {self.at}.")

    def after_warm_up(self, done: float) -> float:
        return float(self.factor ** sum(done >= moment for moment in self.at))


@final
@checked
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the full rate and down again, both along half a cosine [smith2018].

    Args:
        warm_up: share of the steps on the way up.
        start: factor at the beginning.
        end: factor at the end.

    >>> OneCycle()(0.3), OneCycle()(0.0)
    (1.0, 0.04)
    """

    warm_up: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor("start", self.start)
        _check_factor("end", self.end)

    def __call__(self, done: float) -> float:
        if done >= self.warm_up:
            return self.after_warm_up((done - self.warm_up) / (1 - self.warm_up))
        return self.start + (1 - self.start) * (1 - cos(pi * done / self.warm_up)) / 2

    def after_warm_up(self, done: float) -> float:
        return self.end + (1 - self.end) * (1 + cos(pi * done)) / 2


def _check_factor(name: str, value: float) -> None:
    if not (isfinite(value) and value >= 0):
        raise InputError(f"{name} is a factor of the rate, finite and not negative; got {value}.")
