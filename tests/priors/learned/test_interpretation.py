"""What a learned prior learned: against networks whose answer is known."""

import pytest
import torch
from torch import nn

from rightreasons import InputError
from rightreasons.priors import (
    LearnedPrior,
    MetaFeatures,
    explain_importance,
    partial_dependence,
    top_features,
)

NAMES = list("abcde")
TABLE = {
    "size": [1.0, 2.0, 4.0, 8.0, 5.0],
    "kind": ["x", "y", "z", "x", "x"],
    "age": [3.0, 1.0, 2.0, 5.0, 9.0],
}


class Known(nn.Module):
    """g = scale * (size^2 + 3 [kind = y] - age): in standardised units, of the columns below."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, meta: torch.Tensor) -> torch.Tensor:
        size, _, y, _, age = meta.T
        return self.scale * (size**2 + 3 * y - age)


class Sum(nn.Module):
    """g without parameters."""

    def forward(self, meta: torch.Tensor) -> torch.Tensor:
        return meta.sum(1)


def prior(scale: float = 1.0) -> LearnedPrior:
    return LearnedPrior(MetaFeatures.from_table(TABLE, NAMES, names=NAMES), Known(scale))


def test_a_number_keeps_its_unit_and_the_curve_its_sign():
    made = prior(-1.0)
    found = partial_dependence(made, "size", points=15)
    column = made.meta_features.columns[0]
    assert [float(found.values[0]), float(found.values[-1])] == pytest.approx([1.0, 8.0], rel=1e-6)
    standard = (found.values - column.centre) / column.scale
    rest = (-1.0 * (3 * made.meta[:, 2] - made.meta[:, 4])).mean()
    torch.testing.assert_close(found.mean, rest - standard**2)
    assert (found.mean < 0).any()
    # Individual curves are shifted by what else is known of the feature.
    shift = found.curves - found.mean
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-5, rtol=1e-5)


def test_runs_whose_meta_features_have_other_units_are_read_in_their_own():
    far = {**TABLE, "size": [101.0, 2.0, 4.0, 8.0, 5.0]}  # as a statistic of other training rows may be
    other = LearnedPrior(MetaFeatures.from_table(far, NAMES, names=NAMES), Known())
    both = partial_dependence([prior(), other], "size", points=5)
    alone = partial_dependence(other, "size", points=5)
    column = other.meta_features.columns[0]
    expected = ((both.values - column.centre) / column.scale) ** 2
    torch.testing.assert_close(both.runs[1] - both.runs[1, 0], expected - expected[0])
    assert both.values[-1] == pytest.approx(8.0)
    assert alone.values[-1] == pytest.approx(101.0)


def test_without_signs_the_largest_g_are_on_top():
    made = prior(-1.0)
    made.signed = False
    importance = made.importance().detach()
    assert importance.abs().argmax() != importance.argmax()
    assert top_features(made, k=1)[0].feature == NAMES[int(importance.argmax())]


def test_a_category_moves_as_a_whole():
    found = partial_dependence(prior(), "kind")
    assert found.levels == ("x", "y", "z")
    assert found.values.tolist() == [0, 1, 2]
    torch.testing.assert_close(found.mean[1] - found.mean[0], torch.tensor(3.0))
    torch.testing.assert_close(found.mean[2], found.mean[0])


def test_sets_and_indicators_are_no_or_yes():
    meta = MetaFeatures.from_sets({"pathway": ["a", "b"]}, NAMES)
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 2.0)
    found = partial_dependence(LearnedPrior(meta, network), "pathway")
    assert found.values.tolist() == [0, 1]
    torch.testing.assert_close(found.mean.diff(), torch.tensor([2.0]))


def test_bands_are_quantiles_of_runs():
    found = partial_dependence([prior(float(s)) for s in range(11)], "age", points=3)
    assert found.runs.shape == (11, 3)
    assert found.curves.shape == (5, 3)
    low, high = found.band(0.8)
    torch.testing.assert_close(low, found.runs.quantile(0.1, 0))
    torch.testing.assert_close(high, found.runs.quantile(0.9, 0))
    torch.testing.assert_close(found.mean, partial_dependence(prior(5.0), "age", points=3).mean)
    for made in (prior(), LearnedPrior(prior().meta_features, "constant")):
        assert not partial_dependence(made, "age").mean.requires_grad


def test_expected_gradients_of_g_are_complete_and_right():
    made = prior()
    found = explain_importance(made)
    importance = made.importance().detach()
    torch.testing.assert_close(found.sum(1), importance - importance.mean())
    size, age = made.meta[:, 0], made.meta[:, 4]
    torch.testing.assert_close(found[:, 0], size**2 - (size**2).mean())
    torch.testing.assert_close(found[:, 4], age.mean() - age)
    assert not found[:, 1].any()
    torch.testing.assert_close(explain_importance(made, ["d", "a"]), found[[3, 0]])
    few = explain_importance(made, references=2)
    assert (few.sum(1) - found.sum(1)).std() < 1e-5  # another mean, the same differences
    assert not torch.allclose(few, found)
    for network in ("zero", "constant"):
        assert not explain_importance(LearnedPrior(made.meta_features, network)).any()
    fixed = LearnedPrior(made.meta_features, Sum())
    torch.testing.assert_close(explain_importance(fixed), made.meta - made.meta.mean(0))


def test_top_features_have_signs_and_spreads():
    found = top_features([prior(1.0), prior(3.0)], k=2)
    importance = prior(2.0).importance().detach()
    order = importance.abs().argsort(descending=True)[:2].tolist()
    assert [each.feature for each in found] == [NAMES[i] for i in order]
    assert [each.importance for each in found] == pytest.approx([float(importance[i]) for i in order])
    assert found[0].spread == pytest.approx(abs(found[0].importance) / 2 * 2**0.5)
    assert top_features(prior(), k=1)[0].spread == 0


def test_refusals():
    made, other = prior(), LearnedPrior(MetaFeatures.from_sets({"s": ["a"]}, NAMES))
    with pytest.raises(InputError, match="no meta-feature 'sise'; there are 'size', 'kind', 'age'"):
        partial_dependence(made, "sise")
    with pytest.raises(InputError, match="at least two points; got 1"):
        partial_dependence(made, "size", points=1)
    with pytest.raises(InputError, match="at least one learned prior; got none"):
        partial_dependence([], "size")
    with pytest.raises(InputError, match="only if they have the same meta-features, in the same order"):
        top_features([made, other])
    moved = made.on(made.meta_features.aligned(NAMES[::-1]))
    with pytest.raises(InputError, match="about different features, whose g cannot be averaged"):
        top_features([made, moved])
    with pytest.raises(InputError, match="about different features"):
        partial_dependence([made, moved], "size")
    with pytest.raises(InputError, match="k must lie in 1..5, the number of features; got 9"):
        top_features(made, k=9)
    with pytest.raises(InputError, match="the prior has no feature 'z'; it has 'a', 'b', 'c'"):
        explain_importance(made, ["a", "z"])
    with pytest.raises(InputError, match="references counts features, at least 1; got 0"):
        explain_importance(made, references=0)
    with pytest.raises(InputError, match="coverage is the central share of the runs"):
        partial_dependence(made, "size").band(1.5)
