"""Cosine similarity and sign agreement of signed maps.

Legend: B rows, n entries of a flattened map.
"""

from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.metrics.agreement._topk import largest
from rightreasons.metrics.agreement._validation import Reduce, checked_count, checked_pair, nan_unless, varies


@checked
def cosine(
    a: Shaped[Tensor, "B *F"], b: Shaped[Tensor, "B *F"], *, reduce: Reduce = None
) -> Float[Tensor, "B"]:
    """The cosine of the angle between two maps, all entries with their sign.

    a'b / (|a| |b|)

    Unlike the rank and overlap metrics it does not reduce channels unless told: signs matter here. Differentiable.

    Cost: O(B n).

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        reduce: None compares every entry; `channel_sum` compares pixels.

    Returns:
        (B,), in [-1, 1]; NaN where a map is all zero.

    Raises:
        InputError: non-finite maps.
        ShapeError: maps of different shape, or without entries.

    Example:
        >>> import torch
        >>> cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[-4.0, 3.0]]))
        tensor([0.])
    """
    a, b = checked_pair(a, b, "cosine", reduce)
    a, b = _scaled(a.flatten(1)), _scaled(b.flatten(1))
    return ((a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()).clamp(-1, 1)


def _scaled(rows: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
    """Rows whose largest entry is 1, so that squares neither under- nor overflow; 0 / 0 is NaN."""
    return rows / rows.detach().abs().amax(1, keepdim=True)


@checked
def sign_agreement(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    k: int | float | None = None,
    *,
    reduce: Reduce = None,
) -> Float[Tensor, "B"]:
    """The share of entries to which two maps give the same sign [krishna2022].

    k = None: |{i: sign a_i = sign b_i}| over the entries where a or b is not zero: blank pixels do not agree for free.
    With k: |{i in S and T: sign a_i = sign b_i}| / k, with S, T the k entries largest in magnitude.

    Maps of independent signs score 1/2 without k.

    Cost: O(B n); with k two `torch.topk`.

    Args:
        a: signed maps (B, *F).
        b: signed maps (B, *F).
        k: None, or a count (int), or a fraction of the entries (float in (0, 1)).
        reduce: None compares every entry; e.g. `lambda maps: maps.sum(1)` compares pixels.

    Returns:
        (B,), in [0, 1]; NaN where both maps are all zero, with k where a map's magnitudes are all equal.

    Raises:
        InputError: bad k; non-finite maps.
        ShapeError: maps of different shape, or without entries.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([[3.0, -2.0, 0.0, 0.0]]), torch.tensor([[1.0, 2.0, -1.0, 0.0]])
        >>> sign_agreement(a, b), sign_agreement(a, b, k=1)
        (tensor([0.3333]), tensor([0.]))
    """
    a, b = (maps.detach().flatten(1) for maps in checked_pair(a, b, "sign_agreement", reduce))
    same_Bn = a.sign() == b.sign()
    if k is None:
        counted_Bn = (a != 0) | (b != 0)
        return (same_Bn & counted_Bn).sum(1).to(a.dtype) / counted_Bn.sum(1)
    k = checked_count(k, a.shape[1], "sign_agreement")
    sizes_a, sizes_b = a.abs(), b.abs()
    shared_Bn = largest(sizes_a, k) & largest(sizes_b, k) & same_Bn
    return nan_unless(varies(sizes_a) & varies(sizes_b), shared_Bn.sum(1).to(a.dtype) / k)
