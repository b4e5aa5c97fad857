"""Attention network for sequences."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.models._activation import activation as _activation
from rightreasons.models._activation import require_positive, require_probability
from rightreasons.models._sequence import Positions, mean_of_counting


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x): every position looks at those that count."""

    def __init__(self, width: int, heads: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), _activation(activation), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B L D"], counts: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """The block's output."""
        x = x + self.dropout(self._attend(self.norm_attention(x), counts))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))

    def _attend(self, x: Tensor, counts: Tensor) -> Tensor:
        parts = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)  # each (B, heads, L, D / heads)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=counts[:, None, None, :])
        return self.mix(found.transpose(1, 2).flatten(2))


@checked
class Transformer(nn.Module):
    """Blocks of attention [vaswani2017] over positions, the mean of their vectors, and a linear layer.

    Normalised before each part, with learned vectors of the positions' numbers. Padding (word 0) is neither looked at
    nor counted in the mean.

    With `outputs=1` the result is (B,), as one-output tasks use it; else (B, outputs).

    Cost: (12 x width^2 + 2 x length x width) multiplications per row, position and layer.

    Args:
        shape: of one row: (channels, length), or (length,) of words or of one channel.
        outputs: numbers per row that the network returns.
        vocabulary: number of words; None for sequences of numbers.
        width: entries of the vector of a position, a multiple of `heads`.
        heads: of attention.
        layers: blocks.
        dropout: share of each block's contribution dropped in training.
        activation: one of `activations()`; GELU is smooth, so its gradients have a gradient.

    Raises:
        InputError: a shape that is none of a sequence, a size below 1, a width that heads do not divide, dropout
            outside [0, 1), an unknown activation.

    >>> Transformer(shape=(12,), outputs=1, vocabulary=50)(torch.ones(2, 12, dtype=torch.int64)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int = 1,
        vocabulary: int | None = None,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.0,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        require_positive("outputs, heads and layers", outputs, heads, layers)
        require_probability(dropout)
        if width % heads:
            raise InputError(
                f"width must be a multiple of heads, got {width} and {heads}: heads share it equally."
            )
        self.outputs = outputs
        self.positions = Positions(shape, vocabulary, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.positions.length, width))
        self.blocks = nn.ModuleList(Block(width, heads, activation, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Real[Tensor, "B *F"]) -> Float[Tensor, "B *C"]:
        """Outputs of a batch of sequences.

        Raises: ShapeError if they are not of the network's shape and kind.
        """
        vectors, counts = self.positions(x)
        vectors = vectors + self.place
        for block in self.blocks:
            vectors = block(vectors, counts)
        out = self.head(mean_of_counting(self.norm(vectors), counts))
        return out[:, 0] if self.outputs == 1 else out
