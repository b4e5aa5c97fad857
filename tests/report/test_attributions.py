import base64
import io

import numpy as np
import pytest
from matplotlib import image

from rightreasons.report._attributions import input_row, lorenz_figure, map_row
from rightreasons.report._style import looks


def pixels(source: str) -> np.ndarray:
    return image.imread(io.BytesIO(base64.b64decode(source.split(",")[1])), format="png")[..., :3]


def arrays(maps: np.ndarray, outputs: list[list[float]]) -> dict[str, np.ndarray]:
    inputs = np.zeros((len(maps), 1, *maps.shape[-2:]), np.float32)
    return {"inputs": inputs, "maps": maps, "y": np.array([1] * len(maps)), "outputs": np.array(outputs)}


def test_for_is_red_against_is_blue_and_nothing_is_white() -> None:
    phi = np.array([[[[1.0, -1.0], [0.0, 0.5]]]])
    (cell,) = map_row("arm", arrays(phi, [[0.0, 1.0, 0.0]]), "abc", multiclass=True)
    (red, blue), (white, pink) = pixels(cell.source)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    np.testing.assert_allclose(white, 1, atol=0.01)
    assert pink[0] > pink[2]
    assert (cell.alt, cell.note, cell.wrong) == ("arm: attribution of class b", "", False)


def test_a_wrong_prediction_is_said() -> None:
    (cell,) = map_row("arm", arrays(np.ones((1, 1, 2, 2)), [[1.0, 0.0, 0.0]]), "abc", multiclass=True)
    assert (cell.note, cell.wrong) == ("taken for a", True)
    assert cell.alt.endswith("taken for a")


def test_a_map_of_zeros_is_a_picture() -> None:
    (cell,) = map_row("arm", arrays(np.zeros((1, 1, 2, 2)), [[0.0, 1.0]]), "ab", multiclass=False)
    np.testing.assert_allclose(pixels(cell.source), 1, atol=0.01)


def test_inputs_are_dark_ink_on_white() -> None:
    found = arrays(np.zeros((1, 1, 2, 2)), [[0.0, 1.0]])
    found["inputs"][0, 0, 0, 0] = 1.0
    (cell,) = input_row(found, "ab")
    assert pixels(cell.source)[0, 0].max() < 0.01
    assert pixels(cell.source)[1, 1].min() > 0.99
    assert cell.note == "b"


@pytest.mark.parametrize(("values", "gini"), [([0.25] * 4, "0.00"), ([0.0, 0.0, 0.0, 1.0], "0.75")])
def test_the_gini_coefficient_of_the_lorenz_curve(values: list[float], gini: str) -> None:
    svg = lorenz_figure({"arm": np.array([values])}, looks(["arm"], "arm"))
    assert f"arm {gini}" in svg
