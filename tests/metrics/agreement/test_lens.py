import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import (
    LensResult,
    diverse_topk,
    lens,
    lens_precision,
    lens_recall,
    topk_intersection,
    topk_mask,
)
from rightreasons.metrics.agreement._windows import dilated
from rightreasons.priors import feature_graph
from tests.metrics import oracles
from tests.metrics.oracles import Defects


def noise(rows: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand((rows, *shape), generator=torch.Generator().manual_seed(seed))


def smooth(rows: int, shape: tuple[int, ...], sigma: float, seed: int) -> Tensor:
    """White noise under a Gaussian filter."""
    filtered = gaussian_filter(noise(rows, shape, seed).numpy(), (0, sigma, sigma))
    return torch.tensor(filtered)


def centred(rows: int, seed: int) -> Tensor:
    """Unrelated maps that share a centre: white noise under one Gaussian envelope."""
    place = torch.arange(28.0) - 13.5
    envelope = (-(place[:, None] ** 2 + place**2) / (2 * 6**2)).exp()
    return envelope * noise(rows, (28, 28), seed)


@pytest.mark.parametrize("tied", [False, True], ids=["random", "tie-heavy"])
@pytest.mark.parametrize("seed", range(20))
def test_equals_the_naive_loops_on_a_thousand_maps(seed: int, tied: bool):
    # 20 seeds x 2 kinds x 13 pairs: 1,040 maps, every metric of the family on each pair.
    shape, k, radius = (5 + seed % 3, 4 + seed % 5), 1 + seed % 7, seed % 4
    a, b = noise(13, shape, seed), noise(13, shape, seed + 100)
    if tied:
        a, b = (3 * a).floor(), (2 * b).floor()
    for diversity in (0, radius):
        achieved = lens(a, b, k, radius, adjust="uniform", diversity=diversity).achieved
        recall = lens_recall(a, b, k, radius, diversity=diversity)
        precision = lens_precision(a, b, k, radius, diversity=diversity)
        for row in range(len(a)):
            least = min(len(oracles.diverse(maps[row], k, diversity)) for maps in (a, b))
            assert int(achieved[row]) == least
            if least < k:
                assert recall[row].isnan()
                continue
            expected = oracles.recall(a[row], b[row], k, radius, diversity)
            assert float(recall[row]) == pytest.approx(expected)
            assert float(precision[row]) == pytest.approx(
                oracles.precision(a[row], b[row], k, radius, diversity)
            )


SMALL = arrays("float32", (1, 4, 5), elements=st.integers(0, 3).map(float))


@settings(max_examples=100)
@given(a=SMALL, b=SMALL, k=st.integers(1, 20), radius=st.integers(0, 6), diversity=st.integers(0, 2))
def test_equals_the_naive_loops_wherever_hypothesis_looks(a, b, k: int, radius: int, diversity: int):
    a, b = torch.tensor(a), torch.tensor(b)
    result = lens(a, b, k, radius, adjust="uniform", diversity=diversity)
    ranked = a.unique().numel() > 1 and b.unique().numel() > 1
    least = min(len(oracles.diverse(maps[0], k, diversity)) for maps in (a, b)) if ranked else 0
    assert int(result.achieved) == least
    if least < k:
        assert all(field.isnan() for field in result[:3])
    else:
        assert float(result.observed) == pytest.approx(oracles.recall(a[0], b[0], k, radius, diversity))
        assert 0 <= float(result.chance) <= 1


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 24), diversity=st.integers(0, 1))
def test_grows_with_the_window_and_mirrors(seed: int, k: int, diversity: int):
    a, b = noise(3, (5, 5), seed), noise(3, (5, 5), seed + 1)
    plain = topk_intersection(a, b, k, diversity=diversity)
    torch.testing.assert_close(
        lens_recall(a, b, k, 0, diversity=diversity), plain, rtol=0, atol=0, equal_nan=True
    )
    before = plain
    for window in range(1, 6):
        now = lens_recall(a, b, k, window, diversity=diversity)
        assert (now >= before).logical_or(now.isnan()).all()
        mirrored = lens_precision(b, a, k, window, diversity=diversity)
        torch.testing.assert_close(now, mirrored, rtol=0, atol=0, equal_nan=True)
        before = now
    assert (before.isnan() | (before == 1)).all()


