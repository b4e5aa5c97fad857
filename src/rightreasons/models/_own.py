"""User-defined networks: `module:factory`, imported from a folder the caller names."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean


@checked
def from_path(name: str, folder: str | Path = ".") -> Callable[..., nn.Module]:
    r"""The class or function `factory` of `module.py` in a folder of one's own.

    Importing runs the code in that file. It is looked for in the folder and nowhere else, so a recipe cannot name
    code of an installed package; never pass a folder that somebody else's run brought along.

    Args:
        name: "module:factory", or "package.module:factory" for `package/module.py`.
        folder: where the file is, such as that of the recipe.

    Raises:
        InputError: a name of another form, no such file or factory, a file that cannot be imported, or one whose name
            a module that was imported before has.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     code = "from torch import nn\ndef line(features): return nn.Linear(features, 1)"
    ...     _ = Path(folder, "my_networks.py").write_text(code)
    ...     from_path("my_networks:line", folder)(features=3)
    Linear(in_features=3, out_features=1, bias=True)
    """
    file = file_of(name, folder)
    module, _, factory = name.partition(":")
    found = getattr(_import(module, file, Path(folder).resolve()), factory, None)
    if not callable(found):
        defined = [
            each for each, value in vars(sys.modules[module]).items() if callable(value) and each[0] != "_"
        ]
        raise InputError(f"{file} defines no class or function {factory!r}. {did_you_mean(factory, defined)}")
    return cast(Callable[..., nn.Module], found)


@checked
def file_of(name: str, folder: str | Path = ".") -> Path:
    """The file that `module:factory` in a folder is defined in; nothing is imported.

    Raises: InputError: a name of another form, or no such file.
    """
    module, _, factory = name.partition(":")
    if not factory.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InputError(
            f"A network of your own is named module:factory, got {name!r}. E.g. my_networks:build."
        )
    home = Path(folder).resolve()
    place = home.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.is_file():
        near = [each.stem for each in home.glob("*.py")] if home.is_dir() else []
        raise InputError(f"{name!r} needs the file {file}, which is not there. {did_you_mean(module, near)}")
    return file


def accepted(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Those of the offered arguments that the factory takes.

    >>> accepted(lambda shape, hidden=3: None, {"shape": (4,), "outputs": 1})
    {'shape': (4,)}
    """
    parameters = inspect.signature(make).parameters
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return {key: value for key, value in offered.items() if anything or key in parameters}


def _import(module: str, file: Path, home: Path) -> Any:
    """The module, imported with the folder first on the path, so that it finds its neighbours."""
    sys.path.insert(0, str(home))
    importlib.invalidate_caches()
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever the user's code raises is told with its file
        raise InputError(f"{file} cannot be imported: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(home))
    origin = Path(getattr(found, "__file__", None) or "")
    if not origin.is_file() or not origin.samefile(file):
        raise InputError(
            f"The name {module!r} belongs to {origin} already, so {file} would not be used. Rename the file."
        )
    return found
