"""Train with attributions in the loss: terms, objectives, engines, and a loop."""

from rightreasons.training._augment import Flip, Shift
from rightreasons.training._differentiable import Differentiability, check_differentiable
from rightreasons.training._engine import DoubleBackprop, Engine, Recompute
from rightreasons.training._forest import GradientBoosting, RandomForest
from rightreasons.training._linear import ElasticNet
from rightreasons.training._loop import Fitted, fit
from rightreasons.training._objective import Losses, Objective
from rightreasons.training._penalty import Penalty, Step, Term
from rightreasons.training._rates import Constant, Cosine, Exponential, Linear, OneCycle, Schedule, Steps
from rightreasons.training._schedule import Auto, Ramp, Weight
from rightreasons.training._weight_decay import SparseGroupLasso, WeightL1, WeightL2

__all__ = [
    "Auto",
    "Constant",
    "Cosine",
    "Differentiability",
    "DoubleBackprop",
    "ElasticNet",
    "Engine",
    "Exponential",
    "Fitted",
    "Flip",
    "GradientBoosting",
    "Linear",
    "Losses",
    "Objective",
    "OneCycle",
    "Penalty",
    "Ramp",
    "RandomForest",
    "Recompute",
    "Schedule",
    "Shift",
    "SparseGroupLasso",
    "Step",
    "Steps",
    "Term",
    "Weight",
    "WeightL1",
    "WeightL2",
    "check_differentiable",
    "fit",
]
