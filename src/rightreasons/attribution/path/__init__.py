"""Gradients along a path: integrated and expected gradients, their quadratures and estimators."""
