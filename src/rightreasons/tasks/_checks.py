"""Validation of outputs and labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError


def require_floating(outputs: Tensor) -> None:
    """Refuse outputs that carry no gradient because they are integers."""
    if not outputs.is_floating_point():
        raise InputError(
            f"Model outputs must be floating point, got {outputs.dtype}. A loss on integers has no gradient. "
            "Return logits, not predicted classes."
        )


def one_column(tensor: Tensor, name: str) -> Tensor:
    """View (B,) or (B, 1) as (B,), so that two of them can never broadcast to (B, B)."""
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        return tensor[:, 0]
    if tensor.ndim == 1:
        return tensor
    raise ShapeError(
        f"{name} must have shape (B,) or (B, 1), got {tuple(tensor.shape)}. This task has one number per "
        "row. Use MultiClass(classes=C) or MultiLabel(labels=C) for a model with C outputs."
    )


def require_same_rows(outputs: Tensor, y: Tensor) -> None:
    """Refuse empty batches, and outputs and labels of different batches."""
    if outputs.shape[0] != y.shape[0]:
        raise ShapeError(
            f"Outputs and labels must have the same number of rows, got {tuple(outputs.shape)} and "
            f"{tuple(y.shape)}. Pass the labels of the rows that went into the model."
        )
    if outputs.shape[0] == 0:
        raise ShapeError(
            "A batch needs at least one row, got none: the mean loss of no rows is undefined. Skip it."
        )


def require_finite(y: Tensor) -> None:
    """Refuse labels that are NaN or infinite."""
    if y.is_floating_point() and not bool(y.isfinite().all()):
        bad = (~y.isfinite()).nonzero()
        raise InputError(
            f"Labels must be finite, got {len(bad)} NaN or infinite of {y.numel()}, the first one in row "
            f"{int(bad[0, 0])}, counted from 0: the loss of every row would "
            "be lost. Drop the rows without a label: keep = y.isfinite(); x, y = x[keep], y[keep]."
        )


def zero_or_one(y: Tensor, dtype: torch.dtype) -> Tensor:
    """Labels as 0.0 and 1.0 in the dtype of the outputs."""
    require_finite(y)
    if y.is_complex():
        raise InputError(f"Labels must be 0 or 1, got {y.dtype}. Use y.real if that is the label.")
    wrong = (y != 0) & (y != 1)
    if bool(wrong.any()):
        raise InputError(
            f"Labels must be 0 or 1, got {y[wrong].flatten()[0].item()!r}. A binary loss of any other number "
            "is not a likelihood. Use Regression() for numbers, MultiClass(classes=C) for class indices, or "
            "map them: (y > 0)."
        )
    return y.to(dtype)


def class_indices(y: Tensor, classes: int) -> Tensor:
    """Labels as long class indices in [0, classes)."""
    if y.ndim != 1:
        raise ShapeError(
            f"Class labels must have shape (B,), got {tuple(y.shape)}. One-hot labels become indices by "
            "y.argmax(1), a column by y[:, 0]."
        )
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise InputError(
            f"Class labels must be integers, got {y.dtype}. A class is an index, not a quantity. Use "
            "y.long() if these are class indices, Binary() for 0/1 labels or Regression() for numbers."
        )
    y = y.long()
    wrong = (y < 0) | (y >= classes)
    if bool(wrong.any()):
        raise InputError(
            f"Class labels must be in 0..{classes - 1}, got {int(y[wrong][0])}. No output stands for that "
            f"class. Use MultiClass(classes={max(int(y.max()) + 1, classes)}), or number the classes from 0."
        )
    return y


def require_weights(weights: Sequence[float] | None, count: int, what: str) -> None:
    """Refuse class weights that are too few, too many, or not positive."""
    if weights is None:
        return
    if len(weights) != count:
        raise InputError(
            f"There must be one weight per {what}: expected {count}, got {len(weights)}: {weights!r}."
        )
    if not all(0 < w < float("inf") for w in weights):
        raise InputError(
            f"Class weights must be positive and finite, got {tuple(weights)!r}: a batch of rows of weight 0 "
            "has no mean loss. Drop the rows of a class that must not count."
        )


def require_count(value: int, name: str, least: int) -> None:
    """Refuse a number of classes or labels below the least that makes sense."""
    if value < least:
        raise InputError(
            f"{name} must be at least {least}, got {value}. Use Binary() for a single yes/no label."
        )
