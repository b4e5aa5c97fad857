"""Reading recipes: whatever is wrong becomes one line that names the key and the closest valid one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import RecipeError
from rightreasons.recipes._arms import AttributionName
from rightreasons.recipes._controls import expand
from rightreasons.recipes._override import override
from rightreasons.recipes._schema import Recipe
from rightreasons.recipes._yaml import load


def read(path: str | Path, assignments: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, checked and with every default filled in.

    Args:
        path: the file.
        assignments: values that replace those of the file, such as `training.epochs=5`; see `override`.

    Raises: RecipeError, one line that says where and what, if it cannot be run as written.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(_unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a text file: {error}.") from error
    recipe = parse(text, str(path), assignments)
    if recipe.folder is None and recipe.names_files:
        return recipe.model_copy(update={"folder": str(path.parent.resolve())})
    return recipe


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
    except yaml.YAMLError as error:
        raise RecipeError(f"{where}: {_syntax(error)}") from error
    return validate(override(content, assignments) if assignments else content, where)


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


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every default written out; `parse` reads it back equal."""
    content = recipe.model_dump(mode="json", exclude_none=False)
    for key in ("folder", "files", "resolved"):
        if not content[key]:
            del content[key]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _first(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _keys(first["loc"]))
    more = f" ({len(problems) - 1} more after this one)" if len(problems) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "missing":
        message = "this key is required"
    elif first["type"] not in ("value_error",):
        message = f"{message[0].lower()}{message[1:]}, got {first['input']!r}"
    return " ".join(f"{place.lstrip('.') or 'recipe'}: {message}.{more}".split())


def _keys(loc: tuple[int | str, ...]) -> list[int | str]:
    """The place without the names pydantic adds for the members of a union."""
    return [part for part in loc if part not in ("int", "float", "bool", "list[str]")]


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{getattr(error, 'problem', None) or 'not YAML'}."


def _unreadable(path: Path, error: OSError) -> str:
    if not path.exists():
        folder = path.parent
        near = [str(each) for each in folder.glob("*.y*ml")] if folder.is_dir() else []
        return f"there is no recipe {str(path)!r}. {did_you_mean(str(path), near)}"
    return f"{path} cannot be read: {error.strerror or error}."
