"""Building blocks of report sections: headings, text, tables, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from markupsafe import Markup

_ROOM = 820
"""Pixels next to the headings of a table of pictures."""


@dataclass(frozen=True)
class Text:
    """A paragraph; as a note it is smaller."""

    kind: ClassVar[str] = "text"
    text: str
    note: bool = False


@dataclass(frozen=True)
class Figure:
    """An inline figure made by `to_svg`, with its caption."""

    kind: ClassVar[str] = "figure"
    svg: str
    caption: str
    narrow: bool = False

    @property
    def markup(self) -> Markup:
        """The figure as it goes into the page: `to_svg` has escaped what people wrote."""
        return Markup(self.svg)


@dataclass(frozen=True)
class Link:
    """Text of a row heading that leads to another page."""

    text: str
    href: str


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with their heading.

    Args:
        columns: headings, that of the first column included.
        rows: cells as text.
        caption: what it shows.
        text: positions of columns of words, which are aligned to the left.
        code: whether row headings are names from a program or a file.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Link]]
    caption: str
    text: frozenset[int] = frozenset()
    code: bool = False


@dataclass(frozen=True)
class Cell:
    """One picture of a table of pictures: a data URI, what it shows, and a remark below it."""

    source: str
    alt: str
    note: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures in rows, such as the same images for every arm.

    Args:
        rows: heading and pictures.
        caption: what it shows.
        columns: headings, if columns have any.
        size: width and height on the page, in pixels.
    """

    kind: ClassVar[str] = "pictures"
    rows: Sequence[tuple[str, Sequence[Cell]]]
    caption: str
    columns: Sequence[str] = ()
    size: tuple[int, int] = (76, 76)

    def in_parts(self) -> "list[Pictures]":
        """Several tables where one would be wider than the page."""
        most = max(1, _ROOM // (self.size[0] + 4))
        count = max((len(cells) for _, cells in self.rows), default=0)
        starts = range(0, max(count, 1), -(-count // -(-count // most)) if count else 1)
        step = starts.step
        return [
            replace(
                self,
                rows=[(name, cells[start : start + step]) for name, cells in self.rows],
                columns=self.columns[start : start + step],
            )
            for start in starts
        ]


@dataclass(frozen=True)
class Word:
    """One word of a text: its attribution as a share of the largest, in [-1, 1]."""

    text: str
    share: float

    @property
    def side(self) -> str:
        """Said by a line under the word as well as by its colour."""
        return "" if abs(self.share) < 0.15 else "for" if self.share > 0 else "against"

    @property
    def style(self) -> str:
        """Colour behind the word: red for, blue against, never so dark that the word is hard to read."""
        tint = (214, 96, 77) if self.share > 0 else (67, 147, 195)
        return f"background:rgba({tint[0]},{tint[1]},{tint[2]},{0.55 * abs(self.share):.2f})"


@dataclass(frozen=True)
class Passage:
    """A text for every arm: heading, then arm and words."""

    kind: ClassVar[str] = "passage"
    heading: str
    rows: Sequence[tuple[str, Sequence[Word]]]


@dataclass(frozen=True)
class Scale:
    """What the colours of maps mean."""

    kind: ClassVar[str] = "scale"
    low: str
    high: str


@dataclass(frozen=True)
class Code:
    """Text as it is in a file."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them; open in print."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Any]


@dataclass(frozen=True)
class Findings:
    """One entry for each arm: name, what, colour, lines of verdict and text."""

    kind: ClassVar[str] = "findings"
    arms: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading.

    Args:
        id: of its element.
        title: its heading.
        blocks: its content, in order.
    """

    id: str
    title: str
    blocks: Sequence[Any] = field(default_factory=tuple)
