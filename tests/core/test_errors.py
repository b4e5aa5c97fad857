"""One tree of errors, and the built-in ones a caller may already catch."""

import inspect

import pytest

import rightreasons as rr
from rightreasons.core import _errors

BUILT_IN = {
    "InputError": ValueError,
    "ShapeError": ValueError,
    "TargetError": ValueError,
    "DifferentiabilityError": RuntimeError,
    "RecipeError": ValueError,
    "DataError": ValueError,
    "MissingExtraError": ImportError,
}
CLASSES = [kind for _, kind in inspect.getmembers(_errors, inspect.isclass)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_public_and_in_the_tree(kind: type[Exception]) -> None:
    assert getattr(rr, kind.__name__) is kind
    assert issubclass(kind, rr.RightReasonsError)
    assert issubclass(kind, BUILT_IN.get(kind.__name__, Exception))
    assert f"{kind.__name__}" in (_errors.__doc__ or "")
