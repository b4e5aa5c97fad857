"""Overrides from the command line: `training.epochs=5`, `arms.0.weights=[0.1, 1]`."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rightreasons.core._checked import checked
from rightreasons.core._errors import RecipeError
from rightreasons.recipes._schema import Recipe
from rightreasons.recipes._yaml import load

_DEEPEST = 40
"""Keys of a path."""
_DEEPER = {"lr": "training.optimizer.lr", "learning_rate": "training.optimizer.lr", "hidden": "model.hidden"}


@checked
def override(content: Any, assignments: Sequence[str]) -> Any:
    """A recipe's content with some values replaced; whether keys and values are right is for `validate` to say.

    Keys that are not there are added. A bare name is a mapping with that name where one of its fields is set, so
    `model.hidden=[8]` changes `model: mlp` to `model: {name: mlp, hidden: [8]}`.

    Args:
        content: the recipe as YAML has it; not changed.
        assignments: path=value each, in this order; keys of a path are separated by points, places in a list are
            numbers from 0; the value is YAML.

    Raises: RecipeError for what is no assignment, a value that is no YAML, or a place that cannot be.

    >>> override({"model": "mlp", "arms": [{"name": "a"}]}, ["model.hidden=[8]", "arms.0.name=b"])
    {'model': {'name': 'mlp', 'hidden': [8]}, 'arms': [{'name': 'b'}]}
    """
    changed = content
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys) or len(keys) > _DEEPEST:
            raise RecipeError(f"--set takes KEY=VALUE, such as training.epochs=5; got {assignment[:80]!r}.")
        try:
            value = load(text)
        except RecipeError as error:
            raise RecipeError(f"--set {assignment[:80]}: {text[:80]!r} is not YAML: {error}") from error
        changed = _with(changed, keys, value, assignment[:80])
    return changed


def key_called(name: str) -> str | None:
    """The key of a recipe whose last word is this, with what it is under.

    >>> key_called("epochs"), key_called("splits"), key_called("colour_of_the_sky")
    ('training.epochs', 'data.splits', None)
    """
    for field, information in {"": None, **Recipe.model_fields}.items():
        kind = Recipe if information is None else information.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and name in kind.model_fields:
            return f"{field}.{name}".strip(".")
    return _DEEPER.get(name)


def _with(content: Any, keys: Sequence[str], value: Any, assignment: str) -> Any:
    """The content with the value at the end of the path."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(content, list):
        place = _place(content, key, assignment)
        return [*content[:place], _with(content[place], rest, value, assignment), *content[place + 1 :]]
    if isinstance(content, str):
        content = {"name": content}
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise RecipeError(f"--set {assignment}: there is no {key!r} in {content!r}, which has no keys.")
    return {**content, key: _with(content.get(key), rest, value, assignment)}


def _place(content: list[Any], key: str, assignment: str) -> int:
    if not key.isdecimal() or len(key) > 9 or int(key) >= len(content):
        names = [str(each["name"]) for each in content if isinstance(each, dict) and "name" in each]
        listed = f" ({', '.join(names)})" if names else ""
        raise RecipeError(
            f"--set {assignment}: {key[:20]!r} is no place in a list of {len(content)}{listed}. Places are numbers "
            f"from 0 to {len(content) - 1}."
        )
    return int(key)
