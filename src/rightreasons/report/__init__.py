"""Reports: a run directory as one offline page, figures and all."""

from rightreasons.core._extras import require as _require

_require("report", "matplotlib", "jinja2")

from rightreasons.report.figures._attack import attack_figure  # noqa: E402
from rightreasons.report.pages._comparison import render_comparison, write_comparison  # noqa: E402
from rightreasons.report.pages._index import render_index, runs_in, write_index  # noqa: E402
from rightreasons.report.pages._page import render, write  # noqa: E402

__all__ = [
    "attack_figure",
    "render",
    "render_comparison",
    "render_index",
    "runs_in",
    "write",
    "write_comparison",
    "write_index",
]
