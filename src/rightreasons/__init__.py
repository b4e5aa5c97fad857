"""Train networks that are right for the right reasons, and measure whether their explanations can be trusted.

    import rightreasons as rr

    maps = rr.ExpectedGradients(references)(model, x, y)

Attribution methods, estimators and quadratures are here, and `load`, which returns the network of a run; `rr.priors`,
`rr.training`, `rr.tasks`, `rr.metrics`, `rr.attacks`, `rr.audit`, `rr.models`, `rr.data`, `rr.stats`, `rr.plot`,
`rr.recipes` and `rr.runs` hold the rest. All of it, and with it torch, is imported when it is first named.
"""

import typing as _typing
from importlib import import_module as _import_module

from rightreasons.core._errors import DataError as DataError
from rightreasons.core._errors import DifferentiabilityError as DifferentiabilityError
from rightreasons.core._errors import DivergedError as DivergedError
from rightreasons.core._errors import InputError as InputError
from rightreasons.core._errors import MissingExtraError as MissingExtraError
from rightreasons.core._errors import RecipeError as RecipeError
from rightreasons.core._errors import RightReasonsError as RightReasonsError
from rightreasons.core._errors import ShapeError as ShapeError
from rightreasons.core._errors import TargetError as TargetError

if _typing.TYPE_CHECKING:
    from rightreasons.attribution import *  # noqa: F403
    from rightreasons.runs import load as load

__version__ = "0.1.0"

_OWN = [
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
    "attribution",
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


def __getattr__(name: str) -> _typing.Any:
    """Packages, `load`, and whatever `rightreasons.attribution` offers, imported when they are first named."""
    if name in _PACKAGES:
        return _import_module(f"rightreasons.{name}")
    if name == "load":
        return _import_module("rightreasons.runs").load
    if name == "__all__":
        return [*_methods(), *_OWN]
    if not name.startswith("_") and name in (methods := _methods()):
        globals().update(methods)  # from now on they are found without this function
        return methods[name]
    raise AttributeError(f"module 'rightreasons' has no attribute {name!r}")


def _methods() -> dict[str, _typing.Any]:
    package = _import_module("rightreasons.attribution")
    return {name: getattr(package, name) for name in package.__all__}


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__"), *_PACKAGES, "load"})
