"""Reports: a run directory as one offline page, figures and all."""

from rightreasons.recipes._extras import require as _require

_require("report", "matplotlib", "jinja2")

from rightreasons.report._page import render, write  # noqa: E402

__all__ = ["render", "write"]
