"""Mean of a method's maps over several models or inputs."""

from math import isfinite

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Attribution, Evaluations, Explanation
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, as_tuple, like


class Average:
    """Mean and standard error of maps of one structure, summed in float64 as they come."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[Tensor] = []
        self.squares: list[Tensor] = []
        self.last: Inputs = ()
        self.evaluations = Evaluations(0, 0)

    def add(self, maps: Inputs) -> None:
        """One more set of maps."""
        exact = [part.double() for part in as_tuple(maps)]
        squares = [part.detach().square() for part in exact]
        self.sums = [a + b for a, b in zip(self.sums, exact, strict=True)] if self.count else exact
        self.squares = [a + b for a, b in zip(self.squares, squares, strict=True)] if self.count else squares
        self.count += 1
        self.last = maps

    def add_explanation(self, explanation: Explanation) -> None:
        """One more set of maps, and what it cost."""
        self.add(explanation.maps)
        forward, backward = self.evaluations
        spent = explanation.evaluations
        self.evaluations = Evaluations(forward + spent.forward, backward + spent.backward)

    def mean(self) -> Inputs:
        """The mean, in the structure and precision of the maps."""
        return self._like([total / self.count for total in self.sums])

    def standard_error(self) -> Inputs:
        """Of the mean; NaN after one set of maps."""
        n = self.count
        if n == 1:
            return self._like([torch.full_like(total, torch.nan) for total in self.sums])
        means = [total.detach() / n for total in self.sums]
        variances = [(s / n - m.square()).clamp(min=0) for s, m in zip(self.squares, means, strict=True)]
        return self._like([(variance / (n - 1)).sqrt() for variance in variances])

    def _like(self, parts: list[Tensor]) -> Inputs:
        kinds = [part.dtype for part in as_tuple(self.last)]
        return like([part.to(kind) for part, kind in zip(parts, kinds, strict=True)], self.last)


def check_inner(method: object) -> None:
    """Raise an `InputError` unless `method` is an attribution."""
    if not isinstance(method, Attribution):
        raise InputError(f"method must be an attribution such as rr.Gradient(); got {method!r}.")


def check_deviation(name: str, value: int | float, unit: str) -> None:
    """Raise an `InputError` unless `value` can be a standard deviation."""
    if not (isfinite(value) and value > 0):
        raise InputError(
            f"{name} is the standard deviation of the noise, {unit}, positive and finite; got {value!r}."
        )
