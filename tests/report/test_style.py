import warnings

from rightreasons.report._style import drawn, to_svg


def test_names_in_letters_that_the_font_here_lacks_are_left_to_the_browser() -> None:
    with drawn(3.0, 2.0) as figure, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure.subplots().set_title("价格")
        svg = to_svg(figure, "f", "t", "d")
    assert "价格" in svg
    assert not told
