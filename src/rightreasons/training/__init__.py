"""Train with attributions in the loss: terms, objectives, engines, and a loop."""

from rightreasons.training._differentiable import Differentiability, check_differentiable
from rightreasons.training._engine import DoubleBackprop, Engine, Recompute
from rightreasons.training._loop import Fitted, fit
from rightreasons.training._objective import Losses, Objective
from rightreasons.training._penalty import Penalty, Step, Term
from rightreasons.training._schedule import Auto, Ramp, Weight
from rightreasons.training._weight_decay import SparseGroupLasso, WeightL1, WeightL2

__all__ = [
    "Auto",
    "Differentiability",
    "DoubleBackprop",
    "Engine",
    "Fitted",
    "Losses",
    "Objective",
    "Penalty",
    "Ramp",
    "Recompute",
    "SparseGroupLasso",
    "Step",
    "Term",
    "Weight",
    "WeightL1",
    "WeightL2",
    "check_differentiable",
    "fit",
]
