import pytest
import torch

from rightreasons.core._errors import DataError, ShapeError
from rightreasons.data import Column, DataSet, sum_groups

X = torch.arange(6.0).reshape(3, 2)
Y = torch.tensor([0, 1, 1])
COLUMNS = (Column("a"), Column("b=x", source="b"))


def test_rows_keep_inputs_labels_and_ids_together():
    data = DataSet("d", X, Y, columns=COLUMNS, classes=("no", "yes"), ids=("p", "q", "r"))
    picked = data.rows(torch.tensor([2, 0]))
    assert picked.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert picked.y.tolist() == [1, 0]
    assert picked.ids == ("r", "p")
    assert len(picked) == 2
    assert (picked.columns, picked.classes) == (data.columns, data.classes)


def test_names_and_groups_of_the_columns():
    data = DataSet("d", X, Y, columns=COLUMNS)
    assert data.feature_names == ("a", "b=x")
    assert data.groups == {"a": (0,), "b": (1,)}
    assert DataSet("images", torch.zeros(2, 1, 4, 4), torch.zeros(2)).groups == {}


def test_repr_is_one_short_line():
    assert repr(DataSet("d", X, Y)) == "DataSet('d', x=(3, 2), y=(3,), classes=())"


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"y": Y[:2]}, ShapeError, r"one label per row: x is \(3, 2\), y is \(2,\)"),
        ({"ids": ("p",)}, ShapeError, "one of ids per row"),
        ({"columns": COLUMNS[:1]}, ShapeError, "one column per feature"),
        ({"columns": (Column("a"), Column("a"))}, DataError, r"different names, got \['a'\]"),
        ({"classes": ("only",)}, DataError, r"integers in 0..0, .* from 0 to 1"),
        ({"y": Y.float(), "classes": ("no", "yes")}, DataError, "got torch.float32"),
    ],
)
def test_parts_that_do_not_match_are_refused(fields, error, match):
    with pytest.raises(error, match=match):
        DataSet(**{"name": "d", "x": X, "y": Y, **fields})


def test_sum_groups_is_the_sum_column_by_column():
    maps = torch.randn(4, 3, 5, dtype=torch.float64)
    groups = {"a": (3,), "b": (0, 4), "c": (1, 2)}
    names, summed = sum_groups(maps, groups)
    assert names == ("a", "b", "c")
    for i, members in enumerate(groups.values()):
        assert torch.allclose(summed[..., i], sum(maps[..., j] for j in members))
    assert torch.allclose(summed.sum(-1), maps.sum(-1))


def test_sum_groups_passes_gradient():
    maps = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: sum_groups(m, {"a": (0, 2), "b": (1,)})[1], maps)


@pytest.mark.parametrize("groups", [{"a": (0, 1)}, {"a": (0, 1), "b": (1, 2)}, {"a": (0, 1, 2, 3)}])
def test_groups_that_do_not_partition_the_features_are_refused(groups):
    with pytest.raises(ShapeError, match="exactly once"):
        sum_groups(torch.zeros(2, 3), groups)


def test_rows_keep_clusters_and_parts():
    data = DataSet("d", X, Y, clusters=("c", "c", "e"), parts=("train", "test", "train"))
    picked = data.rows(torch.tensor([2, 1]))
    assert (picked.clusters, picked.parts, picked.ids) == (("e", "c"), ("train", "test"), ())


def test_rows_are_found_by_id_and_a_wrong_id_is_told_with_close_ones():
    data = DataSet("d", X, Y, ids=("p10", "p11", "q3"))
    assert data.named("q3", "p10").x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    with pytest.raises(
        DataError, match=r"No row of 'd' has the id 'p1'. Its 3 ids are like 'p1[01]', 'p1[01]'"
    ):
        data.named("p1")
    with pytest.raises(DataError, match="'d' has no ids, so no row can be asked for by name"):
        DataSet("d", X, Y).named("p1")


def test_labels_say_their_task():
    survival = DataSet("d", X, torch.rand(3, 2), labels=("time", "event"))
    assert survival.task() == ("survival", {})
    assert DataSet("d", X, torch.eye(3)).task() == ("multilabel", {"labels": 3})
    assert DataSet("d", X, Y, classes=("a", "b")).task() == ("binary", {})
    assert DataSet("d", X, Y, classes=("a", "b", "c")).task() == ("multiclass", {"classes": 3})
    assert DataSet("d", X, Y.float()).task() == ("regression", {})


def test_unlabelled_rows_are_told_apart():
    assert DataSet("d", X, Y).labelled
    assert not DataSet("d", X, torch.full((3,), torch.nan)).labelled


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"clusters": ("p",)}, ShapeError, "one of clusters per row"),
        ({"parts": ("train",) * 2}, ShapeError, "one of parts per row"),
        ({"parts": ("train", "tset", "test")}, DataError, "got 'tset'. Did you mean 'test'"),
        ({"labels": ("time", "event")}, ShapeError, r"one name per label: y is \(3,\)"),
    ],
)
def test_names_of_rows_and_labels_must_match(fields, error, match):
    with pytest.raises(error, match=match):
        DataSet(**{"name": "d", "x": X, "y": Y, **fields})
