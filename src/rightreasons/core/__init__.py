"""Numerical ground that everything else stands on; knows no method, prior or task."""
