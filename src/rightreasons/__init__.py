"""Train networks that are right for the right reasons, and measure whether their explanations can be trusted.

    import rightreasons as rr

    maps = rr.ExpectedGradients(references)(model, x, y)

Attribution methods, estimators and quadratures are here, and `load`, which returns the network of a run; `rr.priors`,
`rr.training`, `rr.tasks`, `rr.metrics`, `rr.attacks`, `rr.audit`, `rr.models`, `rr.data`, `rr.stats`, `rr.plot`,
`rr.recipes` and `rr.runs` hold the rest.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from rightreasons import attribution
from rightreasons.attribution import *  # noqa: F403
from rightreasons.core._errors import (
    DataError,
    DifferentiabilityError,
    DivergedError,
    InputError,
    MissingExtraError,
    RecipeError,
    RightReasonsError,
    ShapeError,
    TargetError,
)

__version__ = "0.1.0"

__all__ = [
    *attribution.__all__,
    "DataError",
    "DifferentiabilityError",
    "DivergedError",
    "InputError",
    "MissingExtraError",
    "RecipeError",
    "RightReasonsError",
    "ShapeError",
    "TargetError",
    "__version__",
]

_PACKAGES = (
    "attacks",
    "audit",
    "data",
    "integrations",
    "metrics",
    "models",
    "plot",
    "priors",
    "recipes",
    "runs",
    "stats",
    "tasks",
    "training",
)


def __getattr__(name: str) -> _Any:
    """`rr.training` and its siblings, and `rr.load`, imported when they are first named."""
    if name in _PACKAGES:
        return _import_module(f"rightreasons.{name}")
    if name == "load":
        return _import_module("rightreasons.runs").load
    raise AttributeError(f"module 'rightreasons' has no attribute {name!r}")
