import numpy as np
import pytest
import torch

from rightreasons.recipes import parse
from rightreasons.runs import RunDirectory, run
from rightreasons.runs._examine import _completeness, _examples, key_of
from rightreasons.runs._plan import plan
from tests.runs.cases import IMAGES, TABLE, images


def test_examples_show_every_class_before_any_twice() -> None:
    y = torch.tensor([2, 2, 0, 2, 1, 0])
    assert _examples(y, 3).tolist() == [2, 4, 0]
    assert _examples(y, 5).tolist() == [2, 4, 0, 5, 1]
    assert _examples(torch.tensor([0.5, 0.1]), 5).tolist() == [0, 1]


def test_the_gap_is_a_share_of_what_maps_must_add_up_to() -> None:
    maps = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    found = _completeness(maps, torch.tensor([1.0, -1.0]))
    assert (found["gap"], found["relative_gap"]) == (1.0, 0.25)
    assert _completeness(maps, None) == {"gap": None, "relative_gap": None}
    assert _completeness(torch.zeros(1, 2), torch.zeros(1))["relative_gap"] is None


def test_measuring_otherwise_is_another_measurement_of_the_same_fit() -> None:
    other = parse(IMAGES.replace("rows: 12", "rows: 13"))
    fit = plan(images())[0]
    assert key_of(images(), fit) != key_of(other, fit)


def test_maps_and_images_are_saved_for_the_examples(image_run: RunDirectory) -> None:
    arms = image_run.metrics()["arms"]
    found = [image_run.maps(arm["chosen"][0]["key"]) for arm in arms]
    assert found[0]["maps"].shape == found[0]["inputs"].shape == (10, 1, 8, 8)
    assert found[0]["outputs"].shape == (10, 10)
    assert sorted(found[0]["y"][:10].tolist()) == list(range(10))
    for other in found[1:]:
        np.testing.assert_array_equal(other["inputs"], found[0]["inputs"])


@pytest.mark.parametrize(
    "method", ["gradient", "{name: integrated_gradients, steps: 4}", "input_times_gradient"]
)
def test_any_method_can_explain(tmp_path: object, method: str) -> None:
    text = TABLE.replace("{name: expected_gradients, samples: 8}", method).replace("splits: 2", "splits: 1")
    done = run(parse(text), str(tmp_path), workers=0)
    (gap,) = done.metrics()["arms"][0]["relative_gap"]
    assert (gap is None) == ("integrated" not in method)
