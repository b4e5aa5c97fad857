"""Can explanations be trusted? Measured on one's own model and data.

`robustness` attacks the explanations of a model and reads what happens against controls; `robustness_of_run` does so
for a network of a run directory.
"""

from rightreasons.audit._attack_registry import attack_names, attack_of
from rightreasons.audit._robustness import CONTROLS, Robustness, robustness
from rightreasons.audit._robustness_of_run import robustness_of_run
from rightreasons.audit._words import robustness_columns, robustness_text

__all__ = [
    "CONTROLS",
    "Robustness",
    "attack_names",
    "attack_of",
    "robustness",
    "robustness_columns",
    "robustness_of_run",
    "robustness_text",
]
