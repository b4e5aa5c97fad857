"""Figures of attributions: over images, in texts, along the columns of a table. Needs the extra `report`."""

from rightreasons.plot._columns import summary, table
from rightreasons.plot._images import show
from rightreasons.plot._text import Text, text

__all__ = ["Text", "show", "summary", "table", "text"]
