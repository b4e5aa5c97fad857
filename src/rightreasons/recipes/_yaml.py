"""Load and dump YAML, bounded in size, depth and aliases."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from rightreasons.core._errors import RecipeError

LONGEST = 2**20
"""Characters of a text that is read."""
_DEEPEST, _MOST_VALUES, _BITS = 40, 100_000, 64
_CORE = ("null", "bool", "int", "float", "str", "seq", "map")
_NUMBER = {  # as in YAML 1.2, without octal 0150, base 60 and underscores
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
}
_TAG = "tag:yaml.org,2002:"


def load(text: str) -> Any:
    """The value of a YAML text; nothing is executed, `on`, `off` and dates are words, a key given twice is an error.

    Values are null, true and false, numbers, text, lists and mappings, as in JSON; other tags are refused. So are texts
    of more than a million characters, values that are nested more than 40 deep or, with aliases unfolded, more than
    100,000, and whole numbers beyond 64 bits.

    Raises: RecipeError, one line with the place, for all that is not such a text.

    >>> load("{on: columns, since: 2001-01-01}")
    {'on': 'columns', 'since': '2001-01-01'}
    """
    if len(text) > LONGEST:
        raise RecipeError(
            f"a text of {len(text):,} characters is not read; {LONGEST:,} are the most. Put long lists into files."
        )
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError(_syntax(error)) from error


def dump(value: Any, *, flow: bool = False, width: float = 100) -> str:
    """YAML that `load` reads back equal; with `flow` and an infinite width on one line."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width
    )


class _Loader(yaml.SafeLoader):
    """YAML without silently overwritten keys, in which no, on, dates, 0150 and 2:30 are words, as in YAML 1.2."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if tag == f"{_TAG}null"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in _CORE
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth, self.values = 0, 0
        self.sizes: dict[
            int, tuple[int, int]
        ] = {}  # of each node: values in it, and how deep they are nested

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The node, unless it is nested too deeply, or there are too many with aliases unfolded."""
        mark, alias, before = self.peek_event().start_mark, self.check_event(yaml.AliasEvent), self.values
        self.depth += 1
        _require(self.depth <= _DEEPEST, f"values are nested more than {_DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if alias:
            _require(id(node) in self.sizes, "a value holds itself", mark)
            values, height = self.sizes[id(node)]
            _require(self.depth + height <= _DEEPEST, f"values are nested more than {_DEEPEST} deep", mark)
            self.values += values
        else:
            self.values += 1
            inside = _inside(node)
            self.sizes[id(node)] = (
                self.values - before,
                1 + max((self.sizes[id(each)][1] for each in inside), default=0),
            )
        _require(self.values <= _MOST_VALUES, f"there are more than {_MOST_VALUES:,} values", mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value; whatever Python says against a text becomes an error with its place."""
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # int(), float() and what the loader looks up raise errors of many kinds
            kind = node.tag.removeprefix(_TAG)
            raise _wrong(f"{str(node.value)[:60]!r} cannot be read as {kind}", node.start_mark) from error
        if isinstance(value, int) and abs(value) >= 2**_BITS:
            raise _wrong(f"a whole number of more than {_BITS} bits", node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, unless a key occurs twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise _wrong(f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key if isinstance(key, Hashable) else str(key))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))
for _kind, _form in _NUMBER.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_form.pattern})$"), list("-+.0123456789"))


class _Dumper(yaml.SafeDumper):
    """Line breaks in texts are escaped: a reader takes U+0085 for a new line, and folds others."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        f"{_TAG}str", text, style='"' if re.search("[\n\x85\u2028\u2029]", text) else None
    )


_Dumper.add_representer(str, _text)


def _inside(node: yaml.Node | None) -> list[yaml.Node]:
    """Keys and values of a mapping, entries of a list."""
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _require(holds: bool, otherwise: str, mark: Any) -> None:
    if not holds:
        raise _wrong(otherwise, mark)


def _wrong(problem: str, mark: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or " ".join(str(error).split()) or "not YAML"
    return f"{place}{problem}."
