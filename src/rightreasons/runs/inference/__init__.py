"""Use a finished run: load, predict, evaluate, explain."""
