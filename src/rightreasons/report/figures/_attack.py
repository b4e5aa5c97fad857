"""Figure of an attack: image and map before and after, with both top-k sets."""

from io import BytesIO

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from rightreasons.attacks import Status
from rightreasons.audit import Robustness
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.metrics import dilate, topk_mask
from rightreasons.report._style import drawn

_HEADS = ("Image", "Map", "Attacked image", "Its map", "Most important pixels")
_EXAMPLES = 4
_DOTS_PER_INCH = 150
# Around the clean top k, in it, in both, of the attacked top k inside the windows, and outside.
_PLACES = {
    "windows of the clean top k": "#d6e6f2",
    "clean top k": "#7fb2d9",
    "in both": "#1f4e79",
    "attacked, inside the windows": "#2a9d63",
    "attacked, outside": "#d55e00",
}


@checked
def attack_figure(found: Robustness) -> bytes:
    """A picture (PNG) of some rows, from where the attack did most to where it did least.

    Args:
        found: of images; what `rr.audit.robustness` returns.

    Raises: InputError if the inputs are not images.
    """
    if found.inputs.dim() != 4 or found.window is None:
        raise InputError(
            f"The figure of an attack shows images (B, C, H, W); these inputs are {tuple(found.inputs.shape)}. Use the "
            "table."
        )
    rows = _examples(found)
    with drawn(10.5, 0.8 + 2.3 * len(rows)) as figure:
        grid = figure.subplots(len(rows), len(_HEADS), squeeze=False)
        for axes, row in zip(grid, rows, strict=True):
            _draw(axes, found, row)
        for axis, head in zip(grid[0], _HEADS, strict=True):
            axis.set_title(head)
        handles = [Patch(color=colour, label=label) for label, colour in _PLACES.items()]
        figure.legend(handles=handles, loc="outside lower right", ncols=len(handles), fontsize=9)
        buffer = BytesIO()
        figure.savefig(
            buffer,
            format="png",
            dpi=_DOTS_PER_INCH,
            bbox_inches="tight",
            pad_inches=0.12,
            metadata={"Software": None},
        )
    return buffer.getvalue()


def _examples(found: Robustness) -> list[int]:
    """Attacked rows, evenly spread from the strongest to the weakest attack."""
    attacked = (~found.found.rows(Status.EXCLUDED)).nonzero()[:, 0]
    sign = 1 if found.found.lower_is_stronger else -1
    order = attacked[(sign * found.found.after[attacked]).argsort()]
    places = torch.linspace(0, len(order) - 1, min(_EXAMPLES, len(order))).round().long()
    return order[places].tolist()


def _draw(axes: np.ndarray, found: Robustness, row: int) -> None:
    result, reduce = found.found, found.attack.reduce
    maps = [each[row : row + 1] for each in (result.clean_maps, result.maps)]
    before, after = (each if reduce is None else reduce(each) for each in maps)
    low, high = float(found.inputs[row].min()), float(found.inputs[row].max())
    for axis, image in ((axes[0], found.inputs[row]), (axes[2], result.adversarial[row])):
        _image(axis, ((image - low) / ((high - low) or 1.0)).clamp(0, 1))
    for axis, values in ((axes[1], before), (axes[3], after)):
        axis.imshow(
            values[0].cpu().numpy(), cmap="magma_r", vmin=0, vmax=float(values.quantile(0.995)) or None
        )
    axes[4].imshow(_places(maps, found))
    index = int((~result.rows(Status.EXCLUDED))[:row].sum())
    measures = found.values["attack"]
    axes[4].set_xlabel(
        f"top-k {float(measures['top-k'][index]):.2f}, LENS {float(measures['LENS'][index]):.2f}",
        fontsize=9,
    )
    if result.status[row] != Status.BETTER:
        axes[2].set_xlabel(f"attack failed: {result.status[row].replace('_', ' ')}", fontsize=9)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(True)


def _image(axis: Axes, image: Tensor) -> None:
    """One channel as ink on white, three as colours, others as their mean."""
    if len(image) == 3:
        axis.imshow(image.permute(1, 2, 0).cpu().numpy())
    else:
        axis.imshow(image.mean(0).cpu().numpy(), cmap="gray_r", vmin=0, vmax=1)


def _places(maps: list[Tensor], found: Robustness) -> np.ndarray:
    """The two sets as colours, (H, W, 3)."""
    clean, attacked = (topk_mask(each, found.k, reduce=found.attack.reduce) for each in maps)
    windows = dilate(clean, found.window or 0)
    masks = (windows, clean, clean & attacked, attacked & windows & ~clean, attacked & ~windows)
    picture = np.ones((*clean.shape[1:], 3))
    for mask, colour in zip(masks, _PLACES.values(), strict=True):
        picture[mask[0].cpu().numpy()] = to_rgb(colour)
    return picture
