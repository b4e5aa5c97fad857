"""Checks of `fit` before training."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from rightreasons.core._called import run
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import as_tuple
from rightreasons.training._batches import Rows
from rightreasons.training._objective import Objective


def check_numbers(
    epochs: int,
    batch_size: int | None,
    accumulate: int,
    patience: int | None,
    clip: float | None,
    checkpoint_every: int | None,
) -> None:
    counts = {
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "patience": patience,
        "checkpoint_every": checkpoint_every,
    }
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1; got {value}.")
    if clip is not None and not clip > 0:
        raise InputError(f"clip is the largest gradient norm, more than 0; got {clip}.")


def check_batches(objective: Objective, train: Rows, size: int, drop_last: bool, devices: int = 1) -> None:
    """Raise now what would otherwise end the first epoch."""
    rows = len(train)
    if drop_last and size > rows:
        raise InputError(
            f"drop_last=True leaves no batch: {rows} rows are fewer than batch_size={size}. Use a smaller batch_size."
        )
    last = size if drop_last or rows % size == 0 else rows % size
    fewest = min(size, last)
    if fewest < devices:
        raise InputError(
            f"every process takes a share of each batch, and {rows} rows in batches of {size} leave one of {fewest} "
            f"for {devices} processes. Pass drop_last=True, another batch_size, or fewer devices."
        )
    for term in objective.terms:
        references = getattr(getattr(term, "attribution", None), "references", None)
        if isinstance(references, str) and fewest // devices < 2:
            raise InputError(
                f"references='batch' needs two rows in every batch (of every process), and {rows} rows in batches of "
                f"{size} leave one with a single row. Pass drop_last=True, or another batch_size."
            )
    if fewest // devices == 1:
        _check_batch_norm(objective.model, train)


def _check_batch_norm(model: nn.Module, train: Rows) -> None:
    """Raise if batch norm would get a single number for each channel from a batch of one row.

    How many it gets depends on the layers before it, so the row runs through the model once, in eval mode.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    single: list[str] = []

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if args[0].numel() == args[0].shape[1]:
            single.append(type(module).__name__)

    handles = [module.register_forward_pre_hook(note) for module in norms]
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.no_grad():
            run(model, as_tuple(train.take(torch.tensor([0])).x), {})
    finally:
        for module in training:
            module.training = True
        for handle in handles:
            handle.remove()
    if single:
        raise InputError(
            f"{single[0]} normalises by the other rows of a batch, and {len(train)} rows leave a batch of one (of a "
            "process). Pass drop_last=True, or a batch_size that leaves two rows at least, such as "
            f"{_fitting(len(train))}."
        )


def _fitting(rows: int) -> int:
    """A size of batches of which none has a single row."""
    return next(
        (size for size in (32, 16, 8, 4, 3, 5, 6, 7) if size < rows and rows % size != 1), max(rows, 2)
    )


def optimizer_of(given: Optimizer | Callable[[Iterable[Any]], Optimizer], objective: Objective) -> Optimizer:
    """The optimizer, over all that is trained."""
    trained = [p for p in objective.parameters() if p.requires_grad]
    if not isinstance(given, Optimizer):
        return given(trained)
    held = {id(p) for group in given.param_groups for p in group["params"]}
    if held != {id(p) for p in trained}:
        raise InputError(
            f"the optimizer must hold the {len(trained)} trainable parameters of this objective, and holds "
            f"{len(held & {id(p) for p in trained})} of them and {len(held - {id(p) for p in trained})} others. Make "
            "it of objective.parameter_groups()."
        )
    return given
