"""Optional dependencies: raise `MissingExtraError` with the command that installs them."""

from importlib.util import find_spec

from rightreasons.core._errors import MissingExtraError


def require(extra: str, *modules: str) -> None:
    """Raise a `MissingExtraError` with the pip line unless all modules can be imported.

    >>> require("train", "json")
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = " and ".join(missing)
        raise MissingExtraError(f"{names} not installed. pip install 'rightreasons[{extra}]'")
