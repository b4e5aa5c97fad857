"""What labels mean: a task is a loss, its metrics, and which output a label selects.

>>> import torch
>>> task = MultiClass(classes=3)
>>> outputs = torch.tensor([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
>>> y = torch.tensor([0, 1])
>>> round(float(task.loss(outputs, y)), 4), task.metrics(outputs, y)["accuracy"]
(0.036, 1.0)
>>> task.explained(y)
tensor([0, 1])
"""

from rightreasons.tasks._balanced import balanced
from rightreasons.tasks._baseline import Baseline
from rightreasons.tasks._binary import Binary
from rightreasons.tasks._custom import Custom, task_from
from rightreasons.tasks._multiclass import MultiClass
from rightreasons.tasks._multilabel import MultiLabel
from rightreasons.tasks._predictions import predictions
from rightreasons.tasks._registry import build, names
from rightreasons.tasks._regression import Regression
from rightreasons.tasks._survival import Survival
from rightreasons.tasks._task import Task

__all__ = [
    "Baseline",
    "Binary",
    "Custom",
    "MultiClass",
    "MultiLabel",
    "Regression",
    "Survival",
    "Task",
    "balanced",
    "build",
    "names",
    "predictions",
    "task_from",
]
