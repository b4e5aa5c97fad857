from typing import Any

import pytest

from rightreasons.report import render_comparison
from rightreasons.runs import RunDirectory


def put_together(table_run: RunDirectory, **changed: Any) -> dict[str, Any]:
    metrics = table_run.metrics()
    arms = [
        {"name": f"first: {arm['name']}", "splits": 2, "test": arm["test"], "interval": arm["interval"]}
        for arm in metrics["arms"]
    ]
    comparisons = [each | {"arm": f"first: {each['arm']}"} for each in metrics["comparisons"]]
    usual = {
        "runs": {"first": "runs/first", "second": "runs/second"}, "confidence": 0.95, "paired": True,
        "why": "all is shared", "reference": "first: Plain", "arms": arms, "comparisons": comparisons,
    }  # fmt: skip
    return metrics | usual | changed


def test_paired_runs_have_differences(table_run: RunDirectory) -> None:
    page = render_comparison(put_together(table_run))
    for words in (
        "2 runs on nhefs compared",
        "paired split by split: all is shared",
        "Split by split",
        "first: Sparse",
    ):
        assert words in page, words


def test_runs_that_are_not_paired_have_intervals_only(table_run: RunDirectory) -> None:
    page = render_comparison(put_together(table_run, paired=False, why="seeds differ", comparisons=[]))
    assert "These runs are not paired: seeds differ." in page
    assert "Split by split" not in page
    assert "Differences from" not in page


@pytest.mark.parametrize("tested", [True, False])
def test_few_splits_are_said(table_run: RunDirectory, tested: bool) -> None:
    page = render_comparison(put_together(table_run, tested=tested))
    assert ("Below ten splits there is no test" in page) != tested
