"""Residual network for small images."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models._activation import activation as _activation
from rightreasons.models._activation import require_positive


class Residual(nn.Module):
    """y = act(x' + norm conv act norm conv x), x' being x, or a 1x1 convolution of it where the shape changes."""

    def __init__(self, before: int, after: int, stride: int, activation: str) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            _activation(activation),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = before == after and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )
        self.activation = _activation(activation)

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
        """The block's output."""
        return self.activation(self.shortcut(x) + self.inner(x))


@checked
class ResNet(nn.Module):
    """Stages of residual blocks [he2016], the mean over positions, and one linear layer.

    A 3x3 convolution; for each entry of `channels` a stage of `blocks` blocks, every stage but the first halving the
    image; then the mean. `ResNet(channels=(16, 32, 64), blocks=3)` is the paper's ResNet-20 for 32 x 32 images but for
    its shortcuts, which are 1x1 convolutions here. Images of any size that can be halved so often will do.

    With `outputs=1` the result is (B,), as one-output tasks use it; else (B, outputs).

    Cost: about 18 x blocks x c^2 x H x W multiplications per row and stage.

    Args:
        shape: channels, height and width of one image.
        outputs: numbers per image that the network returns: classes, or 1.
        channels: of each stage.
        blocks: residual blocks of each stage, of two convolutions.
        activation: one of `activations()`.

    Raises: InputError: a size below 1, an image too small for its stages, an unknown activation.

    >>> import torch
    >>> ResNet(shape=(3, 16, 16), outputs=5, channels=(4, 8))(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        outputs: int = 10,
        channels: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if len(shape) != 3 or not channels:
            raise InputError(
                f"A ResNet needs a shape (channels, height, width) and at least one stage, got shape={tuple(shape)}, "
                f"channels={tuple(channels)}."
            )
        require_positive("shape, outputs, channels and blocks", *shape, outputs, *channels, blocks)
        if min(shape[1:]) < 2 ** (len(channels) - 1):
            raise InputError(
                f"{len(channels)} stages do not fit images of {shape[1]} x {shape[2]}: every stage after the first "
                "halves "
                "the image. Use fewer channels entries."
            )
        self.shape, self.outputs = tuple(shape), outputs
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            _activation(activation),
        ]
        before = channels[0]
        for stage, after in enumerate(channels):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Residual(before, after, stride, activation))
                before = after
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(before, outputs)

    def forward(self, x: Float[Tensor, "B *F"]) -> Float[Tensor, "B *C"]:
        """Outputs of a batch of images.

        Raises: ShapeError if the images have other channels, or are too small.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ShapeError(
                f"This ResNet takes images of shape {self.shape}, got a batch of shape {tuple(x.shape)}. Resize the "
                "images, or add the batch dimension: x[None]."
            )
        out = self.head(self.blocks(x).mean((2, 3)))
        return out[:, 0] if self.outputs == 1 else out
