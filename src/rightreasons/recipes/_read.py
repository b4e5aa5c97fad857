"""Read and validate recipes; an error names the key and the closest valid one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rightreasons.core._checked import checked
from rightreasons.core._errors import RecipeError
from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes._arms import AttributionName
from rightreasons.recipes._controls import expand
from rightreasons.recipes._override import override
from rightreasons.recipes._schema import Recipe
from rightreasons.recipes._yaml import LONGEST, dump, load


@checked
def read(path: str | Path, assignments: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, checked and with every default filled in.

    Args:
        path: the file.
        assignments: values that replace those of the file, such as `training.epochs=5`; see `override`.

    Raises: RecipeError, one line that says where and what, if it cannot be run as written.
    """
    path = Path(path)
    recipe = parse(_text_of(path), str(path), assignments)
    if recipe.folder is None and recipe.names_files:
        return recipe.model_copy(update={"folder": str(path.parent.resolve())})
    return recipe


@checked
def parse(text: str, where: str = "recipe", assignments: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML text; `where` it came from begins every message, `assignments` are as for `read`.

    Raises: RecipeError, one line, if it cannot be run as written.

    >>> recipe = parse(
    ...     "{name: r, data: {name: digits, validation: 100}, model: mlp, training: {epochs: 2}, arms: [{name: plain}]}"
    ... )
    >>> recipe.model.fields["hidden"], recipe.data.splits
    ([512, 128, 32], 10)
    """
    try:
        content = load(text)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error
    return validate(override(content, assignments) if assignments else content, where)


@checked
def validate(content: Any, where: str = "recipe") -> Recipe:
    """The recipe of a mapping, as `parse`.

    Raises: RecipeError, one line, if it cannot be run as written.
    """
    if not isinstance(content, dict):
        raise RecipeError(f"{where}: a recipe is a mapping of keys to values, got {type(content).__name__}.")
    try:
        return expand(Recipe.model_validate(content))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error)}") from error
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def attribution_named(named: str | Mapping[str, Any]) -> AttributionName:
    """An attribution method by its name, or by its name and fields, as recipes say it.

    Raises: RecipeError, one line, for a name or field that is not there.

    >>> attribution_named({"name": "integrated_gradients", "steps": 8}).fields["steps"]
    8
    """
    try:
        return AttributionName.model_validate(dict(named) if isinstance(named, Mapping) else named)
    except ValidationError as error:
        raise RecipeError(
            f"attribution: {_first(error)}".replace("attribution: recipe:", "attribution:")
        ) from error


@checked
def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every default written out; `parse` reads it back equal."""
    content = recipe.model_dump(mode="json", exclude_none=False)
    for key in ("folder", "files", "resolved"):
        if not content[key]:
            del content[key]
    return dump(content)


def _first(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _keys(first["loc"]))
    more = f" ({len(problems) - 1} more after this one)" if len(problems) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "missing":
        message = "this key is required"
    elif first["type"] not in ("value_error",):
        message = f"{message[0].lower()}{message[1:]}, got {_short(repr(first['input']))}"
    return _short(" ".join(f"{place.lstrip('.') or 'recipe'}: {message}.{more}".split()), 2000)


def _keys(loc: tuple[int | str, ...]) -> list[int | str]:
    """The place without the names pydantic adds for the members of a union."""
    return [part for part in loc if part not in ("int", "float", "bool", "list[str]")]


def _text_of(path: Path) -> str:
    try:
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                return file.read(LONGEST + 1)
        there = path.exists()
        near = [str(each) for each in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a text file: {error}.") from error
    except OSError as error:
        raise RecipeError(f"{_short(str(path))} cannot be read: {error.strerror or error}.") from error
    if there:
        raise RecipeError(f"{path} cannot be read: it is no file, but a folder, a pipe or a device.")
    raise RecipeError(f"there is no recipe {_short(repr(str(path)))}. {did_you_mean(str(path), near)}")


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"