@pytest.mark.parametrize("adjust", ["uniform", "unrelated"])
def test_mirrors_with_its_chance_level(adjust):
    a, b = noise(6, (8, 8)), noise(6, (8, 8), 1)
    assert torch.equal(lens_recall(a, b, 5, adjust=adjust), lens_precision(b, a, 5, adjust=adjust))


@pytest.mark.parametrize("corner", [(0, 0), (0, 4), (3, 0), (3, 4)])
def test_windows_stop_at_the_border_and_hold_the_first_pixel(corner: tuple[int, int]):
    a = torch.zeros(1, 4, 5)
    a[0][corner] = 1
    for place in oracles.places(a[0]):
        b = torch.zeros(1, 4, 5)
        b[0][place] = 1
        near = max(abs(x - y) for x, y in zip(place, corner, strict=True)) <= 1
        assert float(lens_recall(a, b, 1, 1)) == near


def test_uniform_chance_is_the_expectation_over_random_sets():
    a = noise(1, (6, 6))
    b = noise(4000, (6, 6), 1)
    result = lens(a.expand_as(b), b, 5, 1, adjust="uniform")
    covered = float(dilated(topk_mask(a, 5), 1, None).float().mean())
    assert float(result.chance[0]) == pytest.approx(covered)
    # The standard error of the mean of 4000 draws is below .0035.
    assert float(result.observed.mean()) == pytest.approx(covered, abs=0.012)
    assert abs(float(result.adjusted.mean())) < 0.02
    assert float(result.adjusted.mean()) == pytest.approx(float(result.pooled()), abs=1e-5)


def test_unrelated_chance_is_the_mean_over_the_other_rows():
    a, b = noise(6, (5, 5)), noise(6, (5, 5), 1)
    result = lens(a, b, 4, 1)
    expected = [oracles.unrelated_chance(a, b, 4, 1, row) for row in range(6)]
    torch.testing.assert_close(result.chance, torch.tensor(expected))
    torch.testing.assert_close(result.adjusted, (result.observed - result.chance) / (1 - result.chance))


def test_undefined_rows_are_left_out_of_the_unrelated_level():
    a, b = noise(6, (5, 5)), noise(6, (5, 5), 1)
    kept = torch.tensor([0, 1, 3, 4, 5])
    alone = lens(a[kept], b[kept], 4)
    b[2] = 7.0
    result = lens(a, b, 4)
    assert result.achieved.tolist() == [4, 4, 0, 4, 4, 4]
    assert all(field[2].isnan() for field in result[:3])
    torch.testing.assert_close(result.chance[kept], alone.chance)


def test_with_one_defined_row_there_is_no_unrelated_level():
    a = noise(2, (5, 5))
    a[1] = 0
    result = lens(a, a, 4)
    assert result.observed.tolist()[0] == 1
    assert result.chance.isnan().all()
    assert result.adjusted.isnan().all()


# Spec 1.3: (shape, k) -> top-k, LENS at windows 1, 2, 3 of unrelated white noise.
FLOORS = [
    ((28, 28), 100, (0.126, 0.687, 0.951, 0.994), 200),
    ((32, 32), 100, (0.096, 0.591, 0.908, 0.987), 200),
    ((128, 128), 1000, (0.060, 0.431, 0.785, 0.947), 30),
    ((224, 224), 1000, (0.020, 0.162, 0.388, 0.617), 30),
    ((227, 227), 1000, (0.020, 0.163, 0.388, 0.614), 30),
]


@pytest.mark.parametrize(("shape", "k", "floors", "rows"), FLOORS)
def test_white_noise_scores_what_the_table_says(shape, k: int, floors: tuple[float, ...], rows: int):
    a, b = noise(rows, shape), noise(rows, shape, 1)
    around, counted = topk_mask(a, k), topk_mask(b, k)
    for window, floor in enumerate(floors):
        observed = (dilated(around, window, None) & counted).flatten(1).sum(1) / k
        assert float(observed.mean()) == pytest.approx(floor, abs=0.01)


# Spec 1.3 says .829 and .673 from 16 draws, whose standard error is .01; 400 draws give these.
@pytest.mark.parametrize(("side", "floor"), [(28, 0.816), (32, 0.684)])
def test_white_noise_with_diversity_scores_what_the_table_says(side: int, floor: float):
    a, b = noise(100, (side, side)), noise(100, (side, side), 1)
    result = lens(a, b, 100, 1, diversity=1)
    assert float(result.observed.mean()) == pytest.approx(floor, abs=0.01)
    assert abs(float(result.pooled())) < 0.02
    for window in (2, 3):
        result = lens(a[:5], b[:5], 100, window, diversity=window)
        assert (result.achieved < 100).all()
        assert result.observed.isnan().all()


