import builtins
from itertools import combinations

import pytest

from rightreasons import MissingExtraError
from rightreasons.core._errors import InputError
from rightreasons.stats import benjamini_hochberg, enrichment

FEATURES = list("abcdefgh")
SETS = {"first": list("abc"), "last": list("fgh"), "other": list("ade"), "beyond": list("abcXYZ")}


def test_p_is_the_share_of_choices_that_hold_as_many():
    found = {each.name: each for each in enrichment(list("abd"), FEATURES, SETS)}
    for name, members in SETS.items():
        inside = set(members) & set(FEATURES)
        shared = len(inside & set("abd"))
        choices = list(combinations(FEATURES, 3))
        expected = sum(len(inside & set(choice)) >= shared for choice in choices) / len(choices)
        assert found[name].p == pytest.approx(expected, rel=1e-12)
        assert found[name].expected == pytest.approx(3 * len(inside) / 8)
        assert found[name].size == len(inside)
        assert set(found[name].chosen) == inside & set("abd")


def test_strongest_first_and_adjusted_over_what_was_tested():
    found = enrichment(list("abc"), FEATURES, {**SETS, "small": ["a"]})
    assert [each.p for each in found] == sorted(each.p for each in found)
    assert "small" not in [each.name for each in found]
    assert [each.adjusted for each in found] == benjamini_hochberg([each.p for each in found])
    assert len(enrichment(list("abc"), FEATURES, {**SETS, "small": ["a"]}, smallest=1)) == 5


@pytest.mark.parametrize(
    ("chosen", "sets", "message"),
    [
        (["a", "b", "z"], SETS, "some of the features; 1 are not, such as 'z'"),
        ([], SETS, "none were given"),
        (["a", "b"], {"x": list("XYZ")}, "none of 1 sets has 3 members among the 8 features"),
    ],
)
def test_refusals(chosen, sets, message):
    with pytest.raises(InputError, match=message):
        enrichment(chosen, FEATURES, sets)


def test_without_scipy_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="enrichment needs scipy"):
        enrichment(list("abc"), FEATURES, SETS)


@pytest.mark.parametrize(
    ("chosen", "features", "sets", "what"),
    [
        ("ab", FEATURES, SETS, "chosen"),
        (["a"], "abcdefgh", SETS, "features"),
        (["a"], FEATURES, {"first": "abc"}, r"sets\['first'\]"),
    ],
)
def test_a_text_is_no_list_of_features(chosen, features, sets, what):
    with pytest.raises(InputError, match=f"{what} is a list of names; got the text 'ab"):
        enrichment(chosen, features, sets)
