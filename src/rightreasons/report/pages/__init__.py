"""Pages of one run, of several, and the index: sections put together."""
