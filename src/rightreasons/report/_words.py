"""Numbers and verdicts in words."""

from collections.abc import Mapping, Sequence
from typing import Any

_TITLES = {
    "test": "Clean test data",
    "gaussian": "Gaussian noise",
    "salt_and_pepper": "Salt-and-pepper noise",
}
_METRICS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "mse": "MSE",
    "rmse": "RMSE",
    "r2": "R²",
}
_IN_UNITS = ("mse", "rmse")


def number(value: float | None, digits: int = 3) -> str:
    """A number with a real minus sign; an en dash where there is none.

    >>> number(-0.5), number(None)
    ('\N{MINUS SIGN}0.500', '\N{EN DASH}')
    """
    return "–" if value is None or value != value else f"{value:.{digits}f}".replace("-", "−")


def quantity(value: float | None) -> str:
    """Four significant digits of a value in any unit.

    >>> quantity(684530.681), quantity(-3039106.4), quantity(0.00000123), quantity(0.25)
    ('684,531', '\N{MINUS SIGN}3.039e6', '1.230e\N{MINUS SIGN}6', '0.2500')
    """
    if value is None or value != value:
        return "–"
    mantissa, exponent = f"{value:.3e}".split("e")
    shown = int(exponent)
    text = f"{value:,.{max(0, 3 - shown)}f}" if -4 < shown < 6 else f"{mantissa}e{shown}"
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, always with its sign.

    >>> signed(0.25)
    '+0.250'
    """
    if value is None or value != value:
        return "–"
    return number(value, digits) if value < 0 else f"+{value:.{digits}f}"


def percent_form(largest: float) -> str:
    """How percentages are written so that the largest has two digits or more, for `str.format`.

    >>> percent_form(42.0), percent_form(0.31)
    ('{:.0f}', '{:.2f}')
    """
    return "{:.0f}" if largest >= 9.5 else "{:.1f}" if largest >= 0.95 else "{:.2f}"


def shorten(text: str, width: int) -> str:
    """At most so many characters; what is cut out is not the end, which tells an arm from its controls.

    >>> shorten("Smooth: random graph", 13)
    'Smooth…graph'
    """
    end = (width - 1) // 2
    return text if len(text) <= width else f"{text[: width - 1 - end].rstrip()}…{text[-end:].lstrip()}"


def capital(text: str) -> str:
    """The text as it begins a sentence."""
    return text[0].upper() + text[1:]


def metric_name(metric: str) -> str:
    """A metric as it is written in a sentence."""
    return _METRICS.get(metric, metric.replace("_", " "))


def metric_value(metric: str, value: float | None) -> str:
    """A score: three decimals, or four significant digits if it is in the label's unit."""
    return quantity(value) if metric in _IN_UNITS else number(value)


def outcome_title(outcome: str) -> str:
    """What a comparison was made on."""
    return _TITLES.get(outcome, outcome)


def duration(seconds: float) -> str:
    """Seconds as a reader would say them.

    >>> duration(4.2), duration(135.0)
    ('4.2 s', '2 min 15 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def interval(comparison: Mapping[str, Any]) -> str:
    """Both ends of an interval."""
    if comparison["low"] is None:
        return "no interval from one split"
    return f"{signed(comparison['low'])} to {signed(comparison['high'])}"


def findings(
    comparisons: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], confidence: float, margin: float
) -> list[tuple[str, str]]:
    """Verdict and sentence of one arm: one for each outcome that was tested, one in all if none could be."""
    if metrics["tested"]:
        return [(each["verdict"], _tested(each, metrics, confidence, margin)) for each in comparisons]
    return [(f"cannot tell from {_splits(metrics)}", _untested(comparisons, metrics))]


def _tested(
    comparison: Mapping[str, Any], metrics: Mapping[str, Any], confidence: float, margin: float
) -> str:
    metric = metric_name(metrics["headline"])
    where = _WHERE[comparison["outcome"]].format(metric=metric)
    return (
        f"{where[0].upper()}{where[1:]} {number(comparison['mean'])} against {number(comparison['reference_mean'])}: "
        f"{signed(comparison['difference'])}, {confidence:.0%} interval {interval(comparison)}, better on "
        f"{comparison['better']} of {comparison['n']} splits. {_because(comparison, margin)}"
    )


def _untested(comparisons: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    metric = metric_name(metrics["headline"])
    parts = [
        f"{_WHERE[each['outcome']].format(metric=metric)} {number(each['mean'])} against "
        f"{number(each['reference_mean'])} (better on {each['better']} of {each['n']})"
        for each in comparisons
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


_WHERE = {
    "test": "test {metric}",
    "gaussian": "under Gaussian noise, averaged over its levels,",
    "salt_and_pepper": "under salt-and-pepper noise, averaged over its levels,",
}


def _splits(metrics: Mapping[str, Any]) -> str:
    return "one split" if metrics["splits"] == 1 else f"{metrics['splits']} splits"


def _because(comparison: Mapping[str, Any], margin: float) -> str:
    verdict, p = comparison["verdict"], comparison["p_holm"]
    if verdict in ("helps", "hurts"):
        return f"Adjusted {_p(p)}."
    if verdict == "does not help":
        return f"The interval excludes any gain above {margin:g}."
    return f"The interval holds no gain as well as gains above {margin:g}; adjusted {_p(p)}."


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def sparsity_sentence(arm: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """How concentrated the global attribution is, next to the reference's."""
    ours, theirs = mean(arm["gini"]), mean(reference["gini"])
    if ours != ours or theirs != theirs:
        return "It has no attributions." if ours != ours else ""
    word = _compared(ours - theirs, 0.02, "more concentrated", "more spread out", "about as concentrated")
    return f"Its attributions are {word}: Gini coefficient {number(ours, 2)} against {number(theirs, 2)}."


def smoothness_sentence(arm: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """How smooth the maps are, next to the reference's."""
    ours, theirs = mean(arm["total_variation"]), mean(reference["total_variation"])
    word = _compared(theirs / ours - 1, 0.02, "smoother", "rougher", "about as smooth")
    return f"Its maps are {word}: total variation {number(ours, 0)} against {number(theirs, 0)}."


def _compared(difference: float, least: float, more: str, less: str, same: str) -> str:
    return more if difference > least else less if difference < -least else same


def mean(values: Sequence[float | None]) -> float:
    """Mean over splits; NaN if one is unknown, such as the AUC of rows that are all of one class."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else float("nan")
