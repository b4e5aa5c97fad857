"""The exception tree.

RightReasonsError
├── InputError (ValueError)            what was passed in cannot be used
│   ├── ShapeError                     a tensor has the wrong shape
│   └── TargetError                    the target selects no output
├── DifferentiabilityError (RuntimeError)   a gradient that was asked for does not exist
├── DivergedError (ArithmeticError)    training left the finite numbers
├── RecipeError (ValueError)           a recipe cannot be run as written
├── DataError (ValueError)             a data set cannot be used as found
└── MissingExtraError (ImportError)    an optional dependency is not installed
"""


class RightReasonsError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(RightReasonsError, ValueError):
    """What was passed in cannot be used."""


class ShapeError(InputError):
    """A tensor has the wrong shape."""


class TargetError(InputError):
    """The target selects no output of the model."""


class DifferentiabilityError(RightReasonsError, RuntimeError):
    """A gradient that was asked for does not exist."""


class DivergedError(RightReasonsError, ArithmeticError):
    """Training left the finite numbers."""


class RecipeError(RightReasonsError, ValueError):
    """A recipe cannot be run as written."""


class DataError(RightReasonsError, ValueError):
    """A data set cannot be used as found."""


class MissingExtraError(RightReasonsError, ImportError):
    """An optional dependency is not installed."""
