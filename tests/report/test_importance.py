import numpy as np
import pytest

from rightreasons.report._importance import importance_figure, lorenz_figure, share
from rightreasons.report._style import MANY, looks


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


def test_shares_add_up_to_one_or_are_all_zero() -> None:
    np.testing.assert_allclose(share(np.array([[1.0, 3.0]])), [0.25, 0.75])
    assert not share(np.zeros(3)).any()
