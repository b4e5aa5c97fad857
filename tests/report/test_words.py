from typing import Any

import pytest

from rightreasons.report._words import (
    duration,
    findings,
    interval,
    metric_name,
    metric_value,
    number,
    outcome_title,
    quantity,
    signed,
    smoothness_sentence,
    sparsity_sentence,
)


def comparison(**changed: Any) -> dict[str, Any]:
    usual = {
        "outcome": "test", "mean": 0.75, "reference_mean": 0.72, "difference": 0.03, "low": -0.01, "high": 0.07,
        "p_holm": 0.2, "better": 8, "n": 10, "verdict": "cannot tell",
    }  # fmt: skip
    return usual | changed


TESTED = {"headline": "auc", "reference": "Plain", "splits": 10, "tested": True}
UNTESTED = TESTED | {"splits": 2, "tested": False}


def test_a_tested_outcome_is_one_sentence_with_its_reason() -> None:
    ((verdict, text),) = findings([comparison()], TESTED, 0.95, 0.01)
    assert verdict == "cannot tell"
    assert text == (
        "Test AUC 0.750 against 0.720: +0.030, 95% interval −0.010 to +0.070, better on 8 of 10 splits. "
        "The interval holds no gain as well as gains above 0.01; adjusted p = 0.200."
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"verdict": "helps", "p_holm": 0.0004}, "Adjusted p < 0.001."),
        ({"verdict": "hurts", "p_holm": 0.01}, "Adjusted p = 0.010."),
        ({"verdict": "does not help"}, "The interval excludes any gain above 0.01."),
    ],
)
def test_reasons(changed: dict[str, Any], reason: str) -> None:
    ((_, text),) = findings([comparison(**changed)], TESTED, 0.95, 0.01)
    assert text.endswith(reason)


def test_what_could_not_be_tested_is_said_once_for_all_outcomes() -> None:
    several = [comparison(n=2, better=1), comparison(n=2, better=2, outcome="gaussian")]
    ((verdict, text),) = findings(several, UNTESTED, 0.95, 0.01)
    assert verdict == "cannot tell from 2 splits"
    assert text == (
        "Test AUC 0.750 against 0.720 (better on 1 of 2); under Gaussian noise, averaged over its levels, 0.750 "
        "against 0.720 (better on 2 of 2)."
    )


def test_one_split() -> None:
    ((verdict, _),) = findings([comparison(n=1)], UNTESTED | {"splits": 1}, 0.95, 0.01)
    assert verdict == "cannot tell from one split"
    assert interval(comparison(low=None)) == "no interval from one split"


@pytest.mark.parametrize(
    ("ours", "word"), [(0.6, "more concentrated"), (0.4, "more spread out"), (0.51, "about as concentrated")]
)
def test_sparsity(ours: float, word: str) -> None:
    assert word in sparsity_sentence({"gini": [ours, ours]}, {"gini": [0.5, 0.5]})


@pytest.mark.parametrize(
    ("ours", "word"), [(90.0, "smoother"), (110.0, "rougher"), (101.0, "about as smooth")]
)
def test_smoothness(ours: float, word: str) -> None:
    assert word in smoothness_sentence({"total_variation": [ours]}, {"total_variation": [100.0]})


def test_numbers() -> None:
    assert (number(0.1234), number(-1.0, 1), number(None)) == ("0.123", "−1.0", "–")
    assert (signed(0.1), signed(-0.1), signed(None)) == ("+0.100", "−0.100", "–")
    assert (duration(59.94), duration(60.0), duration(3725.0)) == ("59.9 s", "1 min 00 s", "62 min 05 s")
    assert (quantity(None), quantity(0.0), quantity(999999.6)) == ("–", "0.000", "1.000e6")
    assert (metric_value("mse", 12345.678), metric_value("auc", 0.12345)) == ("12,346", "0.123")
    assert (metric_name("log_loss"), metric_name("top_k")) == ("log loss", "top k")
    assert (outcome_title("gaussian"), outcome_title("new")) == ("Gaussian noise", "new")
