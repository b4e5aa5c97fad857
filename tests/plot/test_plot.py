"""Figures say what they show: colours, scales, labels, and errors before anything is drawn."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rightreasons as rr
from rightreasons import plot
from rightreasons.plot import _columns
from rightreasons.plot._colours import diverging
from rightreasons.plot._overlay import overlaid, pale, reduced


def words(figure: object) -> str:
    """All that is written in a figure."""
    from matplotlib.text import Text

    found = figure.findobj(Text)  # pyright: ignore[reportAttributeAccessIssue]
    return "\n".join(" ".join(each.get_text().split()) for each in found)


def within(figure: Any) -> bool:
    """Whether no words of a figure are cut off at its sides (ticks beyond an axis are not drawn)."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    boxes = [
        each.get_window_extent() for each in figure.findobj(Text) if any(map(str.isalpha, each.get_text()))
    ]
    return all(box.x0 > -1 and box.x1 < figure.bbox.width + 1 for box in boxes)


class TestColours:
    def test_zero_is_white_and_signs_are_red_and_blue(self) -> None:
        low, zero, high = diverging(np.array([-1.0, 0.0, 1.0]))
        assert zero.tolist() == [1, 1, 1]
        assert low[2] > low[0]
        assert high[0] > high[2]

    def test_lightness_falls_on_both_sides(self) -> None:
        light = diverging(np.linspace(-1, 1, 101)) @ np.array([0.299, 0.587, 0.114])
        assert (np.diff(light[:51]) > 0).all()
        assert (np.diff(light[50:]) < 0).all()

    def test_values_beyond_the_ends_keep_the_end_colour(self) -> None:
        assert (diverging(np.array([3.0])) == diverging(np.array([1.0]))).all()


class TestOverlay:
    def test_channels_are_added_with_or_without_sign(self) -> None:
        phi = np.array([[[1.0]], [[-3.0]]])
        assert reduced(phi, "sum") == [[-2.0]]
        assert reduced(phi, "absolute") == [[4.0]]

    def test_a_map_of_zeros_shows_the_picture(self) -> None:
        below = np.full((2, 2, 3), 0.7)
        assert (overlaid(np.zeros((2, 2)), below) == below).all()

    def test_full_strength_hides_the_picture(self) -> None:
        picture = overlaid(np.array([[2.0, -2.0]]), np.zeros((1, 2, 3)), scale=2.0)
        assert picture[0] == pytest.approx(diverging(np.array([1.0, -1.0])))

    def test_pictures_below_are_pale_and_grey(self) -> None:
        grey = pale(np.random.default_rng(0).random((3, 3, 3)))
        assert grey.min() >= 0.6
        assert (grey[..., 0] == grey[..., 2]).all()

    @pytest.mark.usefixtures("without_type_checks")
    def test_unknown_channels(self) -> None:
        with pytest.raises(rr.InputError, match="channels must be one of sum, absolute; got 'max'"):
            reduced(np.zeros((2, 2)), "max")  # pyright: ignore[reportArgumentType]


