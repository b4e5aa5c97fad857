"""Images beside their maps."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.plot._arrays import array, names_of
from rightreasons.plot._figure import Axes, Figure, drawing, wrapped
from rightreasons.plot._overlay import Channels, overlaid, pale, reduced

FULL_COLOUR = 99.5
"""Percentile of a map's magnitudes that has the full colour: a few extreme pixels must not bleach the rest."""
_PANEL = 1.75
"""Inches of an image."""
_STATED = {
    "sum": "Channels added up; red for, blue against what is explained.",
    "absolute": "Magnitudes added up over channels, so without sign.",
}


@checked
def show(
    maps: Tensor | Mapping[str, Tensor],
    images: Tensor,
    *,
    titles: Sequence[str] | None = None,
    channels: Channels = "sum",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Figure:
    """Each image, and beside it its maps laid over a pale copy of it, one column for each method.

    Every map has a symmetric scale of its own, whose end is printed below it: the 99.5th percentile of its
    magnitudes. How channels became one number, and how images were brought to [0, 1], is printed below the figure.

    Args:
        maps: (B, C, H, W) or (B, H, W), or several by the name of their method; maps of another resolution, such as
            those of a layer, are interpolated.
        images: (B, 1 or 3, H, W) or (B, H, W), as the model saw them. Values outside [0, 1] are brought back by
            `mean` and `std`, or else stretched, each image by its own lowest and highest value.
        titles: a line above each image.
        channels: "sum" keeps the sign; "absolute" adds magnitudes.
        mean: what was subtracted from each channel when the images were normalised.
        std: what each channel was divided by.

    Returns:
        A matplotlib `Figure`: shown by a notebook, or `figure.savefig("maps.png")`.

    Raises:
        InputError: no maps, values that are not finite, `mean` without `std`, an unknown `channels`.
        ShapeError: maps and images that do not fit together.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import torch, rightreasons as rr
        >>> images = torch.rand(2, 3, 8, 8)
        >>> maps = {
        ...     "gradient": torch.randn(2, 3, 8, 8),
        ...     "edges": rr.EdgeMap()(lambda x: x.sum((1, 2, 3)), images),
        ... }
        >>> rr.plot.show(maps, images).axes[1].get_title("left")
        'gradient'
    """
    named = dict(maps) if isinstance(maps, Mapping) else {"map": maps}
    pictures, how = _pictures(images, mean, std)
    if not named:
        raise InputError("maps is an empty mapping: there is nothing to show.")
    found = {name: _maps(name, phi, pictures.shape[:3], channels) for name, phi in named.items()}
    above = (
        names_of(titles, len(pictures), "titles") if titles is not None else ["image"] + [""] * len(pictures)
    )
    size = (len(pictures), 1 + len(found))
    heads = [[line, *(found if row == 0 else [""] * len(found))] for row, line in enumerate(above[: size[0]])]
    across = _PANEL * min(1.0, pictures.shape[2] / pictures.shape[1])
    heads = [[wrapped(head, across, 10.5) for head in line] for line in heads]
    more = sum(max(head.count("\n") for head in line) for line in heads)
    scales = f"Full colour at the end of each scale, the {FULL_COLOUR}th percentile of the map's magnitudes."
    caption = wrapped(f"{_STATED[channels]} {scales} {how}", _PANEL * size[1], 7.5)
    with drawing(_PANEL * size[1], 2.05 * size[0] + 0.6 + 0.17 * more) as figure:
        grid = figure.subplots(*size, squeeze=False)
        for row, (picture, line) in enumerate(zip(pictures, grid, strict=True)):
            _panel(line[0], picture, heads[row][0])
            for axes, phi, head in zip(line[1:], found.values(), heads[row][1:], strict=True):
                scale = float(np.percentile(np.abs(phi[row]), FULL_COLOUR)) or float(np.abs(phi[row]).max())
                _panel(axes, overlaid(phi[row], pale(picture), scale), head)
                axes.set_xlabel(f"± {scale:.2g}" if scale else "all zero", fontsize=7.5, labelpad=2)
        figure.supxlabel(caption, fontsize=7.5)
    return figure


def _panel(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(np.clip(picture, 0, 1), interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _pictures(
    images: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[np.ndarray, str]:
    """Images as RGB in [0, 1], (B, H, W, 3), and a sentence that says how they got there."""
    found = array(images, "images", (3, 4))
    found = found[:, None] if found.ndim == 3 else found
    count = found.shape[1]
    if count not in (1, 3):
        raise ShapeError(
            f"images have one channel or three (red, green, blue), second dimension; got shape {found.shape}. "
            "Choose: images[:, :3]."
        )
    if (mean is None) != (std is None):
        raise InputError(
            "mean and std belong together: pass both, as the images were normalised with, or neither."
        )
    if mean is not None and std is not None:
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != count:
                raise ShapeError(f"{name} has {len(values)} numbers for {count} channels.")
        found = found * np.reshape(std, (-1, 1, 1)) + np.reshape(mean, (-1, 1, 1))
        how = "Images as before normalisation."
    elif found.min() >= 0 and found.max() <= 1:
        how = "Images as they are."
    else:
        low, high = (edge((1, 2, 3), keepdims=True) for edge in (found.min, found.max))
        found = (found - low) / np.where(high > low, high - low, 1.0)
        how = "Images stretched, each from its lowest to its highest value."
    rgb = np.repeat(found, 3, axis=1) if count == 1 else found
    return np.clip(np.moveaxis(rgb, 1, -1), 0, 1), how


def _maps(name: str, phi: Tensor, size: Sequence[int], channels: Channels) -> np.ndarray:
    """One number for each pixel of each image, (B, H, W)."""
    found = array(phi, f"maps of {name!r}", (3, 4))
    if len(found) != size[0]:
        raise ShapeError(f"{len(found)} maps of {name!r} for {size[0]} images: pass one for each image.")
    flat = np.stack([reduced(each, channels) for each in found])
    if flat.shape[1:] == tuple(size[1:]):
        return flat
    grown = F.interpolate(
        torch.from_numpy(flat)[:, None], tuple(size[1:]), mode="bilinear", align_corners=False
    )
    return grown[:, 0].numpy()
