"""The list of all attribution methods."""

from collections.abc import Iterator

from rightreasons.attribution._attribution import Attribution
from rightreasons.core._checked import checked

_PACKAGE = "rightreasons.attribution"
_KINDS = ("path", "noise", "deeplift", "lrp", "cam", "_guided", "_controls")


@checked
def methods() -> tuple[type[Attribution], ...]:
    """Every attribution method of this package, methods of one kind together, controls last.

    Example:
        >>> print(*(method.__name__ for method in methods() if "CAM" in method.__name__))
        GradCAM GradCAMPlusPlus GuidedGradCAM XGradCAM
    """
    own = [method for method in _final(Attribution) if method.__module__.startswith(f"{_PACKAGE}.")]
    return tuple(sorted(own, key=_place))


def _final(base: type[Attribution]) -> Iterator[type[Attribution]]:
    """Subclasses marked as final: methods are, their base classes are not."""
    for each in base.__subclasses__():
        if getattr(each, "__final__", False) and not each.__name__.startswith("_"):
            yield each
        yield from _final(each)


def _place(method: type[Attribution]) -> tuple[int, str, str]:
    kind = method.__module__.removeprefix(f"{_PACKAGE}.").split(".")[0]
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), method.__module__, method.__name__