def test_chance_above_the_limit_is_nan():
    a, b = noise(20, (28, 28)), noise(20, (28, 28), 1)
    for adjust in ("uniform", "unrelated"):
        result = lens(a, b, 100, 3, adjust=adjust)
        assert torch.equal(result.adjusted.isnan(), result.chance > 0.99)
        assert result.adjusted.isnan().any()
        assert (result.achieved == 100).all()


def test_unrelated_centred_maps_agree_until_the_unrelated_level_is_taken_out():
    a, b = centred(200, 0), centred(200, 1)
    observed = lens_recall(a, b, 100)
    uniform = lens_recall(a, b, 100, adjust="uniform")
    assert float(observed.mean()) == pytest.approx(0.977, abs=0.01)
    assert float(uniform.mean()) == pytest.approx(0.967, abs=0.01)
    unrelated = lens(a, b, 100)
    assert abs(float(unrelated.observed.mean() - unrelated.chance.mean())) < 0.002
    assert abs(float(unrelated.pooled())) < 0.07  # a difference of .002 over the .025 that are left


def test_a_shift_within_the_window_is_forgiven():
    # Spec 1.3: smoothed by 2 px and shifted by 1 or 3 px, at 227 x 227 and k = 1000.
    wide = smooth(12, (227, 230), 2, 0)
    a, near, far = wide[..., 3:], wide[..., 2:-1], wide[..., :-3]
    assert float(topk_intersection(a, near, 1000).mean()) == pytest.approx(0.64, abs=0.04)
    assert float(lens_recall(a, near, 1000, 1).mean()) == pytest.approx(0.98, abs=0.02)
    for window, expected in enumerate((0.18, 0.46, 0.76, 0.96)):
        assert float(lens_recall(a, far, 1000, window).mean()) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_published_row_wrap_raises_lens_on_smooth_maps(window: int):
    # Spec 1.2: +.025, +.066, +.050 on the mean of 30 such pairs at windows 1, 2, 3.
    wraps = Defects(row_wrap=True, zero_dropped=True)
    a, b = smooth(6, (28, 28), 3, 0), smooth(6, (28, 28), 3, 1)
    correct = [oracles.recall(x, y, 100, window) for x, y in zip(a, b, strict=True)]
    published = [oracles.recall(x, y, 100, window, 0, wraps) for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(lens_recall(a, b, 100, window), torch.tensor(correct))
    assert 0 < sum(published) / 6 - sum(correct) / 6 < 0.15


def test_published_windows_drop_the_first_pixel():
    a = torch.zeros(1, 3, 3).index_put((torch.tensor(0),) * 3, torch.tensor(1.0))
    assert float(lens_recall(a, a, 1, 0)) == 1
    assert oracles.recall(a[0], a[0], 1, 0, 0, Defects(zero_dropped=True)) == 0


def test_published_diverse_picks_leave_the_first_pixel_out():
    grid = torch.arange(25.0, 0.0, -1.0).reshape(5, 5)  # the first pixel is the largest
    assert oracles.diverse(grid, 2, 1) == [(0, 0), (0, 2)]
    assert oracles.diverse(grid, 2, 1, Defects(zero_dropped=True)) == [(0, 1), (0, 3)]


def test_published_seven_by_seven_windows_at_width_128_take_the_fourth_rows():
    wrong = Defects(fourth_rows=True)
    correct, published = (oracles.window((9, 9), 3, (128, 128), each) for each in (Defects(), wrong))
    assert published - correct == {(row, column) for row in (5, 13) for column in range(6, 13)}
    assert correct - published == {(row, column) for row in (6, 12) for column in range(6, 13)}
    for radius, shape in ((2, (128, 128)), (3, (28, 28))):
        assert oracles.window((9, 9), radius, shape, wrong) == oracles.window((9, 9), radius, shape)


def test_windows_of_the_published_attack_continue_at_the_end_of_the_map():
    correct = oracles.window((0, 1), 1, (4, 5))
    published = oracles.window((0, 1), 1, (4, 5), Defects(row_wrap=True, end_wrap=True))
    assert published - correct == {(3, 0), (3, 1), (3, 2)}
    assert correct <= published


def test_published_sets_keep_other_ties():
    tied = torch.zeros(28, 28)
    tied[10:14, 10:14] = 1
    correct, published = oracles.topk(tied, 20), oracles.topk(tied, 20, Defects(argsort=True))
    assert all(place in published for place in oracles.topk(tied, 16))
    assert published != correct  # other zeros than the first
    untied = noise(1, (9, 9))[0]
    assert oracles.topk(untied, 20, Defects(argsort=True)) == oracles.topk(untied, 20)


def test_published_diverse_picks_skip_the_second_and_stop_at_their_candidates():
    grid = noise(1, (9, 9))[0]
    correct = oracles.diverse(grid, 5, 1)
    assert oracles.diverse(grid, 4, 1, Defects(second_skipped=True)) == correct[:1] + correct[2:]
    assert len(oracles.diverse(grid, 5, 1, Defects(candidates=3))) < 5
    bound = (5 - 1) * 9 + 1  # picks block at most 9 places each, so no more candidates are ever needed
    assert oracles.diverse(grid, 5, 1, Defects(candidates=bound)) == correct


def test_windows_over_a_graph():
    # a path 0 - 1 - 2 - 3 and a feature without edges
    graph = feature_graph(
        torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]), 1).add(
            torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]), -1)
        )
    )
    first, second = torch.eye(5)[:1], torch.eye(5)
    for window, expected in enumerate(([1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0])):
        recall = lens_recall(first.expand(5, 5), second, 1, window, graph=graph)
        assert recall.tolist() == expected
    axis = noise(4, (5,))
    chain = feature_graph(torch.diag(torch.ones(4), 1) + torch.diag(torch.ones(4), -1))
    for diversity in (0, 1, 2):
        result = lens(axis, axis.flip(0), 2, 1, adjust="uniform", diversity=diversity)
        over = lens(axis, axis.flip(0), 2, 1, adjust="uniform", diversity=diversity, graph=chain)
        for field, other in zip(result, over, strict=True):
            torch.testing.assert_close(field, other, equal_nan=True)


