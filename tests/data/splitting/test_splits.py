import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import DataError, InputError
from rightreasons.data import SURVIVAL, DataSet, splits
from rightreasons.data.splitting._splits import drawn

Y = torch.tensor([0] * 80 + [1] * 20)


def test_parts_are_disjoint_sized_and_cover_what_was_asked():
    for split in splits(Y, 5, train=30, validation=0.2, test=None):
        assert [len(part) for part in split] == [30, 20, 50]
        assert sorted(torch.cat(split).tolist()) == list(range(100))


def test_rows_beyond_the_sizes_are_left_out():
    split = next(splits(Y, 1, train=10, validation=10, test=10))
    assert len(set(torch.cat(split).tolist())) == 30


def test_stratified_parts_keep_the_class_shares():
    for split in splits(Y, 5, train=30, validation=20):
        assert [int(Y[part].sum()) for part in split] == [6, 4, 10]


@given(
    st.lists(st.integers(10, 40), min_size=2, max_size=5),
    st.floats(0.2, 0.5),
    st.floats(0.2, 0.4),
    st.integers(0, 9),
)
def test_every_class_is_within_two_rows_of_its_share(counts, train, validation, seed):
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    split = next(splits(y, 1, train, validation, seed=seed))
    assert sorted(torch.cat(split).tolist()) == list(range(len(y)))
    for part, (label, count) in itertools.product(split, enumerate(counts)):
        assert abs(int((y[part] == label).sum()) - count * len(part) / len(y)) < 2


def test_a_seed_fixes_the_splits_and_more_splits_extend_fewer():
    few, many = list(splits(Y, 2, 20, 20, seed=3)), list(splits(Y, 4, 20, 20, seed=3))
    for a, b in zip(few, many, strict=False):
        assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not torch.equal(many[2].train, many[3].train)
    assert not torch.equal(many[0].train, next(splits(Y, 1, 20, 20, seed=4)).train)


def test_the_global_random_state_is_not_touched():
    before = torch.get_rng_state()
    list(splits(Y, 3, 20, 20))
    assert torch.equal(before, torch.get_rng_state())


def test_every_row_is_as_likely_as_another_of_its_class():
    picked = torch.zeros(100)
    for split in splits(Y, 400, train=50, validation=0):
        picked[split.train] += 1
    # 400 draws at 1/2: a standard deviation of 10 rows; the extreme of 100 rows stays within 5.
    assert (picked - 200).abs().max() < 50


def test_numbers_as_labels_are_split_at_random():
    y = torch.linspace(0, 1, 10)
    data = DataSet("d", torch.zeros(10, 1), y)
    assert [len(part) for part in next(splits(data, 1, train=0.5, validation=0.25))] == [5, 2, 3]


def test_no_validation_rows_is_allowed():
    assert [len(part) for part in next(splits(Y, 1, train=None, validation=0, test=40))] == [60, 0, 40]


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ((0, 10, 10), "train must be a number of rows .at least 1"),
        ((10, -1, 10), "validation must be a number of rows .at least 0"),
        ((10, 10, 1.0), "test must be .* got 1.0"),
        ((True, 10, 10), "train must be .* got True"),
        ((90, 20, None), "cannot be taken from 100 rows"),
        ((50, 50, None), "cannot be taken from 100 rows"),
        ((None, None, 10), "at most one may be None"),
        ((0.001, 10, 10), "cannot be taken from 100 rows"),
    ],
)
def test_impossible_sizes_are_refused_before_anything_is_drawn(sizes, match):
    with pytest.raises((DataError, InputError), match=match):
        splits(Y, 1, *sizes)


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_count_and_seed_are_checked(count, seed):
    with pytest.raises(DataError, match="count must be at least 1 and seed at least 0"):
        splits(Y, count, 10, 10, seed=seed)


def test_labels_of_one_class_are_refused():
    with pytest.raises(DataError, match="All 9 labels are class 3"):
        splits(torch.full((9,), 3), 1, 3, 3)


def test_a_part_without_a_class_is_refused():
    rare = torch.tensor([0] * 98 + [1] * 2)
    with pytest.raises(
        DataError, match=r"no row of class \[1\], of which there are \[2\].*merge rare classes"
    ):
        list(splits(rare, 1, train=30, validation=30))
    named = DataSet("d", torch.zeros(100, 1), rare, classes=("usual", "rare"))
    with pytest.raises(DataError, match=r"no row of class \['rare'\]"):
        list(splits(named, 1, train=30, validation=30))
    with pytest.raises(DataError, match="stratify=True"):
        list(splits(rare, 20, train=10, validation=10, stratify=False))


