"""Read masks and boxes of images, the guidance of a prior."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data._dataset import DataSet
from rightreasons.data.readers._arrays import stored_array
from rightreasons.data.readers._csv import csv_frame
from rightreasons.data.readers._options import extra
from rightreasons.data.readers._pixels import ENDINGS, pixels

_BOX = ("left", "top", "right", "bottom")


@checked
def read_masks(
    path: str | Path, data: DataSet, *, outside: bool = False, of: tuple[int, int] | None = None
) -> Float[Tensor, "N *F"]:
    r"""Guidance for `priors.Mask`, one row per row of the data: 1 where the model should not look, 0 elsewhere.

    | path         | holds                                                                                            |
    |--------------|--------------------------------------------------------------------------------------------------|
    | a folder     | images named as the rows' ids (with any ending of an image), light inside the mask (or 1, if all |
    |              | are 0 and 1); transparent pixels are outside                                                      |
    | .csv         | boxes: columns id, left, top, right, bottom in pixels from the top left corner, the last two not  |
    |              | included; several rows with one id are several boxes                                             |
    | .npy         | an array of the inputs' shape, 1 where shared, such as (N, 1, H, W) or (N, p)                     |

    A row without a mask or box has zeros everywhere: nothing is believed about it. Masks of another size are resized
    (nearest), boxes scaled from the size they were drawn on.

    Cost: N x H x W numbers.

    Args:
        path: a folder, .csv or .npy.
        data: images with ids, as `read` makes of a folder; any data for .npy.
        outside: the masks and boxes surround what is relevant, so the model should not look anywhere else.
        of: height and width of the pictures that boxes were drawn on, if those have been resized since.

    Raises:
        DataError: no such file, an id that is no row's, a box that is empty or beyond the picture, an unreadable mask,
            an array of another shape, or not one mask.

    >>> import tempfile
    >>> data = DataSet("d", torch.zeros(2, 1, 3, 4), torch.zeros(2), ids=("a.png", "b.png"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "boxes.csv"
    ...     _ = file.write_text("id,left,top,right,bottom\nb.png,0,1,2,3\n")
    ...     read_masks(file, data)[1, 0]
    tensor([[0., 0., 0., 0.],
            [1., 1., 0., 0.],
            [1., 1., 0., 0.]])
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        masks = _array(path, data)
    elif data.x.ndim != 4 or not data.ids:
        raise DataError(
            f"Masks and boxes are for pictures (N, channels, H, W) with ids, got {data!r}. Use an .npy file."
        )
    elif path.is_dir():
        masks = _pictures(path, data)
    elif path.suffix.lower() == ".csv":
        masks = _boxes(path, data, of or (data.x.shape[2], data.x.shape[3]))
    else:
        raise DataError(f"{path} must be a folder of masks, a .csv file of boxes or an .npy file, and exist.")
    believed = (masks.flatten(1) != 0).any(1)
    if not bool(believed.any()):
        raise DataError(
            f"{path} has no mask for any of the {len(data)} rows of {data.name!r}: are they named like its ids?"
        )
    if outside:
        masks[believed] = 1 - masks[believed]
    return masks


def _array(path: Path, data: DataSet) -> Tensor:
    masks = stored_array(path)
    wanted = tuple(data.x.shape)
    fits = masks.ndim == len(wanted) and all(
        size == want or (i and size == 1)
        for i, (size, want) in enumerate(zip(masks.shape, wanted, strict=False))
    )
    if not fits or masks.dtype.kind not in "biuf" or not ((masks >= 0) & (masks <= 1)).all():
        raise DataError(
            f"{path} must hold numbers from 0 to 1 of the shape of the inputs {wanted}, 1 where shared, got "
            f"{masks.dtype} "
            f"of {masks.shape}."
        )
    return torch.from_numpy(masks.astype(np.float32))


def _pictures(path: Path, data: DataSet) -> Tensor:
    Image = extra("PIL.Image", "Pillow")
    masks = torch.zeros(len(data), 1, *data.x.shape[2:])
    for row, name in enumerate(data.ids):
        file = next((each for each in _candidates(path, name) if each.is_file()), None)
        if file is None:
            continue
        grey = pixels(file, colour=False, background="black")[0][..., 0]  # turned as the image is
        inside = grey > (127 if grey.max() > 1 else 0)
        size = (data.x.shape[3], data.x.shape[2])
        mask = Image.fromarray(inside).resize(size, Image.Resampling.NEAREST)
        masks[row, 0] = torch.from_numpy(np.array(mask, dtype=np.float32))
    return masks


def _candidates(path: Path, name: str) -> list[Path]:
    exact = path / name
    return [exact, *(exact.with_suffix(ending) for ending in ENDINGS)]


def _boxes(path: Path, data: DataSet, of: tuple[int, int]) -> Tensor:
    table = _box_table(path)
    position = {name: row for row, name in enumerate(data.ids)}
    masks = torch.zeros(len(data), 1, *data.x.shape[2:])
    down, across = data.x.shape[2] / of[0], data.x.shape[3] / of[1]
    for line, (name, *corners) in enumerate(table.itertuples(index=False), start=1):
        if str(name) not in position:
            raise DataError(
                f"{path}: the id {str(name)!r} in row {line} is no row of {data.name!r}. "
                f"{did_you_mean(str(name), data.ids[:9])}"
            )
        left, top, right, bottom = corners
        if not (0 <= left < right <= of[1] and 0 <= top < bottom <= of[0]):
            raise DataError(
                f"{path}: the box in row {line}, left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}, "
                "is empty "
                f"or beyond a picture of {of[0]} x {of[1]} (height x width). If pictures were resized, say of=(H, W)."
            )
        rows, columns = _covered(top * down, bottom * down), _covered(left * across, right * across)
        masks[position[str(name)], 0, rows, columns] = 1
    return masks


def _covered(start: float, stop: float) -> slice:
    """Pixels whose centre is inside; of a box between centres the pixel it lies in.

    >>> _covered(0.4, 2.5), _covered(1.6, 1.9)
    (slice(0, 2, None), slice(1, 2, None))
    """
    first, end = math.ceil(start - 0.5), math.ceil(stop - 0.5)
    return slice(first, end) if end > first else slice(int(start), int(start) + 1)


def _box_table(path: Path) -> Any:
    pd = extra("pandas", "pandas")
    table = csv_frame(path, dtype={"id": str}, keep_default_na=False)
    missing = [name for name in ("id", *_BOX) if name not in table.columns]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}. {did_you_mean(missing[0], map(str, table.columns))}"
        )
    numbers = table[list(_BOX)].apply(pd.to_numeric, errors="coerce")
    wrong = numbers.isna().any(axis=1).to_numpy()
    if wrong.any():
        raise DataError(f"{path}: the box in row {int(wrong.argmax()) + 1} has a corner that is no number.")
    return pd.concat([table["id"].str.strip(), numbers], axis=1)
