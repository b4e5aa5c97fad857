"""Inputs: a tensor or a tuple of tensors, batch first; checks and conversions."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad

from rightreasons.core._checked import check_dense
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._sparse_rows import SparseRows

Inputs: TypeAlias = Tensor | tuple[Tensor, ...]


def as_tuple(inputs: Inputs) -> tuple[Tensor, ...]:
    """`inputs` as a tuple of tensors."""
    return inputs if isinstance(inputs, tuple) else (inputs,)


def like(parts: Sequence[Tensor], inputs: Inputs) -> Inputs:
    """`parts` in the structure of `inputs`."""
    return tuple(parts) if isinstance(inputs, tuple) else parts[0]


def wide(part: Tensor) -> Tensor:
    """At least float32: sums and quotients lose too much in half precision, whatever the network runs in."""
    return part.float() if part.dtype in (torch.float16, torch.bfloat16) else part


def check_inputs(inputs: Inputs, *, integers_allowed: bool = False, what: str = "inputs") -> int:
    """The number of rows of `inputs`, or a clear error.

    Raises:
        InputError: not tensors, no rows, not floating point (unless `integers_allowed`), NaN or infinite values.
        ShapeError: no batch dimension, or tensors with different numbers of rows.
    """
    parts = as_tuple(inputs)
    for part in parts:
        if not isinstance(part, Tensor):
            raise InputError(
                f"{what} must be a tensor or a tuple of tensors, batch first; got {type(part).__name__}. "
                "Convert first: torch.as_tensor(x)."
            )
        _check_plain(part, what)
    if not parts:
        raise InputError(f"{what} is an empty tuple: there is nothing to explain.")
    if any(part.dim() == 0 for part in parts):
        raise ShapeError(f"{what} must have a batch dimension; got a 0-d tensor. Add one: x[None].")
    rows = {part.shape[0] for part in parts}
    if len(rows) > 1:
        raise ShapeError(
            f"all {what} must have the same number of rows; got {[tuple(p.shape) for p in parts]}."
        )
    if 0 in rows:
        raise InputError(f"{what} has no rows (shape {tuple(parts[0].shape)}): skip empty batches.")
    for part in parts:
        _check_values(part, integers_allowed, what)
    return rows.pop()


def _check_values(part: Tensor, integers_allowed: bool, what: str) -> None:
    if not part.is_floating_point():
        if integers_allowed:
            return
        raise InputError(
            f"{what} must be floating point to have gradients; got {part.dtype}. "
            "Convert with x.float(), or, for token ids, name the embedding layer: at='embedding'."
        )
    finite = torch.isfinite(
        torch.cat([part.entries, part.background]) if isinstance(part, SparseRows) else part
    )
    if not bool(finite.all()):
        bad = int((~finite).sum())
        raise InputError(
            f"{what} has {bad} NaN or infinite values of {part.numel()}: every map of those rows would be NaN. "
            "Impute or drop them first."
        )


def _check_plain(part: Tensor, what: str) -> None:
    check_dense(part, what)
    if is_functorch_wrapped_tensor(part) or _has_tangent(part):
        raise InputError(
            f"{what} is a tensor inside torch.func (vmap, grad, jvp): explanations take gradients and read values of "
            "their own. Explain the whole batch outside, in one call."
        )


def _has_tangent(part: Tensor) -> bool:
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(part).tangent is not None


def matching_rows(
    value: int | float | Inputs, inputs: Inputs, *, what: str, batched: bool = False
) -> tuple[Tensor, ...]:
    """`value` as tensors that broadcast against `inputs` row by row.

    Args:
        value: a number, or a tensor (one for each input) of shape (*F), (1, *F) or (B, *F).
        inputs: what it has to match.
        what: its name in errors.
        batched: the first dimension is a count of its own (references), so only the rest must match.

    Raises:
        ShapeError: its shape matches no row of `inputs`.
    """
    parts = as_tuple(inputs)
    if isinstance(value, (int, float)):
        if not float(value).is_integer() and not all(part.is_floating_point() for part in parts):
            raise InputError(
                f"{what}={value!r} cannot stand in for integer inputs: give an integer, e.g. a pad id."
            )
        return tuple(torch.full_like(part[:1], value).detach() for part in parts)
    values = as_tuple(value)
    if len(values) != len(parts):
        raise ShapeError(
            f"{what} has {len(values)} tensors for {len(parts)} inputs; pass a tuple with one for each input."
        )
    return tuple(_match(v, part, what=what, batched=batched) for v, part in zip(values, parts, strict=True))


def in_rows(part: Tensor) -> Tensor:
    """The numbers of each row beside each other, (b, D); a row may be a single number."""
    return part.reshape(part.shape[0], -1)


def row_totals(parts: Sequence[Tensor]) -> Tensor:
    """The sum of each row over all tensors, (b,)."""
    return torch.stack([in_rows(part).sum(1) for part in parts]).sum(0)


def span(rows: Tensor) -> Tensor:
    """Largest minus smallest value of each row, (b, 1, ...)."""
    values = in_rows(rows)
    return (values.amax(1) - values.amin(1)).reshape(-1, *(1,) * (rows.dim() - 1))


def _match(value: Tensor, part: Tensor, *, what: str, batched: bool) -> Tensor:
    row = tuple(part.shape[1:])
    if not batched and tuple(value.shape) == row:
        value = value[None]
    fits = tuple(value.shape[1:]) == row and (batched or value.shape[0] in (1, part.shape[0]))
    if not fits:
        wanted = (
            f"(R, {_join(row)})"
            if batched
            else f"({_join(row)}), (1, {_join(row)}) or ({part.shape[0]}, {_join(row)})"
        )
        raise ShapeError(
            f"{what} of shape {tuple(value.shape)} does not fit inputs of shape {tuple(part.shape)}: "
            f"expected {wanted}."
        )
    if value.is_floating_point() and not part.is_floating_point():
        raise InputError(
            f"{what} is {value.dtype} where inputs are {part.dtype}: rounding it would change what it means. "
            "With at=, baselines and references are given as model inputs, e.g. token ids."
        )
    return value.to(device=part.device, dtype=part.dtype)


def _join(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
