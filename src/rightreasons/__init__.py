"""Train networks that are right for the right reasons, and measure whether their explanations can be trusted.

    import rightreasons as rr

    maps = rr.ExpectedGradients(references)(model, x, y)

Attribution methods, estimators and quadratures are here; `rr.priors`, `rr.training`, `rr.tasks`, `rr.models`,
`rr.data` and `rr.stats` hold the rest.
"""

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