class TestShow:
    def test_one_row_for_each_image_and_one_column_for_each_method(self) -> None:
        maps = {name: torch.randn(2, 3, 6, 5) for name in ("a", "b")}
        figure = plot.show(maps, torch.rand(2, 3, 6, 5), titles=["cat", "dog"])
        assert len(figure.axes) == 6
        assert [axes.get_title("left") for axes in figure.axes] == ["cat", "a", "b", "dog", "", ""]

    def test_the_scale_is_symmetric_and_written_below(self) -> None:
        phi = torch.zeros(1, 2, 2)
        phi[0, 0] = torch.tensor([0.25, -0.25])
        figure = plot.show(phi, torch.ones(1, 1, 2, 2))
        red, blue = np.asarray(figure.axes[1].get_images()[0].get_array())[0]
        assert red == pytest.approx(diverging(np.array(1.0)))
        assert blue == pytest.approx(diverging(np.array(-1.0)))
        assert figure.axes[1].get_xlabel() == "± 0.25"

    def test_long_titles_and_the_caption_stay_within_the_figure(self) -> None:
        maps = {"ExpectedGradients(references=<50x3x32x32>)": torch.randn(1, 6, 5)}
        figure = plot.show(maps, torch.rand(1, 3, 6, 5) - 1, titles=["a class with a name of many words"])
        assert within(figure)
        left, right = (axes._left_title.get_window_extent() for axes in figure.axes)
        assert left.x1 < right.x0
        lines = plot.show(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), titles=["a\nb"])
        assert lines.axes[0].get_title("left") == "a\nb"

    def test_a_map_of_zeros_says_so(self) -> None:
        assert "all zero" in words(plot.show(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)))

    def test_a_few_extreme_pixels_do_not_bleach_the_rest(self) -> None:
        phi = torch.ones(1, 40, 40)
        phi[0, 0, 0] = 1000.0
        assert plot.show(phi, torch.ones(1, 40, 40)).axes[1].get_xlabel() == "± 1"

    @pytest.mark.parametrize("channels", [1, 3])
    def test_normalised_images_are_brought_back(self, channels: int) -> None:
        images = torch.rand(1, channels, 4, 4)
        mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
        normalised = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        figure = plot.show(torch.zeros(1, 4, 4), normalised, mean=mean, std=std)
        shown = figure.axes[0].get_images()[0].get_array()
        assert np.asarray(shown)[..., 0] == pytest.approx(images[0, 0].numpy(), abs=1e-6)
        assert "as before normalisation" in words(figure)

    def test_other_ranges_are_stretched_image_by_image(self) -> None:
        figure = plot.show(torch.zeros(2, 1, 2), torch.tensor([[[-1.0, 3.0]], [[5.0, 5.0]]]))
        shown = [np.asarray(figure.axes[i].get_images()[0].get_array())[0, :, 0].tolist() for i in (0, 2)]
        assert shown == [[0.0, 1.0], [0.0, 0.0]]
        assert "stretched" in words(figure)

    def test_images_in_range_are_left_alone_and_channels_stated(self) -> None:
        said = words(plot.show(torch.ones(1, 3, 2, 2), torch.rand(1, 3, 2, 2), channels="absolute"))
        assert "Images as they are" in said
        assert "Magnitudes added up over channels" in said

    def test_maps_of_a_layer_are_interpolated(self) -> None:
        figure = plot.show(torch.rand(1, 1, 2, 2), torch.rand(1, 3, 8, 6))
        assert figure.axes[1].get_images()[0].get_array().shape == (8, 6, 3)

    @pytest.mark.parametrize(
        ("maps", "images", "said"),
        [
            (torch.zeros(2, 4, 4), torch.zeros(3, 4, 4), "2 maps of 'map' for 3 images"),
            (torch.zeros(2, 4), torch.zeros(2, 4, 4), "maps of 'map' must have 3 or 4 dimensions"),
            (torch.zeros(1, 4, 4), torch.zeros(1, 2, 4, 4), "one channel or three"),
            (torch.full((1, 4, 4), torch.nan), torch.zeros(1, 4, 4), "16 values that are NaN"),
            (torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), "nothing to draw"),
            ({}, torch.zeros(1, 4, 4), "nothing to show"),
        ],
    )
    def test_what_does_not_fit_together(self, maps: object, images: torch.Tensor, said: str) -> None:
        with pytest.raises(rr.InputError, match=said):
            plot.show(maps, images)  # pyright: ignore[reportArgumentType]

    def test_normalisation_needs_both_numbers_for_each_channel(self) -> None:
        phi, images = torch.zeros(1, 2, 2), torch.zeros(1, 3, 2, 2)
        with pytest.raises(rr.InputError, match="mean and std belong together"):
            plot.show(phi, images, mean=[0.5] * 3)
        with pytest.raises(rr.ShapeError, match="std has 1 numbers for 3 channels"):
            plot.show(phi, images, mean=[0.5] * 3, std=[0.5])

    def test_one_title_for_each_image(self) -> None:
        with pytest.raises(rr.ShapeError, match="1 titles for 2 to be named"):
            plot.show(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2), titles=["one"])

    @pytest.mark.usefixtures("without_type_checks")
    def test_lists_are_no_maps(self) -> None:
        with pytest.raises(rr.InputError, match="maps must be a tensor or a mapping .*; got "):
            plot.show([[0.0]], torch.zeros(1, 2, 2))  # pyright: ignore[reportArgumentType]


