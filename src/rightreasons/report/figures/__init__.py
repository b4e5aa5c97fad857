"""Figures of reports as inline SVG and images."""
