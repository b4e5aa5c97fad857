"""The JSON Schema of recipes, for editors."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, TypeAdapter

from rightreasons.recipes import _names
from rightreasons.recipes._base import Named, Strict
from rightreasons.recipes._schema import Recipe

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The JSON Schema (2020-12) of a recipe, made from what recipes are checked with.

    It knows every key, every name and the fields of each; what depends on more than one key, or on the data, only
    `rightreasons train` checks.

    >>> training = json_schema()["$defs"].get("Training")
    >>> training["properties"].get("epochs").get("minimum")
    1
    """
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    for model in _subclasses(Named):
        if model.__name__ in definitions:
            definitions[model.__name__] = _named(model)
    for model in _subclasses(Strict):
        described = schema if model is Recipe else definitions.get(model.__name__, {"properties": {}})
        described["description"] = _summary(model)
        for key, text in _section(model, "Attributes").items():
            if key in described["properties"]:
                described["properties"][key]["description"] = text
    select, training = definitions["Select"], definitions["Training"]["properties"]
    rules = select["properties"]["rule"]["enum"]
    short = {"largest_within": {"type": "number", "minimum": 0}}
    definitions["Select"] = {"anyOf": [{"enum": rules}, _object(short, ["largest_within"]), select]}
    one = training["augment"]["items"]
    del training["augment"]["items"], training["augment"]["type"]
    training["augment"]["anyOf"] = [{"type": "array", "items": one}, one]
    del schema["properties"]["code"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A recipe of rightreasons",
    }


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)


def _named(model: type[Named]) -> Schema:
    """A name, or a name with fields."""
    known = _names.KINDS[model.kind]
    kinds = [_fields(model.kind, name) for name in known]
    bare = [name for name, kind in zip(known, kinds, strict=True) if kind["required"] == ["name"]]
    choices: list[Schema] = [{"enum": bare}, *kinds]
    if model.kind == "model":
        code = {"type": "string", "pattern": ":"}
        choices += [code, {"type": "object", "properties": {"name": code}, "required": ["name"]}]
    return {"description": _summary(model), "anyOf": choices}


def _fields(kind: str, name: str) -> Schema:
    found = _names.entry(kind, name)
    types, said = _names._types(kind, found), _section(found.make, "Args")
    properties: Schema = {"name": {"const": name}}
    for key, parameter in found.parameters().items():
        value = _type(types.get(key))
        if key in found.words:
            value = {"anyOf": [value, {"const": found.words[key]}]}
        properties[key] = value | ({"description": said[key]} if key in said else {})
        default = parameter.default
        if isinstance(default, str | int | float | bool) and key not in found.from_data:
            properties[key]["default"] = default
    for key, values in (found.own or {}).items():
        properties[key] = {"enum": list(values), "default": values[0]}
    needed = [
        key
        for key, parameter in found.parameters().items()
        if parameter.default is inspect.Parameter.empty and key not in found.from_data
    ]
    return {"description": _summary(found.make), **_object(properties, ["name", *needed])}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _type(hint: Any) -> Schema:
    """The schema of a field; what is no plain data there, such as a function, can be anything."""
    if hint is None:
        return {}
    try:
        found = TypeAdapter(hint).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}
    return {} if "$defs" in found else found


def _summary(what: Any) -> str:
    return (inspect.getdoc(what) or "").partition("\n\n")[0].replace("\n", " ")


def _section(what: Any, title: str) -> dict[str, str]:
    """What a docstring says of each argument."""
    _, _, text = (inspect.getdoc(what) or "").partition(f"\n{title}:\n")
    text = re.split(r"\n(?=\S)", text)[0]
    entries = re.findall(r"(?m)^    (\w+): (.*(?:\n {8}.*)*)", text)
    return {key: " ".join(words.split()) for key, words in entries}
