"""Benjamini-Hochberg adjustment (false discovery rate)."""

from collections.abc import Sequence

from rightreasons.core._checked import checked
from rightreasons.stats._holm import check_pvalues


@checked
def benjamini_hochberg(pvalues: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted by the step-up rule that bounds the rate of false findings [benjamini1995].

    With m p-values sorted ascending, adjusted p_(i) = min_{j >= i} min(1, m p_(j) / j). Rejecting where the adjusted
    value is at most alpha keeps the expected share of false ones among the rejections at most alpha, if the tests are
    independent or positively dependent. For the chance of *any* false one, use `holm`.

    Args:
        pvalues: raw p-values in [0, 1]. None (no test was made) stays None and does not count towards m.

    Returns:
        Adjusted p-values, in the order given.

    Raises:
        InputError: a p-value is NaN or outside [0, 1].

    Example:
        >>> benjamini_hochberg([0.01, 0.04, None, 0.03])
        [0.03, 0.04, None, 0.04]
    """
    check_pvalues(pvalues)
    tested = sorted((p, position) for position, p in enumerate(pvalues) if p is not None)
    adjusted: list[float | None] = [None] * len(pvalues)
    smallest = 1.0
    for rank, (p, position) in reversed(list(enumerate(tested, start=1))):
        smallest = min(smallest, p * (len(tested) / rank))
        adjusted[position] = smallest
    return adjusted