def test_result_is_a_tuple_of_rows():
    result = lens(noise(3, (5, 5)), noise(3, (5, 5), 1), 0.2)
    assert isinstance(result, LensResult)
    assert [field.shape for field in result] == [(3,)] * 4
    assert result.achieved.tolist() == [5, 5, 5]
    assert result.achieved.dtype == torch.int64


def test_diverse_sets_are_those_of_diverse_topk():
    a = noise(3, (9, 9))
    mask, achieved = diverse_topk(a, 9, 1)
    result = lens(a, a, 9, 0, adjust="uniform", diversity=1)
    assert torch.equal(result.achieved, achieved)
    torch.testing.assert_close(result.chance, mask.flatten(1).float().mean(1))


@pytest.mark.usefixtures("without_type_checks")
def test_bad_arguments():
    a = noise(3, (5, 5))
    with pytest.raises(
        InputError, match=r"lens_recall: k must lie between 1 and the 25 positions of a map; got 26"
    ):
        lens_recall(a, a, 26)
    with pytest.raises(InputError, match="k must be a number; got True"):
        topk_intersection(a, a, True)
    with pytest.raises(InputError, match=r"lens_precision: window is a radius .* got -1"):
        lens_precision(a, a, 5, -1)
    with pytest.raises(InputError, match="diversity must be a whole number; got 0.5"):
        lens(a, a, 5, diversity=0.5)
    with pytest.raises(InputError, match=r"adjust must be one of 'uniform', 'unrelated', None; got 'white'"):
        lens_recall(a, a, 5, adjust="white")
    with pytest.raises(InputError, match=r"maps of other rows, and the batch has 1"):
        lens(a[:1], a[:1], 5)
    with pytest.raises(ShapeError, match=r"over 1, 2 or 3 dimensions; got \(1, 2, 2, 2, 2\)"):
        lens_recall(torch.ones(1, 2, 2, 2, 2), torch.ones(1, 2, 2, 2, 2), 5, reduce=None)
    with pytest.raises(ShapeError, match=r"graph of 4 nodes need maps \(B, 4\); got \(3, 5, 5\)"):
        lens_recall(a, a, 5, graph=feature_graph(1 - torch.eye(4)))
