"""Predictions in words: probabilities, classes, risks."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from jaxtyping import Float
from torch import Tensor

from rightreasons.tasks._binary import Binary
from rightreasons.tasks._multiclass import MultiClass
from rightreasons.tasks._multilabel import MultiLabel
from rightreasons.tasks._regression import Regression
from rightreasons.tasks._survival import Survival


@singledispatch
def predictions(task: Any, outputs: Float[Tensor, "B *C"], names: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Named columns, one entry per row.

    Probabilities are those of classes as frequent as in training: loss weights of the task, under which a network
    overstates classes that count more, are taken out again. What is predicted is the class that wins with them.

    | task        | columns                                                                     |
    |-------------|-----------------------------------------------------------------------------|
    | binary      | predicted, p(name) of both classes: sigmoid of the output                   |
    | multi-class | predicted, p(name) of each class: softmax of the outputs                    |
    | multi-label | p(name) of each label                                                       |
    | regression  | predicted, in the label's units                                             |
    | survival    | log hazard, relative to other rows: only differences and the order mean     |
    |             | something; `Baseline` has survival and its median                           |
    | any other   | output 0, output 1, ...                                                     |

    Args:
        task: whose outputs these are.
        outputs: of the model, one row per sample.
        names: of the classes, or labels; their numbers if there are none.

    >>> import torch
    >>> found = predictions(Binary(), torch.tensor([0.0, 9.0]), ["ill", "well"])
    >>> tuple(found["predicted"])
    ('ill', 'well')
    """
    return {f"output {i}": column.tolist() for i, column in enumerate(outputs.flatten(1).T)}


@predictions.register
def _binary(task: Binary, outputs: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    names = names or ("0", "1")
    z = outputs.double().flatten()
    p = task.unweighted(z).sigmoid()
    likely = [names[int(each > 0)] for each in z]
    return {"predicted": likely, f"p({names[0]})": (1 - p).tolist(), f"p({names[1]})": p.tolist()}


@predictions.register
def _multiclass(task: MultiClass, outputs: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    names = names or [str(i) for i in range(outputs.shape[1])]
    likely = [names[int(i)] for i in outputs.argmax(1)]
    p = task.unweighted(outputs.double()).softmax(1)
    return {"predicted": likely} | {f"p({name})": p[:, i].tolist() for i, name in enumerate(names)}


@predictions.register
def _multilabel(task: MultiLabel, outputs: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    names = names or [str(i) for i in range(outputs.shape[1])]
    p = task.unweighted(outputs.double()).sigmoid()
    return {f"p({name})": p[:, i].tolist() for i, name in enumerate(names)}


@predictions.register
def _regression(task: Regression, outputs: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    return {"predicted": outputs.flatten().tolist()}


@predictions.register
def _survival(task: Survival, outputs: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    return {"log hazard": outputs.flatten().tolist()}
