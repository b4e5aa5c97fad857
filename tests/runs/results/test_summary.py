import json
from typing import Any

import pytest

from rightreasons import stats, tasks
from rightreasons.core._errors import DataError
from rightreasons.recipes import Recipe, parse
from rightreasons.runs.results._summary import summarise
from tests.runs.cases import TABLE

SPLITS = 10
SCORES = {
    "Plain": [0.7 + 0.01 * s for s in range(SPLITS)],
    "Sparse": [0.8 + 0.011 * s for s in range(SPLITS)],
}
ROWS = {"train": 60, "validation": 40, "test": 50}


def recipe(splits: int = SPLITS) -> Recipe:
    return parse(TABLE.replace("splits: 2", f"splits: {splits}"))


def result(arm: str, split: int, **changed: Any) -> dict[str, Any]:
    usual = {
        "id": f"{arm}-{split}", "arm": arm, "split": split, "trial": 0, "weight": None if arm == "Plain" else 0.1,
        "status": "ok", "validation": {"auc": 0.5}, "best_epoch": 1, "steps": 10,
        "seconds": 1.0 if arm == "Plain" else 3.0,
    }  # fmt: skip
    return usual | changed


def measured(arm: str, split: int, **changed: Any) -> dict[str, Any]:
    usual = {
        "test": {"auc": SCORES[arm][split]}, "rows": ROWS, "noise": {}, "gini": 0.5, "gap": 0.1, "relative_gap": 0.01,
    }  # fmt: skip
    return usual | changed


def summary(splits: int = SPLITS, **changed: Any) -> dict[str, Any]:
    places = [(arm, split) for split in range(splits) for arm in SCORES]
    results = [result(*place) for place in places]
    return summarise(
        recipe(splits),
        tasks.Binary(),
        results,
        {place: result(*place) for place in places},
        {place: measured(*place, **changed) for place in places},
    )


def test_differences_are_those_of_the_corrected_test() -> None:
    (found,) = summary()["comparisons"]
    # A model is made of training and validation rows: 60 + 40.
    expected = stats.paired_difference(SCORES["Sparse"], SCORES["Plain"], n_train=100, n_test=50)
    assert found["difference"] == pytest.approx(expected.difference)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["p"] == pytest.approx(expected.p)
    assert found["p_holm"] == found["p"]  # one comparison
    assert (found["better"], found["verdict"]) == (SPLITS, "helps")


def test_below_ten_splits_there_is_no_test() -> None:
    found = summary(splits=9)
    assert not found["tested"]
    assert found["comparisons"][0]["p"] is None
    assert found["comparisons"][0]["verdict"] == "cannot tell"


def test_cost_is_counted_in_steps_of_the_plain_network() -> None:
    plain, sparse = summary()["arms"]
    assert (plain["plain_steps"], sparse["plain_steps"]) == pytest.approx((1.0, 3.0))
    assert (sparse["fits"], sparse["failed"], sparse["steps"], sparse["seconds"]) == (10, 0, 100, 30.0)


def test_noise_is_averaged_over_levels_above_zero() -> None:
    levels = [{"level": 0, "auc": 1.0}, {"level": 0.1, "auc": 0.6}, {"level": 0.2, "auc": 0.4}]
    found = summary(noise={"gaussian": levels})["comparisons"]
    assert [c["outcome"] for c in found] == ["test", "gaussian"]
    assert found[1]["mean"] == pytest.approx(0.5)
    assert found[1]["difference"] == 0


def test_p_values_are_adjusted_over_arms_and_outcomes() -> None:
    levels = [{"level": 0.1, "auc": 0.5}]
    first, second = summary(noise={"gaussian": levels})["comparisons"]
    assert (first["p_holm"], second["p_holm"]) == (pytest.approx(2 * first["p"]), 1.0)


def test_it_is_json() -> None:
    assert json.loads(json.dumps(summary()))


def test_failed_fits_are_counted_and_a_split_without_any_other_is_refused() -> None:
    results = [
        result("Plain", 0),
        result("Sparse", 0, status="failed", error="too hot"),
        result("Sparse", 0, trial=1),
    ]
    chosen = {("Plain", 0): results[0], ("Sparse", 0): results[2]}
    seen = {place: measured(*place) for place in chosen}
    found = summarise(recipe(1), tasks.Binary(), results, chosen, seen)
    assert found["arms"][1]["failed"] == 1
    assert found["weights"]["Sparse"][0]["failed"] == 1
    del chosen["Sparse", 0]
    with pytest.raises(
        DataError,
        match=r"every trial of arm 'Sparse' failed on split 0.*flatter the arm. The first failure: [^.]*too hot",
    ):
        summarise(recipe(1), tasks.Binary(), results, chosen, seen)


def test_a_score_that_is_unknown_is_said() -> None:
    with pytest.raises(
        DataError, match="arm 'Plain' has no auc on the test rows of split 0: a class is missing"
    ):
        summary(test={"auc": None})
