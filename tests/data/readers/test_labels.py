import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import Column, DataSet, Preprocessing, read

pytest.importorskip("pandas")


@pytest.fixture
def labelled(tmp_path):
    """Reads a table of one number per row beside the labels given."""

    def write(labels, **options):
        header = "v,y" if "," not in str(labels[0]) else "v,y,e"
        lines = [f"{i}.5,{label}" for i, label in enumerate(labels)]
        (tmp_path / "t.csv").write_text("\n".join([header, *lines]) + "\n")
        return read(tmp_path / "t.csv", **{"target": "y", **options})

    return write


@pytest.mark.parametrize(
    ("labels", "options", "classes", "y"),
    [
        (["no", "yes", "no"], {}, ("no", "yes"), [0, 1, 0]),
        (["true", "false", "true"], {}, ("False", "True"), [1, 0, 1]),
        ([2, 10, 2], {}, ("2", "10"), [0, 1, 0]),
        (["1.0", "0.0", "1.0"], {}, ("0", "1"), [1, 0, 1]),
        ([1.5, 2.5, 1.5], {}, (), [1.5, 2.5, 1.5]),
        (list(range(11)), {}, (), list(range(11))),
        ([0, 1, 2], {"label": "number"}, (), [0, 1, 2]),
        ([1.5, 2.5, 1.5], {"label": "class"}, ("1.5", "2.5"), [0, 1, 0]),
        (["yes", "yes"], {"classes": ("no", "yes")}, ("no", "yes"), [1, 1]),
        ([7, 7], {"classes": ("7", "8")}, ("7", "8"), [0, 0]),
    ],
)
def test_classes_and_numbers_are_told_apart(labelled, labels, options, classes, y):
    data = labelled(labels, **options)
    assert data.classes == classes
    assert data.y.tolist() == y
    assert data.y.dtype == (torch.int64 if classes else torch.float64)


def test_several_targets_are_labels_of_zero_and_one(labelled):
    data = labelled(["1,0", "0,1", "1,1"], target=["y", "e"])
    assert (data.y.tolist(), data.labels) == ([[1, 0], [0, 1], [1, 1]], ("y", "e"))
    assert data.task() == ("multilabel", {"labels": 2})


@pytest.mark.parametrize("seen", ["1", "true", "True"])
def test_survival_is_time_and_event(labelled, seen):
    data = labelled([f"5.5,{seen}", "0,0", "7,0"], event="e")
    assert (data.y.tolist(), data.labels) == ([[5.5, 1.0], [0.0, 0.0], [7.0, 0.0]], ("time", "event"))
    assert data.feature_names == ("v",)


@pytest.mark.parametrize(
    ("labels", "options", "match"),
    [
        (["no"] * 4, {}, "is 'no' in all 4 rows: there is nothing to learn"),
        ([1, 1, 1], {}, "is '1' in all 3 rows"),
        (["no", "", "yes", ""], {}, "is missing in 2 of 4 rows, first in row 2"),
        ([1.5, 2.5, "x"], {}, "holds numbers, but 'x' in row 3 is none .1 such rows"),
        ([1.5, 2.5, "inf"], {}, "holds numbers, but .*inf.* in row 3 is none"),
        ([f"note {i}" for i in range(9)], {}, "holds 9 different texts in 9 rows.*label='class'"),
        (
            ["no", "maybe"],
            {"classes": ("no", "yes")},
            "is 'maybe' in row 2, a class that is not among those given",
        ),
        (
            ["1,0", "0,2"],
            {"target": ["y", "e"]},
            "Target 'e' of .* must be 0 or 1, got '2' in row 2.*present or",
        ),
        (["1,0", "0,0"], {"target": ["y", "e"]}, "Target 'e' of .* is '0' in all 2 rows"),
        (["1,0"], {"target": ["y"]}, "Several targets are at least two columns"),
        (["1,0", "2,0"], {"event": "e"}, "Event 'e' of .* is 0 in all 2 rows"),
        (["1,1", "-2,0"], {"event": "e"}, "cannot be negative, got -2 in row 2"),
        (["1,1", "2,dead"], {"event": "e"}, "Event 'e' of .* must be 0 or 1, got 'dead' in row 2"),
        (["1,1", "2,0"], {"event": "e", "target": None}, "the time until then is missing. Say target=COLUMN"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labelled, labels, options, match):
    with pytest.raises(DataError, match=match):
        labelled(labels, **options)


def test_one_value_is_enough_where_a_trained_model_is_judged(labelled):
    fitted = Preprocessing.fit(DataSet("d", torch.rand(3, 1), torch.zeros(3), columns=(Column("v"),)))
    assert labelled([3, 3], like=fitted, label="number").y.tolist() == [3.0, 3.0]
    assert labelled(["3,0", "4,0"], like=fitted, event="e").y.tolist() == [[3.0, 0.0], [4.0, 0.0]]
    assert labelled(["1,0", "0,0"], like=fitted, target=["y", "e"]).y.tolist() == [[1.0, 0.0], [0.0, 0.0]]
