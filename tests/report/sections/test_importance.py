import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rightreasons.report._style import MANY, looks
from rightreasons.report.sections._importance import _bars, importance_figure, lorenz_figure, share


@pytest.mark.parametrize(("values", "gini"), [([0.25] * 4, "0.00"), ([0.0, 0.0, 0.0, 1.0], "0.75")])
def test_the_gini_coefficient_of_the_lorenz_curve(values: list[float], gini: str) -> None:
    svg = lorenz_figure({"arm": np.array([values])}, looks(["arm"], "arm"))
    assert f"arm {gini}" in svg


@pytest.mark.parametrize("arms", [2, MANY, MANY + 1, 12])
def test_every_arm_is_in_both_figures(arms: int) -> None:
    names = [f"arm {i}" for i in range(arms)]
    shares = {name: np.full((2, 20), 0.05) for name in names}
    styles, features = looks(names, "arm 0"), [f"column {i}" for i in range(20)]
    for svg in (importance_figure(shares, features, styles), lorenz_figure(shares, styles)):
        assert all(f">{name}" in svg for name in names)
    assert "other 6 together" in importance_figure(shares, features, styles)


def test_columns_are_ordered_by_their_mean_share() -> None:
    shares = {"arm": np.array([[0.1, 0.7, 0.2]])}
    svg = importance_figure(shares, ["a", "b", "c"], looks(["arm"], "arm"))
    assert "arm: b, c, a" in svg
    assert "together" not in svg


def test_columns_beyond_those_shown_do_not_set_the_scale() -> None:
    figure = Figure()
    axes = [figure.add_subplot(1, 2, i + 1) for i in range(2)]
    values = np.array([[0.5, 0.25], [0.25, 0.125], [99.25, 99.625]])  # two genes, and 751 others
    _bars(axes, values, ["a", "b", "other 751 together"], ["x", "y"], looks(["x", "y"], "x"), 1)
    for panel, own in zip(axes, values.T, strict=True):
        assert [bar.get_width() for bar in panel.patches if isinstance(bar, Rectangle)] == list(own[:2])
        assert panel.get_xlim() == (0, pytest.approx(0.54))
        assert [text.get_text() for text in panel.texts] == [f"{own[2]:.0f} %"]


def test_shares_of_hundreds_of_columns_are_told_apart() -> None:
    names = [f"arm {i}" for i in range(MANY + 1)]
    shares = {name: np.linspace(1, 2, 765)[None] / np.linspace(1, 2, 765).sum() for name in names}
    svg = importance_figure(shares, [f"gene {i}" for i in range(765)], looks(names, names[0]))
    assert ">0.17</text>" in svg
    assert "other 751 together" in svg


def test_shares_add_up_to_one_or_are_all_zero() -> None:
    np.testing.assert_allclose(share(np.array([[1.0, 3.0]])), [0.25, 0.75])
    assert not share(np.zeros(3)).any()
