"""Convolutional network for small images."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models._activation import activation as _activation
from rightreasons.models._activation import require_positive, require_probability


@checked
class CNN(nn.Module):
    """Blocks of convolution, activation and 2x2 max-pooling, then one hidden layer and the outputs.

    A block is Conv(kernel, same padding) [-> BatchNorm] -> activation -> MaxPool(2). The defaults are a quarter-width
    version of the MNIST network of [erion2021] (5x5x32, pool, 5x5x64, pool, 1024 units, dropout 0.5), which is
    `CNN(channels=(32, 64), hidden=1024, dropout=0.5, batch_norm=True)`.

    With `outputs=1` the result is (B,), as one-output tasks use it; else (B, outputs).

    Cost: about kernel^2 x c_in x c_out x H x W multiplications per row and block, H and W halving each time.

    Args:
        shape: channels, height and width of one image.
        outputs: numbers per image that the network returns: classes, or 1.
        channels: convolution channels of each block.
        kernel: odd width of the convolutions, in pixels.
        hidden: units of the hidden layer.
        dropout: share of hidden units dropped in training.
        batch_norm: normalise after each convolution.
        activation: one of `activations()`.

    Raises:
        InputError: a size below 1, an even kernel, an image too small to be halved once per block, dropout outside
            [0, 1), an unknown activation.

    >>> import torch
    >>> CNN(shape=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        outputs: int = 10,
        channels: Sequence[int] = (8, 16),
        kernel: int = 5,
        hidden: int = 256,
        dropout: float = 0.0,
        batch_norm: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise InputError(f"shape must be (channels, height, width), got {tuple(shape)}.")
        require_positive(
            "shape, outputs, channels, kernel and hidden", *shape, outputs, *channels, kernel, hidden
        )
        require_probability(dropout)
        self.shape, self.outputs = tuple(shape), outputs
        planes, height, width = shape
        shrunk = (height >> len(channels)) * (width >> len(channels))
        if kernel % 2 == 0 or shrunk == 0:
            raise InputError(
                f"{len(channels)} blocks with kernel {kernel} do not fit images of {height} x {width}: the "
                "kernel must be odd, and every block halves the image. Use an odd kernel and fewer channels "
                "entries."
            )
        blocks: list[nn.Module] = []
        for before, after in zip((planes, *channels), channels, strict=False):
            blocks.append(nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=not batch_norm))
            if batch_norm:
                blocks.append(nn.BatchNorm2d(after))
            blocks += [_activation(activation), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        head = [nn.Flatten(), nn.Linear((planes, *channels)[-1] * shrunk, hidden), _activation(activation)]
        if dropout > 0:
            head.append(nn.Dropout(dropout))
        self.head = nn.Sequential(*head, nn.Linear(hidden, outputs))

    def forward(self, x: Float[Tensor, "B *F"]) -> Float[Tensor, "B *C"]:
        """Outputs of a batch of images.

        Raises: ShapeError if the images are not of the network's shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(
                f"This CNN takes images of shape {self.shape}, got a batch of shape {tuple(x.shape)}. Its "
                "hidden layer has one weight per pooled pixel. Resize the images, or add the batch "
                "dimension: x[None]."
            )
        out = self.head(self.blocks(x))
        return out[:, 0] if self.outputs == 1 else out
