from typing import Any

import pytest

from rightreasons.recipes._schema import Select
from rightreasons.runs.execution._select_trial import choose

LARGEST = Select(rule="largest_within", within=0.02)


def trials(*scores: tuple[float | None, float | None]) -> list[dict[str, Any]]:
    return [
        {"trial": i, "weight": w, "status": "ok", "validation": {"auc": score}}
        for i, (w, score) in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("select", "results", "taken"),
    [
        (Select(), trials((1.0, 0.7), (2.0, 0.8), (3.0, 0.79)), 1),
        (Select(), trials((1.0, 0.8), (2.0, 0.8)), 0),
        (Select(), trials((None, 0.7), (None, 0.8), (None, 0.8)), 1),
        (Select(), trials((1.0, None), (2.0, 0.1)), 1),
        (Select(), trials((1.0, float("nan")), (2.0, 0.1)), 1),
        (LARGEST, trials((1.0, 0.7), (2.0, 0.8), (3.0, 0.78), (4.0, 0.77)), 2),
        (LARGEST, trials((None, 0.79), (None, 0.8)), 1),
    ],
)
def test_rule(select: Select, results: list[dict[str, Any]], taken: int) -> None:
    chosen = choose(results, select, "auc", higher_is_better=True)
    assert chosen is not None
    assert chosen["trial"] == taken


def test_lower_can_be_better() -> None:
    results = trials((1.0, 0.5), (2.0, 0.4), (3.0, 0.41))
    assert choose(results, Select(), "auc", higher_is_better=False) == results[1]
    assert choose(results, LARGEST, "auc", higher_is_better=False) == results[2]


def test_failed_trials_are_never_taken() -> None:
    results: list[dict[str, Any]] = [{"trial": 0, "weight": 1.0, "status": "failed"}]
    assert choose(results, Select(), "auc", True) is None
