import numpy as np
import pytest

from rightreasons.recipes import parse
from rightreasons.runs import RunDirectory, run
from rightreasons.runs.execution._evaluate_fit import key_of
from rightreasons.runs.setup._plan import plan
from tests.runs.cases import IMAGES, TABLE, images


def test_measuring_otherwise_is_another_measurement_of_the_same_fit() -> None:
    other = parse(IMAGES.replace("rows: 12", "rows: 13"))
    fit = plan(images())[0]
    assert key_of(images(), fit) != key_of(other, fit)


def test_maps_and_images_are_saved_for_theexamples(image_run: RunDirectory) -> None:
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


def test_outputs_on_all_test_rows_are_saved_and_give_the_scores(image_run: RunDirectory) -> None:
    for arm in image_run.metrics()["arms"]:
        for split, chosen in enumerate(arm["chosen"]):
            found = image_run.predictions(chosen["key"])
            assert found["outputs"].shape == (60, 10)
            accuracy = (found["outputs"].argmax(1) == found["y"]).mean()
            assert accuracy == pytest.approx(arm["test"]["accuracy"][split])


def test_rows_of_tables_keep_their_names(table_run: RunDirectory) -> None:
    key = table_run.metrics()["arms"][0]["chosen"][0]["key"]
    maps, predictions = table_run.maps(key), table_run.predictions(key)
    assert predictions["ids"].shape == (50,)
    assert (maps["ids"] == predictions["ids"][maps["rows"]]).all()
