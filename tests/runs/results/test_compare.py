import json
from pathlib import Path

import pytest

from rightreasons import stats
from rightreasons.core._errors import DataError, InputError
from rightreasons.recipes import parse
from rightreasons.runs import RunDirectory, compare, comparison_text
from tests.runs.cases import TABLE, finished


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run, another network on the same splits, and runs whose splits are others."""
    folder = tmp_path_factory.mktemp("compared")
    texts = {
        "first": TABLE,
        "wider": TABLE.replace("hidden: [8]", "hidden: [12]").replace("splits: 2", "splits: 3"),
        "reseeded": "seed: 1\n" + TABLE,
        "resized": TABLE.replace("test: 50", "test: 60"),
    }
    return {
        name: finished(folder, parse(text.replace("tiny-table", name))).path for name, text in texts.items()
    }


def test_runs_with_the_same_splits_are_paired_over_those_they_share(runs: dict[str, Path]) -> None:
    found = compare([runs["first"], runs["wider"]])
    assert found["paired"]
    assert found["splits"] == 2
    assert found["reference"] == "first: Plain"
    assert [arm["name"] for arm in found["arms"]] == [
        "first: Plain", "first: Sparse", "wider: Plain", "wider: Sparse",
    ]  # fmt: skip
    plain, *_ = RunDirectory(runs["first"]).metrics()["arms"]
    wide, *_ = RunDirectory(runs["wider"]).metrics()["arms"]
    expected = stats.paired_difference(wide["test"]["auc"][:2], plain["test"]["auc"], n_train=100, n_test=50)
    each = next(c for c in found["comparisons"] if c["arm"] == "wider: Plain")
    assert each["difference"] == pytest.approx(expected.difference)
    assert expected.low < -1 < 1 < expected.high  # two splits: differences of an AUC end there
    assert (each["low"], each["high"]) == (-1, 1)
    assert "paired: all runs have the same seed" in comparison_text(found)


@pytest.mark.parametrize(
    ("other", "why"), [("reseeded", "seeds differ"), ("resized", "data.test differs (50 in")]
)
def test_other_splits_are_not_paired_and_it_is_said(runs: dict[str, Path], other: str, why: str) -> None:
    found = compare([runs["first"], runs[other]])
    assert not found["paired"]
    assert not found["comparisons"]
    assert why in found["why"]
    text = comparison_text(found)
    assert "not paired, so no differences" in text
    assert "difference  " not in text
    assert all(arm["interval"]["low"] < arm["interval"]["high"] for arm in found["arms"])


def test_test_rows_that_differ_in_spite_of_the_same_recipe_are_found(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RunDirectory.predictions

    def changed(run: RunDirectory, key: str) -> dict[str, object]:
        found = read(run, key)
        return found | {"y": 1 - found["y"]} if run.path == runs["wider"] else found

    monkeypatch.setattr(RunDirectory, "predictions", changed)
    assert "the test rows of split 0 differ" in compare([runs["first"], runs["wider"]])["why"]


def test_what_all_are_compared_with_can_be_said(runs: dict[str, Path]) -> None:
    both = [runs["first"], runs["wider"]]
    assert compare(both, against="wider: Sparse")["reference"] == "wider: Sparse"
    with pytest.raises(InputError, match="2 runs have an arm 'Sparse'. Say one of 'first: Sparse'"):
        compare(both, against="Sparse")
    with pytest.raises(InputError, match="no run has an arm 'wider: Spare'. Did you mean 'wider: Sparse'"):
        compare(both, against="wider: Spare")


def edited(run: Path, to: Path, **changes: object) -> Path:
    """The summary and the recipe of a run, with something changed."""
    to.mkdir()
    metrics = json.loads((run / "metrics.json").read_text())
    (to / "metrics.json").write_text(json.dumps(metrics | changes))
    (to / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    return to


def test_what_cannot_be_compared_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    first = runs["first"]
    with pytest.raises(DataError, match="two runs or more"):
        compare([first])
    with pytest.raises(DataError, match="is given twice"):
        compare([first, first.parent / "." / "first"])
    with pytest.raises(DataError, match="judged by auc, .* by r2: there is no scale"):
        compare([first, edited(first, tmp_path / "a", headline="r2")])
    with pytest.raises(DataError, match="is about 'nhefs', .* about 'mnist'"):
        compare([first, edited(first, tmp_path / "b", data={"name": "mnist"})])
    with pytest.raises(DataError, match="does not exist"):
        compare([first, tmp_path / "nothing"])
