"""Agreement of two maps of the same input."""
