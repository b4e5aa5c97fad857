"""YAML as recipes have it."""

import re
from collections.abc import Hashable
from typing import Any

import yaml


def load(text: str) -> Any:
    """The value of a YAML text; nothing is executed, `on` and `off` are words, a key given twice is an error.

    >>> load("{on: columns}")
    {'on': 'columns'}
    """
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """YAML without silently overwritten keys, in which on, off, yes and no are words, as in YAML 1.2."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":bool")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, unless a key occurs twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, Hashable) else str(key))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")
)
