import base64
import io

import numpy as np
from matplotlib import image

from rightreasons.report.figures._maps import of_input, of_map


def pixels(source: str) -> np.ndarray:
    return image.imread(io.BytesIO(base64.b64decode(source.split(",")[1])), format="png")[..., :3]


def test_for_is_red_against_is_blue_and_nothing_is_white() -> None:
    phi = np.array([[[1.0, -1.0], [0.0, 0.5]]])
    (red, blue), (white, pink) = pixels(of_map(phi, np.zeros((1, 2, 2))))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    np.testing.assert_allclose(white, 1, atol=0.01)
    assert pink[0] > pink[2]


def test_a_map_of_zeros_is_a_picture() -> None:
    np.testing.assert_allclose(pixels(of_map(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))), 1, atol=0.01)


def test_a_map_of_another_resolution_stands_alone() -> None:
    assert pixels(of_map(np.ones((4, 3, 3)), np.zeros((1, 9, 9)))).shape == (3, 3, 3)


def test_a_shared_scale_makes_weak_maps_pale() -> None:
    weak = pixels(of_map(np.full((1, 1, 1), 0.1), scale=1.0))
    assert weak.min() > pixels(of_map(np.full((1, 1, 1), 0.1))).min()


def test_inputs_are_dark_ink_on_white() -> None:
    x = np.zeros((1, 2, 2))
    x[0, 0, 0] = 1.0
    found = pixels(of_input(x))
    assert found[0, 0].max() < 0.01
    assert found[1, 1].min() > 0.99


def test_photographs_keep_their_colours_and_are_not_inverted() -> None:
    x = np.zeros((3, 1, 2))
    x[:, 0, 1] = (1.0, 0.5, 0.0)
    black, orange = pixels(of_input(x))[0]
    np.testing.assert_allclose(black, 0, atol=0.01)
    np.testing.assert_allclose(orange, (1, 0.5, 0), atol=0.01)
    dark, light = pixels(of_map(np.zeros((3, 1, 2)), x))[0]
    assert dark[0] == dark[1] == dark[2] < light[0]
