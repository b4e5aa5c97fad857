"""Attacks: perturbed inputs inside a ball, that change a prediction or keep it and change what explains it.

| attack            | climbs                                           | measure, and what is stronger       |
|-------------------|--------------------------------------------------|-------------------------------------|
| `PGD`, `FGSM`     | a loss of the prediction                         | the label is lost                   |
| `TopK`            | mass out of the top k, its windows, diverse sets | top-k or LENS overlap: lower        |
| `MassCentre`      | distance from the clean centre of mass           | that distance in pixels: higher     |
| `TargetRegion`    | mass into a region                               | share of mass there: higher         |
| `Manipulate`      | likeness to a given map                          | distance, clean map = 1: lower      |
| `RankCorrelation` | against the clean ranks                          | Spearman's correlation: lower       |
| `RandomSign(of=)` | nothing: the control of each of the above        | that of the attack it controls      |

Attacks on attributions take any differentiable method, climb on a surrogate whose ReLUs are `Softplus` and are judged
on the true model: the label must be kept there, and the map there is measured. Each row ends with a `Status`; failures
are reported apart (`result.summary`). The ball, the bounds and the mask hold to the last bit.
"""

from rightreasons.attacks._loop import AttributionAttack, Goal
from rightreasons.attacks._losses import Loss
from rightreasons.attacks._manipulate import Manipulate
from rightreasons.attacks._mass import MassCentre, TargetRegion
from rightreasons.attacks._norms import L1, L2, Linf, Norm
from rightreasons.attacks._prediction import FGSM, PGD, PredictionAttack
from rightreasons.attacks._random import RandomSign
from rightreasons.attacks._rank import RankCorrelation
from rightreasons.attacks._result import AttackEvaluations, AttributionAttackResult, Status, Summary
from rightreasons.attacks._surrogate import Smoothing, Softplus, surrogate
from rightreasons.attacks._topk import TopK

__all__ = [
    "FGSM",
    "L1",
    "L2",
    "PGD",
    "AttackEvaluations",
    "AttributionAttack",
    "AttributionAttackResult",
    "Goal",
    "Linf",
    "Loss",
    "Manipulate",
    "MassCentre",
    "Norm",
    "PredictionAttack",
    "RandomSign",
    "RankCorrelation",
    "Smoothing",
    "Softplus",
    "Status",
    "Summary",
    "TargetRegion",
    "TopK",
    "surrogate",
]
