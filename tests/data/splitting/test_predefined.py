import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import DataSet, predefined

Y = torch.tensor([0, 1] * 10)


def data(parts, clusters=()):
    return DataSet("d", torch.zeros(len(Y), 1), Y, parts=tuple(parts), clusters=tuple(clusters))


def test_named_parts_are_taken_as_they_are():
    parts = ["train"] * 10 + ["validation"] * 4 + ["test"] * 6
    (split,) = predefined(data(parts))
    assert [part.tolist() for part in split] == [[*range(10)], [*range(10, 14)], [*range(14, 20)]]


def test_validation_is_drawn_from_training_rows_and_test_stays():
    parts = ["test", "train"] * 10
    found = list(predefined(data(["test"] * 4 + ["train"] * 16), count=3, validation=0.25))
    for split in found:
        assert split.test.tolist() == [0, 1, 2, 3]
        assert sorted(torch.cat([split.train, split.validation]).tolist()) == list(range(4, 20))
        assert [int(Y[part].sum()) for part in split] == [6, 2, 2]
    assert not torch.equal(found[0].validation, found[1].validation)
    with pytest.raises(DataError, match="All 10 labels are class 1"):
        predefined(data(parts), validation=2)


def test_clusters_stay_whole():
    clusters = [f"c{i // 2}" for i in range(20)]
    for split in predefined(data(["train"] * 16 + ["test"] * 4, clusters), 5, validation=4):
        sides = [{clusters[row] for row in part.tolist()} for part in split]
        assert not sides[0] & sides[1]
    with pytest.raises(DataError, match="Cluster 'c8' of 'd' is in the train part and in the test part"):
        predefined(data(["train"] * 17 + ["test"] * 3, clusters), validation=4)


@pytest.mark.parametrize(
    ("parts", "options", "match"),
    [
        ([], {}, r"'d' has 0 and 0. Read it with split=COLUMN"),
        (["train"] * 20, {}, "has 20 and 0"),
        (
            ["train"] * 10 + ["test"] * 10,
            {},
            "names no validation rows: say how many of the 10 training rows",
        ),
        (
            ["train", "test", "validation", "test"] * 5,
            {"count": 2},
            "names 5 validation rows, so there is one split",
        ),
        (["train", "test", "validation", "test"] * 5, {"validation": 3}, "got 1 splits, validation=3"),
    ],
)
def test_what_cannot_be_split_is_refused(parts, options, match):
    with pytest.raises(DataError, match=match):
        predefined(data(parts), **options)
