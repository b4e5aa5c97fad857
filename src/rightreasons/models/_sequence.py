"""Embeddings of positions, and the mean over unpadded positions, for sequence networks.

Legend: B rows, L positions, C channels, D width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models._activation import require_positive

PADDING = 0


class Positions(nn.Module):
    """One vector per position: of numbers (B, C, L) a linear map of the channels, of words (B, L) an embedding.

    Both are called `embedding` in the networks, so `at="positions.embedding"` explains words by their vectors. Word 0
    is padding: its vector is zero, and networks leave its positions out.

    Args:
        shape: of one row: (channels, length), or (length,) of words or of one channel.
        vocabulary: number of words, padding included; None for numbers.
        width: entries of a vector.
    """

    def __init__(self, shape: Sequence[int], vocabulary: int | None, width: int) -> None:
        super().__init__()
        if len(shape) not in ((1,) if vocabulary is not None else (1, 2)):
            raise InputError(
                "The shape of a sequence is (channels, length) for numbers and (length,) for words, got "
                f"{tuple(shape)} "
                f"with vocabulary={vocabulary}."
            )
        require_positive("shape, vocabulary and width", *shape, vocabulary or 1, width)
        self.shape, self.vocabulary = tuple(shape), vocabulary
        self.length = self.shape[-1]
        self.embedding: nn.Module = (
            nn.Linear(self.shape[0] if len(shape) == 2 else 1, width)
            if vocabulary is None
            else nn.Embedding(vocabulary, width, padding_idx=PADDING)
        )

    def forward(self, x: Real[Tensor, "B *F"]) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Vectors, and which positions are not padding; the first always counts, so that no row is empty."""
        self._check(x)
        if self.vocabulary is None:
            vectors = self.embedding(x.transpose(1, 2) if x.ndim == 3 else x[:, :, None])
            return vectors, torch.ones(x.shape[0], self.length, dtype=torch.bool, device=x.device)
        counts = x != PADDING
        counts[:, 0] = True
        return self.embedding(x), counts

    def _check(self, x: Tensor) -> None:
        words = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
        if tuple(x.shape[1:]) != self.shape or words != (self.vocabulary is not None):
            kind = "numbers" if self.vocabulary is None else f"words below {self.vocabulary}"
            raise ShapeError(
                f"This network takes {kind} of shape (B, {', '.join(map(str, self.shape))}), got {x.dtype} of "
                f"{tuple(x.shape)}. Words need vocabulary=NUMBER OF WORDS; sequences of numbers have channels first."
            )


def mean_of_counting(states: Float[Tensor, "B L D"], counts: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Mean of the states over the positions that count.

    >>> mean_of_counting(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    weights = counts.to(states.dtype)[:, :, None]
    return (states * weights).sum(1) / weights.sum(1)
