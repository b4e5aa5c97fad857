"""The command line: `rightreasons train RECIPE`, `rightreasons report RUN`."""

from rightreasons.cli._main import main

__all__ = ["main"]
