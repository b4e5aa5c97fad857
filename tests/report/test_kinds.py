"""A page for every kind of data a recipe can name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rightreasons import report
from rightreasons.report._run_view import Source
from rightreasons.report.sections import _risk
from rightreasons.report.sections._classes import _that_matter, class_shares, mean_maps
from rightreasons.report.sections._provenance import made_section
from rightreasons.runs import RunDirectory
from tests.runs.kinds import NAMES, known, run_of

SAYS = {
    "regression": ("the predicted value", "Predicted and true values", "Root mean squared error"),
    "survival": ("the log-hazard", "Do predicted risks come true?", "high third of predicted risk"),
    "multiclass-table": ("the logit of the row’s true class", "Class by class", "Calibration error"),
    "multilabel": ("one label for each row", "Label by label", "Probability of each label"),
    "sequences": ("the sequence’s true class", "Attribution maps of the same test inputs", "Each channel is a line"),
    "text": ("the logit of “for”", "Text 1, label against; explained: “for”", "words with the largest mean"),
    "unnamed": ("the logit of “yes”", "What the networks rely on", "input 0"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: run_of(kind, folder) for kind in NAMES}


@pytest.mark.parametrize("kind", NAMES)
def test_the_page_of_every_kind_says_what_is_explained(kind: str, made: dict[str, RunDirectory]) -> None:
    with known():
        page = report.render(made[kind])
    for words in SAYS[kind]:
        assert words in page, words


def test_mean_maps_are_means_over_the_rows_of_all_splits(made: dict[str, RunDirectory]) -> None:
    with known():
        source = Source.of(made["sequences"])
    arm = source.arms[0]
    maps, counts = mean_maps(source, arm)
    first, second = source.maps(arm, 0), source.maps(arm, 1)
    total = first["class_counts"] + second["class_counts"]
    assert counts.tolist() == total.tolist()
    for k in range(3):
        expected = (
            first["class_maps"][k] * first["class_counts"][k]
            + second["class_maps"][k] * second["class_counts"][k]
        )
        assert maps[k] == pytest.approx(expected / total[k], abs=1e-6)


def test_the_networks_rely_on_what_makes_a_label(made: dict[str, RunDirectory]) -> None:
    with known():
        source = Source.of(made["multilabel"])
    shares = class_shares(source, source.arms[0])  # label k depends on column k alone
    assert shares.sum(0) == pytest.approx([1, 1, 1])
    assert shares.argmax(0).tolist() == [0, 1, 2]


def test_words_are_marked_by_a_line_as_well_as_by_colour(made: dict[str, RunDirectory]) -> None:
    with known():
        page = report.render(made["text"])
    assert 'class="for"' in page
    assert 'class="against"' in page
    css = (Path(report.__file__).parent / "page.css").read_text()
    assert ".passage .against { border-bottom: 2px dotted" in css


def test_the_page_names_the_column_that_is_predicted(made: dict[str, RunDirectory]) -> None:
    with known():
        source = Source.of(made["survival"])
    assert source.label == ""  # a set, which comes with its label
    own = source.recipe.data.model_copy(update={"name": None, "path": "t.csv", "target": "months"})
    named = replace(source, recipe=source.recipe.model_copy(update={"data": own}))
    assert named.label == "“months”"
    assert "how long (“months”) they went without the event" in repr(_risk.section(named))
    assert "Label: “months”." in repr(made_section(named))
    several = own.model_copy(update={"target": ["a", "b"]})
    assert replace(source, recipe=source.recipe.model_copy(update={"data": several})).label == "“a”, “b”"


def test_every_class_shows_the_columns_that_matter_to_it() -> None:
    shares = np.full((765, 3), 1e-4)
    shares[:20, 0] = np.linspace(0.04, 0.03, 20)  # class 0 alone would fill the figure
    shares[[100, 101], 1], shares[[200, 201], 2] = 0.02, 0.01
    assert _that_matter(shares).tolist() == [*range(12), 100, 101, 200, 201]
    assert _that_matter(shares[:5]).tolist() == [0, 1, 2, 3, 4]
