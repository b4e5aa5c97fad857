"""Recurrent network for sequences."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, Real
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.models._activation import require_positive, require_probability
from rightreasons.models._sequence import Positions, mean_of_counting


@checked
class GRU(nn.Module):
    """Gated recurrent units [cho2014] over the positions in both directions, the mean of their states, a linear layer.

    Padding (word 0) after the end of a row is neither read nor counted in the mean.

    With `outputs=1` the result is (B,), as one-output tasks use it; else (B, outputs).

    Cost: 6 x (width + hidden) x hidden multiplications per row and position for each direction and layer, one
    position after the other.

    Args:
        shape: of one row: (channels, length), or (length,) of words or of one channel.
        outputs: numbers per row that the network returns.
        vocabulary: number of words; None for sequences of numbers.
        width: entries of the vector of a position.
        hidden: units of each direction.
        layers: of recurrent units.
        dropout: share of the mean state dropped in training.

    Raises: InputError: a shape that is none of a sequence, a size below 1, dropout outside [0, 1).

    >>> import torch
    >>> GRU(shape=(4, 20), outputs=3)(torch.zeros(2, 4, 20)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int = 1,
        vocabulary: int | None = None,
        width: int = 32,
        hidden: int = 32,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive("outputs, hidden and layers", outputs, hidden, layers)
        require_probability(dropout)
        self.outputs = outputs
        self.positions = Positions(shape, vocabulary, width)
        self.onward = nn.GRU(width, hidden, layers, batch_first=True)
        self.back = nn.GRU(width, hidden, layers, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * hidden, outputs))

    def forward(self, x: Real[Tensor, "B *F"]) -> Float[Tensor, "B *C"]:
        """Outputs of a batch of sequences.

        Raises: ShapeError if they are not of the network's shape and kind.
        """
        vectors, counts = self.positions(x)
        order = turned(counts)
        onward, _ = self.onward(vectors)
        back, _ = self.back(vectors.gather(1, order[:, :, None].expand_as(vectors)))
        states = [mean_of_counting(onward, counts), mean_of_counting(back, counts.gather(1, order))]
        out = self.head(torch.cat(states, dim=1))
        return out[:, 0] if self.outputs == 1 else out


def turned(counts: Bool[Tensor, "B L"]) -> Int64[Tensor, "B L"]:
    """Positions from the last that counts to the first, then the padding after it.

    >>> turned(torch.tensor([[True, True, True, False]])).tolist()
    [[2, 1, 0, 3]]
    """
    place_L = torch.arange(counts.shape[1], device=counts.device)
    last_B1 = (place_L * counts).amax(1, keepdim=True)
    return torch.where(place_L <= last_B1, last_B1 - place_L, place_L)
