"""How figures look, and how they become inline SVG: no request leaves the page, no two figures share an id."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK, MUTED, RULE = "#1f2933", "#52606d", "#d9dee3"
# Okabe and Ito's palette, told apart by people with any colour vision; the arm compared against is grey.
_REFERENCE = "#4a5560"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#56b4e9")
_MARKERS = ("s", "^", "D", "v", "P", "X")
_DASHES = ("-", (0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.5, 1)), (0, (8, 2, 2, 2)), "-")

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa5b1",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecef",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one arm, the same in every figure."""

    colour: str
    marker: str
    dash: Any


def looks(arms: Sequence[str], reference: str) -> dict[str, Look]:
    """A look for each arm; shape and line tell them apart as well as colour does."""
    found = {reference: Look(_REFERENCE, "o", "-")}
    for i, arm in enumerate(arm for arm in arms if arm != reference):
        found[arm] = Look(
            _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)], _DASHES[(i + 1) % len(_DASHES)]
        )
    return found


@contextmanager
def drawn(width: float, height: float) -> Iterator[Figure]:
    """A figure in the page's style; drawing on it needs no display and no global state."""
    with mpl.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an inline `<svg>` that screen readers announce by title and description.

    Args:
        figure: finished.
        name: unique on the page; begins every id inside.
        title: short.
        description: what a person who cannot see it needs to know.
    """
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        buffer = StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    label = (
        f' role="img" aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{_escaped(title)}</title>'
        f'<desc id="{name}-desc">{_escaped(description)}</desc>'
    )
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return head + label + rest


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
