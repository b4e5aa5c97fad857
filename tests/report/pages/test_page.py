import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rightreasons import report
from rightreasons.core._errors import DataError
from rightreasons.report._blocks import Word
from rightreasons.report._style import BETTER, INK, MUTED, WORSE, looks
from rightreasons.runs import RunDirectory

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Tags(HTMLParser):
    """Every start tag with its attributes, and whether tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in names]


@pytest.fixture(scope="module", params=["image_run", "table_run"])
def page(request: pytest.FixtureRequest) -> str:
    return report.render(request.getfixturevalue(request.param))


def test_everything_is_inside(page: str) -> None:
    assert not re.search(r"https?:", page)
    tags = Tags(page)
    assert not tags.of("script", "iframe", "object", "embed")
    for attributes in tags.of("img", "link", "a", "use", "image"):
        where = attributes.get("src") or attributes.get("href") or ""
        assert where.startswith(("#", "data:")), where
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_html_is_closed_and_ids_are_unique(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = " ".join(a["aria-labelledby"] or "" for _, a in tags.found if "aria-labelledby" in a).split()
    links = [(a["href"] or "")[1:] for a in tags.of("a", "use") if (a.get("href") or "").startswith("#")]
    assert set(labels + links) <= set(ids)


def test_every_picture_says_what_it_shows(page: str) -> None:
    tags = Tags(page)
    assert tags.of("svg")
    assert all(a.get("role") == "img" and a.get("aria-labelledby") for a in tags.of("svg"))
    assert all(len(a.get("alt") or "") > 5 for a in tags.of("img"))
    assert dict(tags.found)["html"]["lang"] == "en"
    assert all(a.get("scope") in ("col", "row") for a in tags.of("th"))


def test_what_can_scroll_can_be_reached_by_keyboard(page: str) -> None:
    assert all(a.get("tabindex") == "0" for a in Tags(page).of("pre"))
    assert all(
        a.get("tabindex") == "0" and a.get("aria-label")
        for _, a in Tags(page).found
        if a.get("class") == "scroll"
    )


def test_the_page_of_images(image_run: RunDirectory) -> None:
    page = report.render(image_run)
    assert "<h1>A tiny run</h1>" in page
    assert "Demo size" in page
    assert "Cannot tell from 2 splits" in page
    assert "Gaussian noise" in page
    assert "Expected gradients of the logit of the image" in page
    assert page.count("<img") == (3 + 1) * 10 + 3 * 10  # examples, then the mean of each class
    assert "Smooth &lt;b&gt;" in page
    assert "Smooth <b>" not in page
    assert "name: total_variation" in page  # the resolved recipe


def test_the_page_of_a_table(table_run: RunDirectory) -> None:
    page = report.render(table_run)
    assert "Demo size</span>" not in page
    assert "Lorenz curve" in page
    assert "smokeyrs" in page
    assert "years of smoking" in page
    assert "Gini coefficient" in page
    assert "<img" not in page


def test_the_page_depends_on_the_directory_alone(image_run: RunDirectory) -> None:
    assert report.render(image_run) == report.render(RunDirectory(image_run.path))


def test_write_puts_it_into_the_directory(table_run: RunDirectory) -> None:
    where = report.write(table_run.path)
    assert where == table_run.report_file
    assert where.read_text(encoding="utf-8") == report.render(table_run)


def test_a_directory_without_a_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        report.write(tmp_path / "nothing")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def contrast_with_white(colour: str) -> float:
    return contrast(colour, "#ffffff")


def test_text_and_lines_stand_out_from_the_page() -> None:
    # WCAG 2.2: 4.5 for text, 3 for what must be seen in a figure.
    css = (Path(report.__file__).parent / "page.css").read_text()
    named = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css))
    for colour in (
        INK,
        MUTED,
        BETTER,
        WORSE,
        *(named[n] for n in ("ink", "muted", "helps", "hurts", "none", "accent")),
    ):
        assert contrast_with_white(colour) >= 4.5, colour
    styles = looks([f"arm {i}" for i in range(13)], "arm 0")
    assert all(contrast_with_white(look.colour) >= 4.5 for look in styles.values())
    assert len({look.marker for look in styles.values()}) == 13
    assert len({(look.colour, str(look.dash)) for look in styles.values()}) == 13


def test_every_colour_of_text_stands_out_from_what_is_behind_it() -> None:
    css = (Path(report.__file__).parent / "page.css").read_text()
    named = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css))
    used = re.findall(r"(?<![-\w])color: (?:var\(--([a-z]+)\)|(#[0-9a-f]{6}))", css)
    colours = {named.get(name, given) for name, given in used}
    assert len(colours) >= 5
    for colour in colours:
        assert contrast(colour, named["soft"]) >= 4.5, (
            colour
        )  # the darkest background there is, but for words:


@pytest.mark.parametrize("share", [-1.0, -0.5, 0.5, 1.0])
def test_words_can_be_read_on_their_colour(share: float) -> None:
    red, green, blue, alpha = map(float, re.findall(r"[\d.]+", Word("word", share).style))
    over = [round(255 - alpha * (255 - channel)) for channel in (red, green, blue)]
    assert contrast(INK, "#{:02x}{:02x}{:02x}".format(*over)) >= 4.5


def test_figures_and_tables_say_what_they_are(page: str) -> None:
    tags = Tags(page)
    assert len(tags.of("caption")) == len(tags.of("table"))
    assert len(tags.of("figcaption")) == len(tags.of("figure"))
    assert len(tags.of("title")) - 1 == len(tags.of("desc")) == len(tags.of("svg"))
    assert [len(tags.of(landmark)) for landmark in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    sections = tags.of("section")
    assert all(a.get("aria-labelledby") == f"h-{a.get('id')}" for a in sections)
    first = next(a for a in tags.of("a"))
    assert (first["class"], first["href"]) == ("skip", "#main")


def test_nothing_can_be_asked_for_from_outside(page: str) -> None:
    assert "default-src 'none'" in page
