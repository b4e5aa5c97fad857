"""Maps drawn over images: red for, blue against."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import image

from rightreasons.plot._overlay import overlaid, pale, reduced


def of_input(x: np.ndarray) -> str:
    """The input itself: a photograph in its colours, anything else (a grey image, rows of a sequence) as ink."""
    return png(_photograph(x) if _coloured(x) else _ink(x, darkest=0.0))


def of_map(phi: np.ndarray, x: np.ndarray | None = None, scale: float | None = None) -> str:
    """A map, symmetric about zero, on a pale copy of the input it belongs to.

    Args:
        phi: (channels, height, width) is added up over channels; else (height, width).
        x: the input; left out if a map of a layer has another resolution.
        scale: what the darkest colour stands for; None: the largest magnitude of this map.
    """
    total = reduced(phi, "sum")
    below = None
    if x is not None and x.shape[-2:] == total.shape:
        below = pale(_photograph(x)) if _coloured(x) else _ink(x, darkest=0.72)
    return png(overlaid(total, below, scale))


def _coloured(x: np.ndarray) -> bool:
    return x.ndim == 3 and x.shape[0] == 3


def _photograph(x: np.ndarray) -> np.ndarray:
    """Three channels as RGB between their own lowest and highest value."""
    low, high = float(x.min()), float(x.max())
    return np.moveaxis((x - low) / ((high - low) or 1.0), 0, -1)


def _ink(x: np.ndarray, darkest: float) -> np.ndarray:
    """An image (channels, height, width) as RGB, bright background, ink no darker than `darkest`."""
    ink = x.mean(0) if x.ndim == 3 else x
    low, high = float(ink.min()), float(ink.max())
    ink = (ink - low) / ((high - low) or 1.0)
    return np.repeat((1 - (1 - darkest) * ink)[..., None], 3, axis=-1)


def png(picture: np.ndarray) -> str:
    """A picture (height, width, 3) in [0, 1] as a data URI."""
    buffer = BytesIO()
    nothing: dict[str, Any] = {"Software": None}
    image.imsave(buffer, np.clip(picture, 0, 1), format="png", metadata=nothing)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
