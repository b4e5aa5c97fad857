"""Decode image files to pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rightreasons.core._errors import DataError
from rightreasons.data.readers._options import extra

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
BACKGROUND = "white"
_GREY = ("1", "L", "LA", "La")
_LARGEST_SIDE = 20_000


def pixels(
    file: Path,
    *,
    colour: bool | None = None,
    size: tuple[int, int] | None = None,
    background: str = BACKGROUND,
) -> tuple[UInt8[np.ndarray, "H W C"], bool]:
    """An image as bytes, and whether some of it was transparent.

    It is turned as its camera says; of several frames the first is taken. Transparent pixels are laid over the
    background: what colour they have is chance, and was never seen. CMYK and palettes become red, green and blue.

    Args:
        file: the image.
        colour: True for three channels, False for one, None for what the image is.
        size: height and width to resize to (bilinear, stretched).
        background: colour, as CSS names it or as #rrggbb.

    Raises: DataError for a file that cannot be read, or has more than 8 bits in a pixel of grey.
    """
    Image, ImageOps = extra("PIL.Image", "Pillow"), extra("PIL.ImageOps", "Pillow")
    with _opened(file) as opened:
        image = ImageOps.exif_transpose(opened)
        grey = image.mode in _GREY if colour is None else not colour
        transparent = False
        if image.has_transparency_data:
            above = image.convert("RGBA")
            transparent = above.getchannel("A").getextrema()[0] < 255
            image = Image.alpha_composite(Image.new("RGBA", above.size, colour_of(background)), above)
        image = image.convert("L" if grey else "RGB")
        if size is not None:
            height, width = size
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.atleast_3d(np.asarray(image)), transparent


def has_colour(file: Path) -> bool:
    """Whether an image has colours, by its header."""
    with _opened(file) as image:
        return image.mode not in _GREY


def colour_of(background: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour by its name.

    Raises: DataError for what is none.

    >>> colour_of("#ff8000")
    (255, 128, 0)
    """
    try:
        red, green, blue = extra("PIL.ImageColor", "Pillow").getcolor(background, "RGB")[:3]
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"background must be a colour as CSS names it, such as white, black or #808080; got {background!r}."
        ) from error
    return red, green, blue


def require_size(size: tuple[int, int] | None) -> None:
    """Raise a DataError for a height or width that no image can have."""
    if size is not None and not all(1 <= side <= _LARGEST_SIDE for side in size):
        raise DataError(
            f"size must be height and width in pixels, from 1 to {_LARGEST_SIDE:,} each; got {tuple(size)}."
        )


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The image; whatever Pillow says against it becomes an error that names the file."""
    Image = extra("PIL.Image", "Pillow")
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise DataError(
                    f"{file} has more than 8 bits per pixel (mode {opened.mode}). Convert it to 8 bits, or make an "
                    ".npz of all images."
                )
            yield opened
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError) as error:
        raise DataError(
            f"The image {file} cannot be read: {' '.join(str(error).split()).rstrip('.')}. Repair it, or move it out "
            "of the folder."
        ) from error
