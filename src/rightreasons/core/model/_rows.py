"""Check that the first dimension of an output is that of the rows."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from rightreasons.core._errors import TargetError


def check_follow(
    whole: Tensor,
    lengths: Iterable[int],
    run: Callable[[list[int]], Any],
    *,
    most: int,
    what: str = "the model",
) -> None:
    """Raise if `whole`, of as many rows as its first dimension is long, has not one row for each.

    Where some other length is the same, a few rows are run: what a model gives that wants or returns rows elsewhere
    then has not as many. A model that fails on them, as one for batches of a single size does, gets all of them in
    the opposite order, and has to give the same in that order.

    Args:
        whole: what the model gave for all rows.
        lengths: of the other dimensions of what went in and came out.
        run: positions of rows -> what the model gives for them.
        most: rows that may run at once.
        what: the name of what is judged.

    Raises:
        TargetError: the first dimension is not the rows.
    """
    rows = whole.shape[0]
    if rows < 2 or rows not in lengths:
        return
    few = [0, 1] if rows > 2 else [0, 1, 0] if most > 2 else [0]
    with torch.no_grad(), torch.random.fork_rng(devices=[]), torch._C.DisableTorchFunction():
        part = _tried(run, few)
        if part is None:
            _check_order(whole, run, rows, what)
            return
    if isinstance(part, Tensor) and (part.dim() == 0 or part.shape[0] != len(few)):
        raise TargetError(
            f"{what} must return one row for each input row: it gave {tuple(whole.shape)} for {rows} rows, but "
            f"{tuple(part.shape)} for {len(few)}. Its first dimension is not the rows (sequence first, or transposed), "
            "and maps would mix those of different rows. Wrap the model so that rows come first in its inputs and "
            "outputs, e.g. lambda x: model(x).transpose(0, 1), or name another layer."
        )


def _tried(run: Callable[[list[int]], Any], rows: list[int]) -> Any:
    try:
        return run(rows)
    except Exception:  # whatever a model says to other rows than it is made for
        return None


def _check_order(whole: Tensor, run: Callable[[list[int]], Any], rows: int, what: str) -> None:
    """Raise if rows in the opposite order do not have their outputs in the opposite order."""
    order = list(range(rows))
    turned = _tried(run, order[::-1])
    if not isinstance(turned, Tensor) or turned.shape != whole.shape or _close(turned.flip(0), whole):
        return
    again = _tried(run, order)
    if isinstance(again, Tensor) and again.shape == whole.shape and _close(again, whole):  # it does not draw
        raise TargetError(
            f"{what} must return one row for each input row: with the {rows} rows in the opposite order its output is "
            "not the same in that order, and fewer rows it refuses. The first dimension of its inputs is not the rows "
            "(sequence first, or transposed), or rows depend on each other. Wrap the model so that rows come first, "
            "e.g. lambda x: model(x.transpose(0, 1))."
        )


def _close(a: Tensor, b: Tensor) -> bool:
    near = (1e-6 if b.dtype == torch.float64 else 1e-2) * float(b.detach().double().abs().nan_to_num().amax())
    return torch.allclose(a.double(), b.double(), rtol=0, atol=near, equal_nan=True)
