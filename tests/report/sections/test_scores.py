import re
from typing import Any

import pytest

from rightreasons.report._style import drawn, looks, to_svg
from rightreasons.report.sections._scores import _limits, arms_figure, curves_figure, noise_figure
from rightreasons.runs import RunDirectory


@pytest.fixture
def metrics(image_run: RunDirectory) -> dict[str, Any]:
    return image_run.metrics()


def test_every_figure_names_every_arm(metrics: dict[str, Any], image_run: RunDirectory) -> None:
    styles = looks([arm["name"] for arm in metrics["arms"]], "Plain")
    history = image_run.history()
    for svg in (
        arms_figure(metrics, styles, "accuracy"),
        noise_figure(metrics, styles, "accuracy"),
        curves_figure(metrics, history, styles, "accuracy"),
    ):
        assert all(name in svg for name in ("Plain", "Smooth &lt;b&gt;", "Decay"))


def test_many_arms_have_a_panel_each(metrics: dict[str, Any], image_run: RunDirectory) -> None:
    names = [f"arm {i}" for i in range(12)]
    many = metrics | {"arms": [metrics["arms"][i % 3] | {"name": name} for i, name in enumerate(names)]}
    many["reference"] = "arm 0"
    styles = looks(names, "arm 0")
    for svg in (
        noise_figure(many, styles, "accuracy"),
        curves_figure(many, image_run.history(), styles, "accuracy"),
    ):
        assert all(f">{name}:" in svg for name in names)


def test_figures_are_the_same_every_time(metrics: dict[str, Any]) -> None:
    styles = looks([arm["name"] for arm in metrics["arms"]], "Plain")
    assert arms_figure(metrics, styles, "accuracy") == arms_figure(metrics, styles, "accuracy")


@pytest.mark.parametrize(
    ("low", "high", "reach"),
    [(-0.05, 0.07, 0.07), (-4.0, 4.0, 0.02), (None, None, 0.02)],
)
def test_an_interval_that_dwarfs_the_splits_is_cut(
    low: float | None, high: float | None, reach: float
) -> None:
    left, right = _limits([{"differences": [0.01, 0.02], "low": low, "high": high}])
    assert (left, right) == pytest.approx((-1.15 * reach, 1.15 * reach))


def test_an_inline_figure_has_a_name_of_its_own_and_nothing_from_outside() -> None:
    with drawn(2.0, 1.0) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [1, 0], marker="o")
        svg = to_svg(figure, "mine", "A < B", "what it shows")
    assert svg.startswith("<svg")
    assert "http" not in svg
    assert '<title id="mine-title">A &lt; B</title>' in svg
    assert all(name.startswith("mine-") for name in re.findall(r'\sid="([^"]+)"', svg))
    assert all(name.startswith("mine-") for name in re.findall(r"url\(#([^)]+)\)", svg))
    assert "viewBox" in svg
    assert not re.match(r"<svg[^>]*\swidth=", svg)


def test_the_arm_compared_against_need_not_be_the_first(metrics: dict[str, Any]) -> None:
    styles = looks([arm["name"] for arm in metrics["arms"]], "Plain")
    turned = metrics | {"arms": metrics["arms"][::-1]}
    for each in (metrics, turned):
        svg = arms_figure(each, styles, "accuracy")
        assert svg.count(">compared against<") == 1
    alone = arms_figure(metrics | {"comparisons": []}, styles, "accuracy")
    assert "compared against" not in alone
    assert "Difference from" not in alone