class Spans(HTMLParser):
    """The tokens of a text, with their style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.style: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.style = dict(attrs)["style"] if tag == "span" else None

    def handle_data(self, data: str) -> None:
        if self.style:
            self.found.append((data, self.style))
            self.style = None


class TestText:
    def test_tokens_are_escaped_and_coloured(self) -> None:
        page = plot.text(["<b>", "fine", "dull"], torch.tensor([0.0, 2.0, -2.0]))
        found = Spans(page.html).found
        assert [word for word, _ in found] == ["<b>", "fine", "dull"]
        assert ["#ffffff" in found[0][1], "#b2182b" in found[1][1], "#2166ac" in found[2][1]] == [True] * 3
        assert "<b>" not in page.html
        assert "full colour ± 2; sum 0" in page.html

    def test_dark_colours_have_light_ink(self) -> None:
        styles = [style for _, style in Spans(plot.text(["a", "b"], torch.tensor([1.0, 0.0])).html).found]
        assert "color:#fff" in styles[0]
        assert "color:#fff;" not in styles[1]

    def test_pieces_of_a_word_stay_together(self) -> None:
        html = plot.text(["bad", "##ly", "##"], torch.zeros(3)).html
        assert "bad</span><span" in html
        assert ">##</span>" in html

    def test_entries_of_an_embedding_are_added_up(self) -> None:
        assert "sum 3" in plot.text(["a"], torch.tensor([[1.0, 2.0]])).html

    def test_several_texts_share_a_scale_and_a_page(self, tmp_path: Path) -> None:
        two = plot.text(["a"], torch.ones(1), scale=4.0, title="One & two") + plot.text(["b"], torch.ones(1))
        page = two.save(tmp_path / "page.html").read_text(encoding="utf-8")
        assert "One &amp; two" in page
        assert "± 4" in page
        assert page.count("<div") == 2
        assert not any(outside in page for outside in ("http", "<script", "src="))
        assert two._repr_html_() in page

    def test_wrong_input(self) -> None:
        with pytest.raises(rr.ShapeError, match="1 tokens for 2 to be named"):
            plot.text(["a"], torch.zeros(2))
        with pytest.raises(rr.InputError, match="scale is the magnitude with the full colour, above 0"):
            plot.text(["a"], torch.zeros(1), scale=0.0)
        with pytest.raises(rr.ShapeError, match="the map must have 1 or 2 dimensions"):
            plot.text(["a"], torch.zeros(1, 1, 1))


class TestTable:
    def test_names_with_dollars_are_no_formulas(self) -> None:
        figure = plot.table(torch.tensor([1.0, 2.0]), ["$\\frac{a$", "US$ per kg$"])
        figure.draw_without_rendering()
        plot.summary(torch.ones(2, 2), ["$\\frac{a$", "b"]).draw_without_rendering()
        assert "US\\$ per kg\\$" in words(figure)  # as matplotlib writes dollars

    def test_strongest_first_and_the_rest_together(self) -> None:
        phi = torch.tensor([0.1, -3.0, 2.0, 0.2])
        axes = plot.table(phi, list("abcd"), ["x", 1.23456, 7, "y"], most=2).axes[0]
        assert [tick.get_text() for tick in axes.get_yticklabels()] == [
            "b = 1.235",
            "c = 7",
            "2 others together",
        ]
        assert [bar.get_width() for bar in axes.patches] == pytest.approx([-3.0, 2.0, 0.3])

    def test_the_others_do_not_set_the_scale(self) -> None:
        phi = torch.full((765,), 0.25)
        phi[:3] = torch.tensor([1.0, -0.75, 0.5])
        axes = plot.table(phi, [f"gene {i}" for i in range(765)], most=3).axes[0]
        assert [bar.get_width() for bar in axes.patches] == pytest.approx([1.0, -0.75, 0.5, 1.0])
        assert axes.get_yticklabels()[-1].get_text() == "762 others together, cut off"
        assert [text.get_text() for text in axes.texts] == ["+1", "-0.75", "+0.5", "+190"]
        assert axes.get_xlim()[1] < 2
        whole = plot.table(phi, [f"gene {i}" for i in range(765)], start=0.0, most=3).axes[
            0
        ]  # bars lead to the output
        assert whole.patches[-1].get_width() == pytest.approx(190.5)

    def test_a_single_column_is_never_called_the_others(self) -> None:
        axes = plot.table(torch.tensor([1.0, 2.0, 3.0]), list("abc"), most=2).axes[0]
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["c", "b", "a"]

    def test_bars_lead_from_the_start_to_the_output(self) -> None:
        phi = torch.tensor([0.5, -2.0, 1.0])
        axes = plot.table(phi, list("abc"), start=0.25).axes[0]
        assert [bar.get_x() for bar in axes.patches] == pytest.approx([0.25, -1.75, -0.75])
        assert "from 0.25 at the baseline to -0.25" in axes.get_xlabel()

    def test_wrong_input(self) -> None:
        with pytest.raises(rr.ShapeError, match="1 features for 2"):
            plot.table(torch.zeros(2), ["a"])
        with pytest.raises(rr.ShapeError, match="1 values for 2"):
            plot.table(torch.zeros(2), ["a", "b"], [1.0])
        with pytest.raises(rr.InputError, match="at least 1; got 0"):
            plot.table(torch.zeros(2), ["a", "b"], most=0)


class TestSummary:
    def test_long_names_leave_room(self) -> None:
        names = ["a name of a column that never ends and goes on for ever", "b"]
        phi = torch.randn(9, 2)
        figure = plot.summary(phi, names, phi)
        assert "a name of a column t…on for ever" in words(figure)
        assert within(figure)
        assert within(plot.table(phi[0], names, phi[0]))

    def test_columns_by_mean_magnitude_with_a_point_for_each_row(self) -> None:
        phi = torch.tensor([[1.0, -5.0], [1.0, 5.0], [1.0, 0.0]])
        left, right = plot.summary(phi, ["a", "b"], torch.randn(3, 2)).axes
        assert [bar.get_width() for bar in left.patches] == pytest.approx([10 / 3, 1.0])
        points = right.collections[0].get_offsets()
        assert sorted(np.asarray(points)[:, 0]) == [-5.0, 0.0, 5.0]
        alike = np.asarray(right.collections[1].get_offsets())[:, 1]
        assert alike == pytest.approx([1.0, 1.0875, 0.9125])  # beside each other, not on top

    def test_colours_are_ranks_of_values(self) -> None:
        values = torch.tensor([[10.0], [1000.0], [10.0], [20.0]])
        _, right = plot.summary(torch.randn(4, 1), ["a"], values).axes
        assert np.asarray(right.collections[0].get_array()).tolist() == [0.0, 1.0, 0.0, 0.5]

    def test_many_rows_are_thinned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_columns, "_POINTS", 10)
        left, right = plot.summary(torch.randn(1000, 3), list("abc"), most=1).axes
        assert len(right.collections[0].get_offsets()) == 10
        assert "1 of 3 columns" in left.get_title("left")

    def test_wrong_input(self) -> None:
        with pytest.raises(rr.ShapeError, match="pass the same rows"):
            plot.summary(torch.zeros(3, 2), ["a", "b"], torch.zeros(2, 2))
        with pytest.raises(rr.ShapeError, match="maps must have 2 dimensions"):
            plot.summary(torch.zeros(3), ["a", "b", "c"])


def test_without_matplotlib_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\nimport torch, rightreasons as rr\n"
        "rr.plot.text(['a'], torch.zeros(1))\nrr.plot.table(torch.zeros(1), ['a'])"
    )
    source = str(Path(rr.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingExtraError: figures need matplotlib: pip install 'rightreasons[report]'" in done.stderr
