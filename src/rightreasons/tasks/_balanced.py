"""Class weights that balance classes of different sizes."""

from dataclasses import replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.tasks._binary import Binary
from rightreasons.tasks._checks import class_indices, zero_or_one
from rightreasons.tasks._multiclass import MultiClass
from rightreasons.tasks._multilabel import MultiLabel
from rightreasons.tasks._task import Task


@checked
def balanced(task: Task, y: Shaped[Tensor, "..."]) -> Task:
    """The task with loss weights under which every class counts as much as any other.

        w_c = n / (C n_c)              for C classes, n_c of the n rows being of class c
        p_l = (n - n_l) / n_l          for several labels, label l being 1 in n_l of n rows

    Cost: one pass over the labels.

    Args:
        task: `Binary`, `MultiClass` or `MultiLabel`.
        y: labels of the training rows, and of no others.

    Raises:
        InputError: a task without classes, labels that are none of the task's, or a class that no row has (of several
            labels: or that every row has).

    >>> balanced(Binary(), torch.tensor([0, 0, 0, 1]))
    Binary(weights=(0.6666666666666666, 2.0))
    """
    if isinstance(task, MultiLabel):
        ones = (y == 1).sum(0).double()
        _require(ones.minimum(y.shape[0] - ones), "both a 0 and a 1 of every label")
        return replace(task, positive_weights=tuple(((y.shape[0] - ones) / ones).tolist()))
    if not isinstance(task, Binary | MultiClass):
        raise InputError(
            f"balanced weights are for classes; {type(task).__name__} has none. Leave weights out."
        )
    classes = task.classes if isinstance(task, MultiClass) else 2
    labels = class_indices(y, classes) if isinstance(task, MultiClass) else zero_or_one(y, torch.float32)
    counts = torch.bincount(labels.reshape(-1).long(), minlength=classes).double()
    _require(counts, "a row of every class")
    return replace(task, weights=tuple((y.shape[0] / (classes * counts)).tolist()))


def _require(counts: Tensor, what: str) -> None:
    missing = [i for i, count in enumerate(counts.tolist()) if count == 0]
    if missing:
        raise InputError(
            f"balanced weights need {what} among the training rows, and number {missing[0]} lacks it. Use more "
            "training rows, stratified splits, or weights of your own."
        )
