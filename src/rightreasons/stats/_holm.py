"""Holm adjustment (family-wise error rate)."""

import math
from collections.abc import Sequence

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError


@checked
def holm(pvalues: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for being one of several, by Holm's step-down rule [holm1979].

    With m p-values sorted ascending, adjusted p_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)). Rejecting where the
    adjusted value is at most alpha keeps the chance of any false rejection at most alpha, whatever the dependence.

    Args:
        pvalues: raw p-values in [0, 1]. None (no test was made, see `paired_difference`) stays None and does not
            count towards m.

    Returns:
        Adjusted p-values, in the order given.

    Raises:
        InputError: a p-value is NaN or outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    check_pvalues(pvalues)
    tested = sorted((p, position) for position, p in enumerate(pvalues) if p is not None)
    adjusted: list[float | None] = [None] * len(pvalues)
    largest = 0.0
    for rank, (p, position) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[position] = largest
    return adjusted


def check_pvalues(pvalues: Sequence[float | None]) -> None:
    """Raise unless each is a probability, or None."""
    for p in pvalues:
        if p is not None and not (math.isfinite(p) and 0 <= p <= 1):
            raise InputError(f"p-values must lie in [0, 1]; got {p}. Pass None where no test was made.")
