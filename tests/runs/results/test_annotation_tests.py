"""What learned priors found, held against sets and features that matter."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hypergeom

from rightreasons.core._errors import RecipeError
from rightreasons.recipes import Recipe, read
from rightreasons.report.sections._learned import recovery
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.results._annotation_tests import Elsewhere, held_against
from rightreasons.runs.setup._datasets import parts
from rightreasons.runs.setup._plan import plan
from tests.runs.results.test_learned import HEAD, HELD, folder, recipe

NAMES = [f"g{i}" for i in range(40)]


def learned(*importance: list[float], signed: bool = True) -> list[dict[str, object]]:
    return [{"features": NAMES, "importance": row, "signed": signed} for row in importance]


def known(**sets: list[str]) -> Elsewhere:
    return Elsewhere(sets, np.array([i < 4 for i in range(40)]))


def test_enrichment_is_of_the_mean_over_splits() -> None:
    first, second = [0.01 * i for i in range(40)], [0.0] * 40
    second[:10] = [-9.0 + 0.1 * i for i in range(10)]
    found = known(low=NAMES[:8], high=NAMES[-8:]).found(learned(first, second))
    assert (found["top"], found["tested"]) == (10, 2)
    low, high = found["enrichment"]
    assert (low["name"], len(low["chosen"]), low["expected"]) == ("low", 8, 2.0)
    assert low["p"] == pytest.approx(hypergeom.sf(7, 40, 8, 10))
    assert high["chosen"] == ()
    assert found["recovery"] == [0.0, 1.0]  # of |g|, split by split
    assert found["relevant"] == 4


def test_without_signs_less_than_nothing_is_not_much() -> None:
    g = [-1.0] * 4 + [0.01 * i for i in range(36)]
    assert known().found(learned(g, signed=False))["recovery"] == [0.0]
    assert known().found(learned(g))["recovery"][0] > 0.9


def test_features_alike_are_not_told_apart_by_their_order() -> None:
    two_levels = [1.0 + 1e-9 * i for i in range(20)] + [0.5] * 20  # differ by rounding only
    found = known(some=NAMES[:10]).found(learned(two_levels))
    assert (found["top"], found["enrichment"]) == (0, [])
    assert found["recovery"][0] == pytest.approx((4 * 20 + 4 * 16 / 2) / (4 * 36))
    found = known(some=NAMES[:10]).found(learned([2.0] * 3 + two_levels[3:]))
    assert found["top"] == 3


def test_recovery_in_words() -> None:
    arms = [
        {"name": name, "held_against": {"features": 9, "relevant": 2, "recovery": values}}
        for name, values in (("A", [0.5, 1.0]), ("A: constant g", [0.5, 0.5]))
    ]
    text = recovery([*arms, {"name": "A: g = 0", "learned": None}], "A")
    assert "from the other 7 with an AUC of 0.75 (0.50 to 1.00) (mean over splits and range" in text
    assert text.endswith("Its controls: constant g 0.50 (0.50 to 0.50).")


def test_fits_do_not_depend_on_it(tmp_path: Path) -> None:
    plain, held = recipe(tmp_path), recipe(tmp_path, held=HELD)
    assert [fit.id for fit in plan(plain)] == [fit.id for fit in plan(held)]
    assert held.explain.files == ("sets.gmt", "relevant.txt")


def test_columns_stand_for_their_features(tmp_path: Path) -> None:
    asked = recipe(tmp_path, held="  relevant: [kind]\n")
    train = parts(asked, 0).train
    found = Elsewhere.of(asked, train.feature_names, train)
    assert found is not None
    assert found.relevant is not None
    assert found.relevant.tolist() == [False, False, True, True, False]
    on_columns = Elsewhere.of(asked, ("a", "b", "kind", "d"), train)
    assert on_columns is not None
    assert on_columns.relevant is not None
    assert on_columns.relevant.tolist() == [False, False, True, False]
    arms = [{"name": "Plain", "learned": None}]
    held_against(asked, arms, train)
    assert arms == [{"name": "Plain", "learned": None}]


def plain_recipe(path: Path, held: str) -> Recipe:
    (folder(path) / "recipe.yaml").write_text(HEAD + held + "arms: [{name: Plain}]\n")
    return read(path / "recipe.yaml")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("  relevant: [a, bb]\n", "relevant: 1 of 2 names are no column of the data. The first is 'bb'. Did you"),
        ("  relevant: [a, b, kind, d]\n", "relevant: 5 of 5 features are said to matter"),
        ("  relevant: not there.txt\n", "relevant: .*not there.txt cannot be read as text, one name on each line"),
        ("  sets: not there.gmt\n", "sets: .*not there.gmt cannot be read"),
        ("  sets: meta.csv\n", "sets: .*must have a name, a description and members on each line"),
        ("  sets: relevant.txt\n", "sets: .*must have a name, a description and members"),
        ("  sets: few.gmt\n", "sets: none of 1 sets has 3 members among the 5 features"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(tmp_path: Path, held: str, message: str) -> None:
    (tmp_path / "few.gmt").write_text("few\t\ta\tb\tzzz\n")
    with pytest.raises(RecipeError, match=message):
        rehearse(recipe(tmp_path, held=held))


def test_there_is_nothing_to_hold_against_it_without_a_learned_prior(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="what learned priors are held against, and no arm has one"):
        rehearse(plain_recipe(tmp_path, HELD))
