"""Data augmentation of training images: shifts and flips."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._distributed import rows_of_all_ranks
from rightreasons.core._errors import InputError, ShapeError


@final
@checked
@dataclass(frozen=True)
class Shift:
    """Move each image by up to so many pixels, down or up and right or left; the border is continued.

    Both distances of a row are drawn uniformly from -pixels..pixels. Cost: one copy of the batch.

    Args:
        pixels: the largest distance, in pixels.

    Raises:
        InputError: pixels below 1.
        ShapeError: rows that are not images (C, H, W).

    Example:
        >>> x = torch.arange(4.0).reshape(1, 1, 1, 4)
        >>> Shift(1)(x, torch.Generator().manual_seed(0)).flatten().tolist()
        [0.0, 0.0, 1.0, 2.0]
    """

    pixels: int = 2

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise InputError(f"pixels is the largest distance, at least 1; got {self.pixels}.")

    def __call__(
        self, x: Shaped[Tensor, "B C H W"], generator: torch.Generator | None = None
    ) -> Shaped[Tensor, "B C H W"]:
        """The moved images."""
        rows, (height, width) = _images(self, x), x.shape[2:]
        total, mine = rows_of_all_ranks(rows)
        drawn = torch.randint(-self.pixels, self.pixels + 1, (total, 2), generator=generator)[mine].to(
            x.device
        )
        down = (torch.arange(height, device=x.device) + drawn[:, :1]).clamp(0, height - 1)
        right = (torch.arange(width, device=x.device) + drawn[:, 1:]).clamp(0, width - 1)
        moved = x.gather(2, down[:, None, :, None].expand_as(x))
        return moved.gather(3, right[:, None, None, :].expand_as(x))


@final
@checked
@dataclass(frozen=True)
class Flip:
    """Mirror each image with some chance.

    Cost: one copy of the batch.

    Args:
        chance: of each row.
        axis: "horizontal" swaps left and right, "vertical" top and bottom.

    Raises:
        InputError: a chance out of range, or an unknown axis.
        ShapeError: rows that are not images (C, H, W).

    Example:
        >>> Flip(chance=1.0)(torch.arange(3.0).reshape(1, 1, 1, 3)).flatten().tolist()
        [2.0, 1.0, 0.0]
    """

    chance: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        if not 0 < self.chance <= 1:
            raise InputError(f"chance is a probability, more than 0 and at most 1; got {self.chance}.")
        if self.axis not in ("horizontal", "vertical"):
            raise InputError(f"axis must be 'horizontal' or 'vertical'; got {self.axis!r}.")

    def __call__(
        self, x: Shaped[Tensor, "B C H W"], generator: torch.Generator | None = None
    ) -> Shaped[Tensor, "B C H W"]:
        """The images, some of them mirrored."""
        total, mine = rows_of_all_ranks(_images(self, x))
        mirrored = (torch.rand(total, generator=generator, dtype=torch.float32)[mine] < self.chance).to(
            x.device
        )
        return torch.where(mirrored[:, None, None, None], x.flip(3 if self.axis == "horizontal" else 2), x)


def _images(what: Shift | Flip, x: Tensor) -> int:
    """The number of rows."""
    if x.dim() != 4:
        raise ShapeError(f"{what} changes images, rows of shape (C, H, W); got rows of {tuple(x.shape[1:])}.")
    return x.shape[0]
