"""Breslow estimate of the baseline hazard: survival probabilities from log hazards.

Legend: B rows, K distinct times of events, T times asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.tasks._survival import Survival


@checked
@dataclass(frozen=True, eq=False)
class Baseline:
    """Cumulative hazard of a row whose log-hazard is 0 [breslow1974], a step function with a step at each event.

        H0(t) = sum_{k <= t} d_k / sum_{i in R_k} e^f_i,     S(t | f) = exp(-H0(t) e^f)

    with the d_k events at the distinct time k and the rows R_k still at risk. Kept as a logarithm, so that adding a
    constant to every f, which means nothing, changes nothing. After `last` nobody was observed: nothing is known.

    Args:
        times: distinct times of events, rising.
        log_hazard: log H0 after each.
        last: the longest observation.

    >>> y = torch.tensor([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    >>> baseline = Baseline.fit(torch.zeros(3), y)
    >>> baseline.survival(torch.zeros(1), [0.5, 1.0]).round(decimals=3), baseline.median(torch.zeros(1))
    (tensor([[1.0000, 0.7170]], dtype=torch.float64), tensor([3.], dtype=torch.float64))
    """

    times: Float64[Tensor, " K"]
    log_hazard: Float64[Tensor, " K"]
    last: float

    @classmethod
    def fit(cls, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> "Baseline":
        """From the log-hazards of the training rows and their labels (B, 2). Cost: O(B log B)."""
        f, time, event = Survival.columns(outputs.detach(), y)
        order = time.argsort(descending=True, stable=True)
        f, time, seen = f[order].double(), time[order].double(), event[order] == 1
        distinct, place, counts = time.unique_consecutive(return_inverse=True, return_counts=True)
        at_risk = f.logcumsumexp(0)[counts.cumsum(0) - 1]
        events = torch.zeros(len(distinct), dtype=torch.float64).index_add(0, place, seen.double())
        has = (events > 0).nonzero().flatten().flip(0)  # in the order of rising time
        steps = events[has].log() - at_risk[has]
        return cls(distinct[has], steps.logcumsumexp(0), float(time.max()))

    def survival(self, outputs: Float[Tensor, "B *one"], times: Sequence[float]) -> Float64[Tensor, "B T"]:
        """Probability that the event has not happened by each of these times.

        Raises: InputError: a time below 0 or after the longest observation.
        """
        for each in times:
            if not (isfinite(each) and 0 <= each <= self.last):
                raise InputError(
                    f"survival is known from time 0 to {self.last:g}, the longest observation among the training rows; "
                    f"got {each:g}."
                )
        asked = torch.tensor(list(times), dtype=torch.float64)
        before = torch.cat([torch.tensor([-torch.inf], dtype=torch.float64), self.log_hazard])
        log_hazard = before[torch.searchsorted(self.times, asked, right=True)]
        return (-(outputs.detach().double().reshape(-1, 1) + log_hazard).exp()).exp()

    def median(self, outputs: Float[Tensor, "B *one"]) -> Float64[Tensor, " B"]:
        """First time at which survival is at most one half; NaN where it stays above that as long as is known."""
        needed = torch.tensor(2.0, dtype=torch.float64).log().log() - outputs.detach().double().reshape(-1)
        place = torch.searchsorted(self.log_hazard, needed - 1e-12)
        return torch.cat([self.times, torch.tensor([nan], dtype=torch.float64)])[place]

    def usual_times(self) -> list[float]:
        """Quartiles of the times of events."""
        if not len(self.times):
            return []
        found = torch.quantile(
            self.times, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), interpolation="nearest"
        )
        return found.unique().tolist()

    def predictions(
        self, outputs: Float[Tensor, "B *one"], times: Sequence[float] = ()
    ) -> dict[str, list[float]]:
        """Named columns: median survival, and S(t) at these times, or the quartiles of the times of events."""
        asked = list(times) or self.usual_times()
        found = self.survival(outputs, asked)
        return {"median survival": self.median(outputs).tolist()} | {
            f"S({time:g})": column.tolist() for time, column in zip(asked, found.T, strict=True)
        }
