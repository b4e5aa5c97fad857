"""How weights were chosen, and differences split by split."""

from typing import Any

import pytest

from rightreasons.report._run_view import Source
from rightreasons.report._style import looks
from rightreasons.report.sections import _findings as findings
from rightreasons.report.sections._differences import _table, differences_figure, section_of
from rightreasons.report.sections._weights import remarks, section, weights_figure
from rightreasons.runs import RunDirectory


@pytest.fixture
def metrics(image_run: RunDirectory) -> dict[str, Any]:
    return image_run.metrics()


def test_every_weight_says_how_often_it_was_taken(metrics: dict[str, Any]) -> None:
    svg = weights_figure(metrics, looks([arm["name"] for arm in metrics["arms"]], "Plain"), "accuracy")
    smooth = next(arm for arm in metrics["arms"] if arm["name"].startswith("Smooth"))
    taken = [chosen["weight"] for chosen in smooth["chosen"]]
    for weight in (0.001, 0.01):
        trial = next(t for t in metrics["weights"][smooth["name"]] if t["weight"] == weight)
        assert f"{weight:g} ({sum(trial['scores']) / 2:.3f}, taken {taken.count(weight)} times)" in svg
    assert "initialisation 2" in svg  # an arm without weights
    assert all(len(t["scores"]) == 2 for trials in metrics["weights"].values() for t in trials)


def test_a_failed_trial_leaves_a_gap(metrics: dict[str, Any]) -> None:
    weights = {arm: [dict(trial) for trial in trials] for arm, trials in metrics["weights"].items()}
    weights["Decay"][0] |= {"scores": [None, None], "mean": None}
    weights["Plain"][1]["scores"] = [0.5, None]
    svg = weights_figure(metrics | {"weights": weights}, looks(list(weights), "Plain"), "accuracy")
    assert "0.1 (nan, taken" in svg


def test_edges_of_what_was_tried_and_fits_of_nothing_are_said(metrics: dict[str, Any]) -> None:
    weights = {
        arm: [dict(trial) | {"flat": 0} for trial in trials] for arm, trials in metrics["weights"].items()
    }
    weights["Decay"][1]["flat"] = 2
    arms = [
        arm
        | {"chosen": [chosen | {"trial": trial} for chosen, trial in zip(arm["chosen"], (0, 1), strict=True)]}
        for arm in metrics["arms"]
    ]
    found = remarks(metrics | {"weights": weights, "arms": arms})
    assert [line for line in found if line.startswith("Plain")] == []  # initialisations have no order
    assert [line for line in found if line.startswith("Decay")] == [
        "Decay: the smallest weight that was tried, 0.1, was taken on 1 of 2 splits; smaller ones may do better.",
        "Decay: the largest weight that was tried, 1, was taken on 1 of 2 splits; larger ones may do better.",
        "Decay: fits at the weight 1 say nearly the same of every row: the penalty leaves nothing of the network.",
    ]


def test_an_arm_that_learned_nothing_is_named_first_of_all(image_run: RunDirectory) -> None:
    source = Source.of(image_run)
    assert "it has learned nothing" not in str(findings.section(source))
    source.metrics["arms"][1]["chosen"][0]["flat"] = True
    assert "On 1 of 2 splits the fit that was taken says nearly the same" in str(findings.section(source))


def test_nothing_to_choose_is_no_section(table_run: RunDirectory) -> None:
    assert section(Source.of(table_run)) is None


def test_differences_show_every_split_and_the_interval(metrics: dict[str, Any]) -> None:
    clean = [c for c in metrics["comparisons"] if c["outcome"] == "test"]
    svg = differences_figure(metrics, clean, "accuracy")
    for each in clean:
        assert f"better on {each['better']} of 2" in svg
    assert svg == differences_figure(metrics, clean, "accuracy")


def test_one_split_has_no_differences_to_show(metrics: dict[str, Any]) -> None:
    assert section_of(metrics | {"splits": 1}, "accuracy", "95%") is None
    assert section_of(metrics | {"comparisons": []}, "accuracy", "95%") is None
    found = section_of(metrics, "accuracy", "95%")
    assert found is not None
    (table,) = found.blocks[-1].blocks
    assert table.columns == ["Arm", "0", "1"]
    assert [row[0] for row in table.rows] == ["Plain", "Smooth <b>", "Decay"]


def test_many_splits_go_down_the_table(metrics: dict[str, Any]) -> None:
    arms = [arm | {"test": {"accuracy": [0.5] * 12}} for arm in metrics["arms"]]
    table = _table(metrics | {"arms": arms, "splits": 12}, "accuracy")
    assert table.columns == ["Split", "Plain", "Smooth <b>", "Decay"]
    assert [row[0] for row in table.rows] == [str(split) for split in range(12)]
