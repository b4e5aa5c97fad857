"""Survival: Cox partial likelihood with Efron ties."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.tasks._checks import one_column, require_finite, require_floating, require_same_rows
from rightreasons.tasks._scores import NAN, concordance, finite


@checked
@dataclass(frozen=True)
class Survival:
    """The hazard of an event relative to other rows, from one log-hazard f per row [cox1972].

    Labels are (B, 2) and floating: the time t, and 1 if the event was seen then, 0 if observation ended. With the d_k
    rows D_k that have an event at the distinct time k, and the rows R_k at risk, t >= k, Efron's form of the partial
    likelihood [efron1977] is

        loss = -1/D sum_k [ sum_{i in D_k} f_i - sum_{m=0}^{d_k - 1} log( sum_{R_k} e^f - m / d_k sum_{D_k} e^f ) ]

    with D the number of events: nats per event. Without ties it is Cox's likelihood exactly.

    The risk set is the batch: train on all rows at once (`batch_size: null` in a recipe). A batch without an event
    has loss 0 and no gradient. Adding a constant to every f changes nothing.

    Cost: O(B log B) time, O(B) memory. Outputs may be (B,) or (B, 1).

    Raises:
        InputError: labels that are not floating, finite times of at least 0 and events of 0 or 1; integer outputs.
        ShapeError: labels that are not (B, 2), more than one output per row, different numbers of rows, an empty batch.

    >>> f = torch.tensor([2.0, 1.0, 0.0])
    >>> y = torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 0.0]])
    >>> round(float(Survival().loss(f, y)), 4), Survival().metrics(f, y)["concordance"]
    (0.3604, 1.0)
    """

    headline: ClassVar[str] = "concordance"
    higher_is_better: ClassVar[bool] = True

    def loss(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Minus the log partial likelihood per event; see the class for the formula and what is refused."""
        f, time, event = self.columns(outputs, y)
        return _partial_likelihood(f, time, event)

    def explained(self, y: Shaped[Tensor, "..."]) -> None:
        """None: the model has one output, the log-hazard, whatever the label."""
        return None

    def metrics(self, outputs: Shaped[Tensor, "..."], y: Shaped[Tensor, "..."]) -> dict[str, float]:
        """`concordance` (Harrell's, NaN without a comparable pair) and `log_loss`, nats per event over these rows.

        Both are NaN when an output is not finite; `log_loss` is NaN without an event.
        """
        f, time, event = self.columns(outputs.detach(), y)
        f, event = f.double(), event.double()
        if not finite(f):
            return {"concordance": NAN, "log_loss": NAN}
        seen = bool(event.any())
        return {
            "concordance": concordance(f, time, event == 1),
            "log_loss": float(_partial_likelihood(f, time, event)) if seen else NAN,
        }

    @staticmethod
    def columns(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-hazard, time and event of each row, (B,) each; the class says what is refused."""
        require_floating(outputs)
        f = one_column(outputs, "Outputs of a survival task")
        if y.ndim != 2 or y.shape[1] != 2:
            raise ShapeError(
                f"Labels of a survival task must have shape (B, 2), time and event, got {tuple(y.shape)}. Use "
                "torch.stack([time, event], dim=1)."
            )
        require_same_rows(f, y)
        if not y.is_floating_point():
            raise InputError(
                f"Survival labels must be floating, time and event, got {y.dtype}. Use y.float()."
            )
        require_finite(y)
        time, event = y.unbind(1)
        if bool((time < 0).any()) or bool(((event != 0) & (event != 1)).any()):
            raise InputError(
                "Survival labels are times of at least 0 and events of 0 or 1, got times from "
                f"{float(time.min()):g} and "
                f"events {event.unique()[:5].tolist()}. The order is (time, event)."
            )
        f = f.float() if f.dtype in (torch.float16, torch.bfloat16) else f
        return f, time, event.to(f.dtype)


def _partial_likelihood(
    f: Float[Tensor, " B"], time: Float[Tensor, " B"], event: Float[Tensor, " B"]
) -> Float[Tensor, ""]:
    """Efron's form, in the order of falling time so that who is at risk is a cumulative sum."""
    order = time.argsort(descending=True, stable=True)
    f, time, seen = f[order], time[order], event[order] == 1
    if not bool(seen.any()):
        return (f * 0).sum()
    _, tie, counts = time.unique_consecutive(return_inverse=True, return_counts=True)
    last = counts.cumsum(0) - 1
    at_risk_B = f.logcumsumexp(0)[last][tie]  # log sum of e^f over rows of the same or a later time
    f_E, tie_E, at_risk_E = f[seen], tie[seen], at_risk_B[seen]
    # Position among the events of the same time, and how many there are.
    deaths = torch.zeros(len(counts), dtype=torch.int64, device=f.device).index_add(
        0, tie_E, torch.ones_like(tie_E)
    )
    first = deaths.cumsum(0) - deaths
    m_E = torch.arange(len(tie_E), device=f.device) - first[tie_E]
    share_E = m_E.to(f.dtype) / deaths[tie_E].to(f.dtype)
    # sum_{D_k} e^f relative to sum_{R_k} e^f, so that nothing overflows.
    relative = torch.zeros(len(counts), dtype=f.dtype, device=f.device)
    relative = relative.index_add(0, tie_E, (f_E - at_risk_E).exp())
    return (at_risk_E + torch.log1p(-share_E * relative[tie_E]) - f_E).mean()
