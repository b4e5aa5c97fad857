"""The colour scale of every figure: red for, blue against, white at zero."""

import numpy as np

FOR, AGAINST = "#b2182b", "#2166ac"
INK, MUTED = "#1f2933", "#52606d"
# Lightness falls evenly from white on both sides, so that equal magnitudes look equally strong.
_STOPS = ("#2166ac", "#92c5de", "#ffffff", "#f4a582", "#b2182b")


def diverging(values: np.ndarray) -> np.ndarray:
    """Colours of numbers from -1 (blue) over 0 (white) to 1 (red), as RGB along a new last axis.

    >>> diverging(np.array([0.0, 2.0])).round(2).tolist()
    [[1.0, 1.0, 1.0], [0.7, 0.09, 0.17]]
    """
    places = np.linspace(-1, 1, len(_STOPS))
    return np.stack([np.interp(values, places, [rgb(stop)[i] for stop in _STOPS]) for i in range(3)], axis=-1)


def rgb(colour: str) -> tuple[float, float, float]:
    """`#rrggbb` as three numbers in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
