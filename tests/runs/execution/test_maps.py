from pathlib import Path

import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.recipes import parse
from rightreasons.report import write
from rightreasons.runs import RunDirectory, run
from rightreasons.runs.execution._maps import _by_word, _class_means, completeness, examples, of_inputs
from tests.runs.kinds import NAMES, run_of


def test_examples_show_every_class_before_any_twice() -> None:
    y = torch.tensor([2, 2, 0, 2, 1, 0])
    assert examples(y, 3).tolist() == [2, 4, 0]
    assert examples(y, 5).tolist() == [2, 4, 0, 5, 1]
    assert examples(torch.tensor([0.5, 0.1]), 5).tolist() == [0, 1]


def test_the_gap_is_a_share_of_what_maps_must_add_up_to() -> None:
    maps = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    found = completeness(maps, torch.tensor([1.0, -1.0]))
    assert (found["gap"], found["relative_gap"]) == (1.0, 0.25)
    assert completeness(maps, None) == {"gap": None, "relative_gap": None}
    assert completeness(torch.zeros(1, 2), torch.zeros(1))["relative_gap"] is None


def test_vectors_of_positions_are_added_up() -> None:
    words, signal = torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 3, 5)
    maps = torch.randn(2, 5, 7)
    torch.testing.assert_close(of_inputs(maps, words), maps.sum(2))
    torch.testing.assert_close(of_inputs(maps, signal), maps.sum(2)[:, None])
    assert of_inputs(torch.zeros(2, 3, 5), signal).shape == (2, 3, 5)
    assert of_inputs(torch.zeros(2, 8, 2, 2), torch.zeros(2, 1, 9, 9)).shape == (2, 8, 2, 2)  # another layer


def test_words_are_added_up_wherever_they_stand() -> None:
    maps, words = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[3, 1, 3]])
    assert _by_word(maps, words, 5).tolist() == [[0.0, 2.0, 0.0, 5.0, 0.0]]


def test_mean_maps_are_those_of_the_rows_of_a_class() -> None:
    maps, classes = torch.randn(6, 2, 3, 3), torch.tensor([0, 2, 2, 0, 2, 2])
    found = _class_means(maps, classes, 3)
    assert found["class_counts"].tolist() == [2, 0, 4]
    expected = sum(maps[i].sum(0) for i in (1, 2, 4, 5)) / 4
    np.testing.assert_allclose(found["class_maps"][2], expected.numpy(), rtol=1e-5)
    assert not found["class_maps"][1].any()
    assert _class_means(maps, None, 3) == {}
    assert len(_class_means(maps, torch.arange(6), 100)["class_maps"]) == 20


KEPT = {
    "regression": {"maps": (24, 6)},
    "survival": {"maps": (24, 6), "y": (24, 2)},
    "multiclass-table": {"maps": (24, 6), "class_maps": (3, 6), "target": (24,)},
    "multilabel": {"maps": (24, 6), "class_maps": (3, 6), "target": (24,)},
    "sequences": {"maps": (6, 2, 24), "inputs": (6, 2, 24), "class_maps": (3, 2, 24)},
    "text": {"maps": (6, 10), "inputs": (6, 10), "importance": (12,), "class_maps": (2, 12)},
    "unnamed": {"maps": (6, 6), "importance": (6,), "class_maps": (2, 6)},
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_of_data_is_explained(kind: str, tmp_path: Path) -> None:
    run = run_of(kind, tmp_path)
    metrics = run.metrics()
    key = metrics["arms"][0]["chosen"][0]["key"]
    found = run.maps(key)
    assert {name: found[name].shape for name in KEPT[kind]} == KEPT[kind]
    assert ("class_maps" in found) == ("class_maps" in KEPT[kind])
    assert len(run.predictions(key)["outputs"]) == 30
    assert (metrics["arms"][0]["total_variation"][0] is not None) == (kind == "sequences")
    assert metrics["arms"][0]["relative_gap"][0] < 1


def test_saved_arrays_that_are_gone_are_said(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(DataError, match=r"x\.npz is gone or damaged"):
        run.maps("x")
    run.predictions_file("x").parent.mkdir()
    run.predictions_file("x").write_bytes(b"PK not a zip file")
    with pytest.raises(DataError, match=r"x\.npz is gone or damaged"):
        run.predictions("x")


def test_a_file_sorted_by_class_is_explained_in_all_its_classes(tmp_path: Path) -> None:
    rows = [f"{'abc'[i % 3]},{i},{i * 7 % 13},{'train' if i % 2 else 'test'}" for i in range(240)]
    (tmp_path / "t.csv").write_text("label,x,z,part\n" + "\n".join(sorted(rows)))
    done = run(
        parse(
            f"{{name: r, data: {{path: {tmp_path}/t.csv, target: label, split: part, validation: 0.3}}, "
            "model: {name: mlp, hidden: [4]}, training: {epochs: 1}, explain: {rows: 30, attribution: gradient}, "
            "arms: [{name: A}]}"
        ),
        tmp_path / "run",
        workers=0,
    )
    found = done.maps(done.metrics()["arms"][0]["chosen"][0]["key"])
    assert found["class_counts"].tolist() == [10, 10, 10]
    assert np.abs(found["class_maps"]).sum(1).all()
    page = write(done.path).read_text(encoding="utf-8")
    assert "over 30 of 120 test rows (a 10, b 10, c 10)" in page
