"""Recipes: a comparison of arms as a YAML file, checked before anything runs.

>>> recipe = parse('''
... name: example
... data: {name: digits, train: 100, validation: 100, splits: 2}
... model: {name: mlp, hidden: [16]}
... training: {epochs: 5}
... arms:
...   - name: plain
...   - {name: sparse, terms: [{prior: gini}], weights: [0.1]}
... ''')
>>> recipe.arms[1].terms[0].attribution.fields["references"]
'train'
"""

from rightreasons.core._extras import require as _require

_require("train", "pydantic", "yaml")

from rightreasons.recipes._arms import Arm  # noqa: E402
from rightreasons.recipes._draft import draft  # noqa: E402
from rightreasons.recipes._json_schema import json_schema  # noqa: E402
from rightreasons.recipes._override import override  # noqa: E402
from rightreasons.recipes._read import parse, read, to_yaml, validate  # noqa: E402
from rightreasons.recipes._schema import Recipe  # noqa: E402

__all__ = ["Arm", "Recipe", "draft", "json_schema", "override", "parse", "read", "to_yaml", "validate"]
