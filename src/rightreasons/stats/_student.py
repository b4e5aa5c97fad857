"""Corrected paired t tests and intervals for repeated splits (Nadeau-Bengio)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, MissingExtraError, ShapeError

FEWEST_SPLITS_TESTED = 10
"""With fewer splits `paired_difference` gives an interval and no p-value."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: of the values, in their unit.
        low: lower end.
        high: upper end.
        n: number of values.
        confidence: coverage aimed at, e.g. 0.95.
    """

    mean: float
    low: float
    high: float
    n: int
    confidence: float


@dataclass(frozen=True)
class Difference:
    """A mean paired difference a - b with its corrected interval and, from ten splits on, its p-value.

    Attributes:
        difference: mean of a - b, in their unit.
        low: lower end of the interval.
        high: upper end of the interval.
        p: two-sided p-value of "no difference"; None with fewer than ten splits.
        n: number of splits.
        confidence: coverage aimed at, e.g. 0.95.
    """

    difference: float
    low: float
    high: float
    p: float | None
    n: int
    confidence: float


@checked
def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's t interval of a mean: mean ± t_{n-1} s / sqrt(n), s the sample standard deviation (n - 1).

    Valid for independent values, such as seeds on one fixed split. Splits of one data set share data: their values
    are correlated and this interval is too narrow; compare arms with `paired_difference`.

    Args:
        values: at least two finite numbers, (n,).
        confidence: coverage, strictly between 0 and 1.

    Returns:
        Mean and interval in the unit of the values.

    Raises:
        InputError: fewer than two values, a value that is not finite, or a confidence outside (0, 1).
        ShapeError: values that are not one-dimensional.
        MissingExtraError: scipy is not installed.

    Example:
        >>> interval = mean_interval([0.71, 0.74, 0.78, 0.73])
        >>> f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
        '0.740 [0.693, 0.787]'
    """
    scores = _finite("values", values)
    _check_confidence(confidence)
    half = _t_quantile(confidence, scores.size - 1) * scores.std(ddof=1) / scores.size**0.5
    mean = scores.mean()
    return Interval(float(mean), float(mean - half), float(mean + half), scores.size, confidence)


@checked
def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    n_train: int,
    n_test: int,
    confidence: float = 0.95,
) -> Difference:
    """Mean difference of two arms over the same random splits, by the corrected resampled t-test [nadeau2003].

    d_j = a_j - b_j on split j of J; variance of the mean taken as (1/J + n_test / n_train) s_d^2, and
    t = mean(d) / sqrt(that) has J - 1 degrees of freedom. The plain paired test takes s_d^2 / J, as if splits were
    independent; training sets overlap, so it finds differences that are not there.

    The second term does not shrink with J: more splits of the same data bring no more data. It rests on a correlation
    between splits of n_test / (n_train + n_test), which is right where the choice of test rows makes scores vary, and
    pessimistic where the choice of few training rows does: then score on a random part of the test rows no larger than
    the training part.

    With fewer than ten splits the p-value is None: an interval shows how little such a comparison can tell. If all
    differences are equal the interval has no width and p is 1 (all 0) or 0.

    Args:
        a: scores of one arm, one for each split, (J,).
        b: scores of the other arm on the same splits in the same order, (J,).
        n_train: rows each model is trained on.
        n_test: rows each score is computed on.
        confidence: coverage, strictly between 0 and 1.

    Returns:
        Difference, interval and p-value.

    Raises:
        InputError: fewer than two splits, a score that is not finite, sizes below one, or a confidence outside (0, 1).
        ShapeError: arms of different length, or not one-dimensional.
        MissingExtraError: scipy is not installed.

    Example:
        >>> result = paired_difference([0.74, 0.78, 0.76], [0.71, 0.72, 0.74], n_train=900, n_test=100)
        >>> f"{result.difference:.3f} [{result.low:.3f}, {result.high:.3f}] p={result.p}"
        '0.037 [-0.023, 0.096] p=None'
    """
    first, second = _finite("a", a), _finite("b", b)
    if first.size != second.size:
        raise ShapeError(
            f"paired_difference compares arms on the same splits; got {first.size} scores in a and {second.size} in b. "
            "Keep the splits both arms finished."
        )
    if n_train < 1 or n_test < 1:
        raise InputError(f"n_train and n_test count rows and must be at least 1; got {n_train} and {n_test}.")
    _check_confidence(confidence)
    deltas = first - second
    mean, degrees = float(deltas.mean()), deltas.size - 1
    spread = float(deltas.std(ddof=1)) if np.ptp(deltas) > 0 else 0.0  # rounding of the mean is not spread
    error = (1 / deltas.size + n_test / n_train) ** 0.5 * spread
    half = _t_quantile(confidence, degrees) * error
    p = _two_sided_p(mean, error, degrees) if deltas.size >= FEWEST_SPLITS_TESTED else None
    return Difference(mean, mean - half, mean + half, p, deltas.size, confidence)


def _finite(name: str, values: Sequence[float] | np.ndarray) -> Float64[np.ndarray, "n"]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise ShapeError(
            f"{name} must be one-dimensional, one number for each run; got shape {scores.shape}."
        )
    if scores.size < 2:
        raise InputError(
            f"{name} must hold at least two numbers, else there is no spread; got {scores.size}."
        )
    if not np.isfinite(scores).all():
        failed = np.flatnonzero(~np.isfinite(scores)).tolist()
        raise InputError(
            f"{name} must be finite; got NaN or infinity at positions {failed}. Leaving failed runs out flatters an "
            "arm: repair them, or drop the split from every arm and say so."
        )
    return scores


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(
            f"confidence must lie strictly between 0 and 1; got {confidence}. Write 0.95 for 95 %."
        )


def _t_quantile(confidence: float, degrees: int) -> float:
    """Half width, in standard errors, of the central interval."""
    try:
        from scipy.special import stdtrit
    except ImportError as error:
        raise _missing_scipy() from error
    return float(stdtrit(degrees, (1 + confidence) / 2))


def _two_sided_p(mean: float, error: float, degrees: int) -> float:
    try:
        from scipy.special import stdtr
    except ImportError as missing:
        raise _missing_scipy() from missing
    if error == 0:
        return float(mean == 0)
    return float(2 * stdtr(degrees, -abs(mean / error)))


def _missing_scipy() -> MissingExtraError:
    return MissingExtraError(
        'intervals need scipy, which is not installed: pip install "rightreasons[train]"'
    )
