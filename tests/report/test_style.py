import warnings

from rightreasons.report._style import drawn, entry, legend, panels, to_svg


def test_names_in_letters_that_the_font_here_lacks_are_left_to_the_browser() -> None:
    with drawn(3.0, 2.0) as figure, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure.subplots().set_title("价格")
        svg = to_svg(figure, "f", "t", "d")
    assert "价格" in svg
    assert not told


def test_long_names_of_an_arm_and_its_controls_stay_apart() -> None:
    names = ["Smooth attributions over the graph" + end for end in ("", ": random graph", ": same degrees")]
    with drawn(9.0, 2.0) as figure:
        titles = [axes.get_title("left") for axes in panels(figure, names)]
    assert len(set(titles)) == 3


def test_names_with_dollars_and_underscores_are_shown_as_they_are() -> None:
    with drawn(3.0, 2.0) as figure:
        axes = figure.subplots()
        axes.set_title("$\\frac{a$")
        axes.set_yticks([0.0], ["US$ per kg$"])
        axes.plot([0.0, 1.0], [0.0, 1.0], label=entry("_first"))
        legend(figure, axes)
        svg = to_svg(figure, "f", "t", "d")
    for name in ("$\\frac{a$", "US$ per kg$", "_first"):
        assert name in svg
