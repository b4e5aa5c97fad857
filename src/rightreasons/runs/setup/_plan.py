"""Plan the fits of a recipe; a fit's id is a hash of everything that decides its result."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch

import rightreasons
from rightreasons.core._checked import checked
from rightreasons.recipes import Arm, Recipe
from rightreasons.runs.setup._code_digest import code_digest

_DECIDE_NOTHING = {"splits", "path"}  # more splits extend fewer; a file is known by its content


@dataclass(frozen=True)
class Fit:
    """One network to train.

    Attributes:
        arm: name of its arm.
        split: which split of the data.
        trial: which of the arm's trials on that split.
        weight: of the arm's terms; None for an arm without terms.
        seed: of initial weights, order of rows and draws: the same for this split and trial in every arm.
        id: unique within any run, and equal only if the result is.
    """

    arm: str
    split: int
    trial: int
    weight: float | None
    seed: int
    id: str


@checked
def plan(recipe: Recipe) -> list[Fit]:
    """All fits of a recipe, split by split, so that early results cover every arm."""
    return [
        _fit(recipe, arm, split, trial)
        for split in range(recipe.data.splits)
        for trial in range(recipe.trials_per_arm)
        for arm in recipe.arms
    ]


def seed_of(*what: int | str) -> int:
    """A 48-bit seed that depends on nothing but what is named.

    >>> seed_of(0, "split", 3) == seed_of(0, "split", 3) != seed_of(0, "split", 4)
    True
    """
    return int.from_bytes(sha256(json.dumps(what).encode()).digest()[:6])


def slug(name: str) -> str:
    """A name as part of a file name.

    >>> slug("Gini of expected gradients")
    'gini-of-expected-gradients'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "arm"


def versions() -> dict[str, str]:
    """What a result depends on besides the recipe."""
    return {
        "rightreasons": rightreasons.__version__,
        "code": code_digest(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _training(recipe: Recipe) -> dict[str, Any]:
    return recipe.training.model_dump(mode="json", exclude=recipe.training.DECIDE_NOTHING)


def _fit(recipe: Recipe, arm: Arm, split: int, trial: int) -> Fit:
    weight = arm.weights[trial] if arm.weights else None
    base = recipe.training.seed
    seed = seed_of(recipe.seed if base is None else base, "fit", split, trial)
    of_others = {f"file {path}" for other in recipe.arms for path in other.files if path not in arm.files}
    own = recipe.of(arm, weight)
    decides = {
        "data": recipe.data.model_dump(mode="json", exclude=_DECIDE_NOTHING),
        "task": recipe.task and recipe.task.model_dump(mode="json"),
        "model": own.model.model_dump(mode="json"),
        "pretrained": recipe.pretrained.model_dump(mode="json", exclude={"weights"}),
        "files": {key: digest for key, digest in recipe.files.items() if key not in of_others},
        "training": _training(own),
        "peer": arm.peer and arm.peer.model_dump(mode="json"),
        "terms": [term.model_dump(mode="json") for term in arm.terms],
        "fit": [recipe.seed, split, weight, seed],
        "versions": versions(),
    }
    digest = sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:10]
    return Fit(arm.name, split, trial, weight, seed, f"{slug(arm.name)}-s{split:02d}-t{trial}-{digest}")
