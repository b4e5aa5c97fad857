"""The schema takes what the reader of recipes takes, and refuses wrong keys and names, as an editor would see it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rightreasons.core._errors import RecipeError
from rightreasons.recipes import _names, json_schema, parse, to_yaml
from rightreasons.recipes._yaml import load
from tests.recipes.test_read import ARM, GOOD, ROOT, WRONG
from tests.runs.cases import IMAGES, TABLE

SCHEMA = json_schema()
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A validator of the part of JSON Schema that is used; a keyword it does not know is an error."""
    for key, said in schema.items():
        if key in ("description", "title", "default", "$schema", "$defs"):
            continue
        if not CHECKS[key](value, said, schema):
            return False
    return True


def is_type(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


CHECKS: dict[str, Any] = {
    "$ref": lambda v, said, _: fits(v, SCHEMA["$defs"][said.removeprefix("#/$defs/")]),
    "type": lambda v, said, _: is_type(v, said),
    "enum": lambda v, said, _: v in said,
    "const": lambda v, said, _: v == said,
    "anyOf": lambda v, said, _: any(fits(v, each) for each in said),
    "properties": lambda v, said, _: not isinstance(v, dict) or all(fits(v[k], said[k]) for k in said if k in v),
    "additionalProperties": lambda v, said, schema: all(
        k in schema.get("properties", {}) or (said is not False and (said is True or fits(v[k], said)))
        for k in (v if isinstance(v, dict) else ())
    ),
    "required": lambda v, said, _: not isinstance(v, dict) or all(k in v for k in said),
    "items": lambda v, said, _: not isinstance(v, list) or all(fits(each, said) for each in v),
    "prefixItems": lambda v, said, _: not isinstance(v, list) or all(map(fits, v, said)),
    "minItems": lambda v, said, _: not isinstance(v, list) or len(v) >= said,
    "maxItems": lambda v, said, _: not isinstance(v, list) or len(v) <= said,
    "minLength": lambda v, said, _: not isinstance(v, str) or len(v) >= said,
    "maxLength": lambda v, said, _: not isinstance(v, str) or len(v) <= said,
    "pattern": lambda v, said, _: not isinstance(v, str) or re.search(said, v) is not None,
    "minimum": lambda v, said, _: not is_type(v, "number") or v >= said,
    "maximum": lambda v, said, _: not is_type(v, "number") or v <= said,
    "exclusiveMinimum": lambda v, said, _: not is_type(v, "number") or v > said,
    "exclusiveMaximum": lambda v, said, _: not is_type(v, "number") or v < said,
}  # fmt: skip


RICH = GOOD.replace("mlp", "'my.models:Net'").replace(
    "training: {epochs: 2}",
    "training: {epochs: 2, optimizer: {name: sgd, lr: 0.1}, schedule: one_cycle, augment: flip, clip: null, "
    "engine: {name: recompute, chunk: 8}}, select: {largest_within: 0.01}, "
    "task: {name: multiclass, classes: 10, weights: balanced}, loggers: [csv]",
).replace(
    ARM,
    "{name: a, terms: [{prior: {name: gini, level: global}, attribution: {name: integrated_gradients, steps: 3}, "
    "schedule: {name: ramp, last: 5}}], weights: [1, 2]}",
)  # fmt: skip


@pytest.mark.parametrize("text", [GOOD, RICH, IMAGES, TABLE], ids=["short", "rich", "images", "table"])
def test_what_can_be_read_fits_as_it_is_written_and_as_it_is_resolved(text: str) -> None:
    assert fits(load(text), SCHEMA)
    assert fits(load(to_yaml(parse(text))), SCHEMA)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_fit(path: Path) -> None:
    assert fits(load(path.read_text()), SCHEMA)


# Not seen by a schema: what depends on several keys, on the data, or on YAML itself.
BEYOND = {
    "data set", "no arms", "terms without weights", "weights twice", "term of nothing", "unequal trials",
    "arms of one name", "compared with nothing", "key twice", "syntax", "many fits", "a long file",
    "a file of a belief", "a wide network", "many layers", "a rate that is no number", "an infinite share",
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(set(WRONG) - BEYOND))
def test_what_is_refused_does_not_fit(case: str) -> None:
    there, instead, _ = WRONG[case]
    text = GOOD.replace(there, instead, 1)
    with pytest.raises(RecipeError):
        parse(text)
    assert not fits(load(text), SCHEMA)


@pytest.mark.parametrize("kind", _names.KINDS)
def test_every_name_has_its_fields_and_no_other(kind: str) -> None:
    (definition,) = (
        each
        for each in SCHEMA["$defs"].values()
        if set(_names.KINDS[kind])
        == {c["properties"].get("name", {}).get("const") for c in each.get("anyOf", ()) if "properties" in c}
        - {None}
    )
    for name in _names.KINDS[kind]:
        fields = _names.entry(kind, name).parameters()
        needed = {k: 1 for k, p in fields.items() if p.default is p.empty}
        resolvable = kind != "task" or "classes" not in needed
        if not needed and resolvable:
            assert fits(name, definition)
            assert fits({"name": name, **_names.resolved(kind, name, {})}, definition)
        assert not fits({"name": name, **needed, "no_such_field": 1}, definition)
    assert not fits("no_such_name", definition)


def test_it_is_json_and_explains_keys() -> None:
    again = json.loads(json.dumps(SCHEMA))
    assert again == SCHEMA
    assert SCHEMA["$defs"]["Training"]["properties"]["clip"]["description"] == "largest gradient norm."
    assert "code" not in SCHEMA["properties"]