def visits(sizes, labels=None, parts=()):
    """A data set with one cluster of each size; a row's label is its cluster's."""
    clusters = [f"patient {i}" for i, size in enumerate(sizes) for _ in range(size)]
    y = torch.tensor(
        [(labels or [0, 1] * len(sizes))[i] for i, size in enumerate(sizes) for _ in range(size)]
    )
    return DataSet("d", torch.arange(len(y))[:, None].float(), y, clusters=tuple(clusters), parts=parts)


@given(st.lists(st.integers(1, 6), min_size=30, max_size=50), st.integers(0, 9), st.booleans())
def test_no_cluster_is_on_two_sides_and_no_row_is_lost(sizes, seed, stratify):
    data = visits(sizes)
    split = next(splits(data, 1, 0.5, 0.25, seed=seed, stratify=stratify))
    assert sorted(torch.cat(split).tolist()) == list(range(len(data)))
    sides = [{data.clusters[row] for row in part.tolist()} for part in split]
    assert all(not a & b for a, b in itertools.combinations(sides, 2))
    for part, wanted in zip(split, (0.5, 0.25, 0.25), strict=True):
        assert abs(len(part) - wanted * len(data)) <= max(sizes)


def test_clusters_are_stratified_repeated_and_left_out_beyond_the_sizes():
    data = visits([3] * 100, labels=[1] * 20 + [0] * 80)
    found = list(splits(data, 4, train=60, validation=30, test=90, seed=1))
    for split in found:
        assert [len(part) for part in split] == [60, 30, 90]
        assert [int(data.y[part].sum()) for part in split] == [12, 6, 18]
    assert not torch.equal(found[0].train.sort().values, found[1].train.sort().values)
    again = list(splits(data, 2, train=60, validation=30, test=90, seed=1))
    assert all(
        torch.equal(p, q) for a, b in zip(again, found, strict=False) for p, q in zip(a, b, strict=True)
    )


def test_splits_of_few_clusters_of_different_sizes_differ():
    data = visits([26, 25, 23, 22, 20, 15, 15, 14])
    found = list(splits(data, 10, train=0.6, validation=0.2))
    tests = {frozenset(data.clusters[row] for row in split.test.tolist()) for split in found}
    assert len(tests) >= 6
    for split in found:
        assert all(
            abs(len(part) - share * 160) <= 26 for part, share in zip(split, (0.6, 0.2, 0.2), strict=True)
        )


def test_fewer_clusters_than_parts_are_refused():
    with pytest.raises(
        DataError, match="2 groups of up to 20 rows cannot be split into parts of 20, 10, 10 rows"
    ):
        next(splits(visits([20, 20]), 1, 20, 10))


def test_survival_is_stratified_by_event():
    event = torch.tensor([1.0] * 20 + [0.0] * 80)
    y = torch.stack([torch.arange(100.0), event], dim=1)
    data = DataSet("d", torch.zeros(100, 1), y, labels=("time", "event"))
    assert [int(event[part].sum()) for part in next(splits(data, 1, 30, 20))] == [6, 4, 10]
    with pytest.raises(DataError, match="All 100 labels are class 0"):
        splits(DataSet("d", data.x, y * torch.tensor([1.0, 0.0]), labels=("time", "event")), 1, 30, 20)


def test_rows_are_drawn_by_class_wherever_they_lie() -> None:
    y = torch.tensor([0] * 90 + [1] * 9 + [2])
    rows = DataSet("sorted", torch.zeros(100, 1), y, classes=("a", "b", "c"))
    found = drawn(rows, 20, seed=3)
    assert torch.bincount(y[found]).tolist() == [17, 2, 1]  # 18, 1.8 and .2, but none is left out
    assert len(found.unique()) == 20
    assert torch.equal(found, drawn(rows, 20, seed=3))
    assert not torch.equal(found, drawn(rows, 20, seed=4))
    assert drawn(rows, 1000, seed=0).sort().values.tolist() == list(range(100))


def test_rows_are_drawn_by_event_and_other_labels_by_chance() -> None:
    event = (torch.arange(40) < 10).float()
    lives = DataSet("s", torch.zeros(40, 1), torch.stack([torch.ones(40), event], 1), labels=SURVIVAL)
    assert event[drawn(lives, 8, seed=0)].sum() == 2
    numbers = DataSet("r", torch.zeros(40, 1), torch.arange(40.0))
    assert drawn(numbers, 8, seed=0).max() > 8


def test_a_misspelt_class_is_named_where_it_stops_a_split() -> None:
    y = torch.tensor([0] * 40 + [1] * 20 + [2])
    rows = DataSet("d", torch.zeros(61, 1), y, classes=("flags", "fields", "flgas"))
    with pytest.raises(DataError, match=r"no row of class \['flgas'\].* Is 'flgas' a misspelt 'flags'\?$"):
        next(splits(rows, count=1, train=0.6, validation=0.2))
