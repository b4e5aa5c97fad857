"""Figure styles, and figures as inline SVG with unique ids."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from textwrap import fill
from typing import Any
from warnings import catch_warnings, filterwarnings

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from rightreasons.report._words import shorten

INK, MUTED, RULE = "#1f2933", "#52606d", "#d9dee3"
# Each dark enough for text on white (WCAG 2.2: 4.5), no two alike to people with any colour vision; the arm compared
# against is grey. More arms take the colours again with other markers and lines.
_REFERENCE = "#4a5560"
_COLOURS = ("#0072b2", "#b84a00", "#00785a", "#a6338c", "#5b3fb5")
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "*")
_DASHES = ((0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.5, 1)), "-")
BETTER, WORSE = "#0072b2", "#b84a00"
_SEQUENTIAL = LinearSegmentedColormap.from_list("blue", ["#ffffff", "#9ecae1", "#08519c"])
MANY = 6
"""With more arms than this every arm has a panel of its own."""

_REM_PER_INCH = 59 / 9.2
"""A figure of 9.2 inches is as wide as the page; letters have the same size in all figures."""

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names may hold dollars
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
        found[arm] = Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])
    return found


@contextmanager
def drawn(width: float, height: float) -> Iterator[Figure]:
    """A figure in the page's style; drawing on it needs no display and no global state."""
    with mpl.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def panels(figure: Figure, names: Sequence[str], columns: int = 4, **shared: Any) -> list[Axes]:
    """One panel for each name, in rows, titled with it; what is left of the last row stays empty."""
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    found = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axes in found[len(names) :]:
        axes.remove()
    for axes, name in zip(found, names, strict=False):
        width = 110 // (columns + 1)
        axes.set_title(fill(shorten(name, 2 * width - 2), width))
        axes.tick_params(labelleft=True, labelbottom=True)
    return found[: len(names)]


def rows_of_panels(count: int, columns: int = 4) -> int:
    """How many rows of panels there are."""
    return -(-count // columns)


def width_of(count: int, columns: int = 4) -> float:
    """Width of a figure with so many panels, in inches: a panel is as wide with one arm as with twelve."""
    return 2.3 * max(2, min(columns, count))


def entry(name: str) -> str:
    """A name as a legend shows it: matplotlib leaves out those that begin with an underscore."""
    return f"\N{WORD JOINER}{name}" if name.startswith("_") else name


def legend(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """What the lines of a panel mean, above all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=min(columns, len(labels)),
        handlelength=2.6,
        columnspacing=1.6,
    )


def _readable(background: Sequence[float]) -> str:
    """Black or white, whichever stands out more (WCAG 2.2): 4.58 at least, on any colour."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    return "#000000" if np.dot(channels, (0.2126, 0.7152, 0.0722)) > 0.179 else "#ffffff"


def heat(
    axes: Axes, values: Any, rows: Sequence[str], columns: Sequence[str], form: str, uncoloured: int = 0
) -> None:
    """A table of numbers whose cells are darker the larger the number is; the numbers are there to be read.

    The last `uncoloured` rows are totals, which would make all else pale.
    """
    most = max(float(values[: len(values) - uncoloured].max()), 1e-12)
    shown = np.where(np.arange(len(values))[:, None] < len(values) - uncoloured, values, 0)
    axes.imshow(shown, aspect="auto", cmap=_SEQUENTIAL, vmin=0, vmax=most)
    for row, own in enumerate(values):
        for column, value in enumerate(own):
            ink = _readable(_SEQUENTIAL(shown[row, column] / most))
            axes.text(
                column,
                row,
                form.format(value),
                ha="center",
                va="center",
                fontsize=9,
                color=ink,
            )
    axes.set_yticks(range(len(rows)), rows, color=INK)
    wrapped = [fill(name, max(9, 88 // len(columns))) for name in columns]
    turned = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if len(columns) > 7 else {}
    axes.set_xticks(range(len(columns)), columns if turned else wrapped, color=INK, **turned)
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


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
        with catch_warnings():  # letters are the browser's: what the font here lacks is only measured wrongly
            filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
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
    head += f' style="--full:{figure.get_figwidth() * _REM_PER_INCH:.1f}rem"'
    return head + label + rest


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
