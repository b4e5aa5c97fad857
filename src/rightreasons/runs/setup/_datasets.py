"""Data sets and splits of a recipe, read once per process."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from torch import Tensor

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.recipes import Recipe
from rightreasons.recipes._arms import Guidance
from rightreasons.recipes._data import Data


@dataclass(frozen=True, eq=False)
class Parts:
    """The three parts of one split, as the model sees them; `preprocessing` is None unless they are a table."""

    train: data.DataSet
    validation: data.DataSet
    test: data.DataSet
    preprocessing: data.Preprocessing | None = None


def rows_of(recipe: Recipe) -> data.DataSet:
    """All rows, as they were found, pixels within the recipe's bounds.

    Raises: DataError if they cannot be read, or have no labels to learn.
    """
    return _rows(_located(recipe).model_dump_json(exclude=_SPLITTING))


def parts(recipe: Recipe, split: int) -> Parts:
    """Data of a split; preprocessing is fitted on its training rows only.

    Raises: DataError if the split cannot be made.
    """
    return _parts(_located(recipe).model_dump_json(exclude={"splits"}), recipe.seed, split)


def digests_of(rows: data.DataSet) -> np.ndarray:
    """A number for each row that only rows with the same inputs and label share: of what the model sees, (N,) uint64.

    Cost: a hash of each row.
    """
    hashes = []
    for start in range(0, len(rows), _HASHED_AT_ONCE):
        some = slice(start, start + _HASHED_AT_ONCE)
        columns = [
            each[some].flatten(1) if each.ndim > 1 else each[some, None] for each in (rows.x, rows.y.double())
        ]
        raw = [(each + 0).contiguous().numpy().view(np.uint8) for each in columns]  # -0. becomes 0.
        hashes += [
            blake2b(x.tobytes() + y.tobytes(), digest_size=8).digest() for x, y in zip(*raw, strict=True)
        ]
    return np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64)


def precise(x: Tensor, recipe: Recipe) -> Tensor:
    """Numbers in the precision that the recipe trains with."""
    return x.double() if recipe.training.precision == "64-true" and x.is_floating_point() else x


def splits_of(recipe: Recipe) -> Iterator[data.Split]:
    """Which rows of the data are in which part, of every split that the recipe asks for.

    Raises: DataError if one cannot be made.
    """
    return _splits(recipe.data, rows_of(recipe), recipe.seed, recipe.data.splits)


def index_of(recipe: Recipe, split: int) -> data.Split:
    """Which rows of the data are in which part of a split.

    Raises: DataError if the split cannot be made.
    """
    return _index(recipe.data, rows_of(recipe), recipe.seed, split)


def masks_of(recipe: Recipe, asked: Guidance) -> Tensor:
    """Guidance for all rows, in the order of `rows_of`.

    Raises: DataError if it cannot be read, or does not fit the rows.
    """
    where = _located(recipe).model_dump_json(exclude=_SPLITTING)
    return _masks(where, str(recipe.path_of(asked.masks)), asked.outside, asked.of)


_HASHED_AT_ONCE = 64  # rows
_SPLITTING = {"splits", "train", "validation", "test", "stratify", "preprocessing"}


def _located(recipe: Recipe) -> Data:
    asked = recipe.data
    return asked if asked.path is None else asked.model_copy(update={"path": str(recipe.path_of(asked.path))})


@lru_cache(maxsize=2)
def _rows(asked_json: str) -> data.DataSet:
    asked = Data.model_validate_json(asked_json)
    if asked.name is not None:
        found = data.load(asked.name)
    else:
        found = data.read(asked.path or "", **asked.reading)
    if not found.labelled:
        raise DataError(
            f"{asked.path} has no labels, so there is nothing to learn. Say data.target, the column (or array) of the "
            "label; pictures lie in one folder for each class."
        )
    return found if asked.bounds is None else data.rescale(found, asked.bounds)


@lru_cache(maxsize=2)
def _masks(asked_json: str, path: str, outside: bool, of: tuple[int, int] | None) -> Tensor:
    return data.read_masks(path, _rows(asked_json), outside=outside, of=of)


@lru_cache(maxsize=4)
def _parts(asked_json: str, seed: int, split: int) -> Parts:
    asked = Data.model_validate_json(asked_json)
    rows = _rows(asked.model_dump_json(exclude=_SPLITTING))
    index = _index(asked, rows, seed, split)
    if not rows.columns:
        return Parts(rows.rows(index.train), rows.rows(index.validation), rows.rows(index.test))
    fitted = data.Preprocessing.fit(rows.rows(index.train), **asked.preprocessing.model_dump())
    train, validation, test = (fitted(rows.rows(part)) for part in index)
    return Parts(train, validation, test, fitted)


def _index(asked: Data, rows: data.DataSet, seed: int, split: int) -> data.Split:
    *_, found = _splits(asked, rows, seed, split + 1)
    return found


def _splits(asked: Data, rows: data.DataSet, seed: int, count: int) -> Iterator[data.Split]:
    if rows.parts:
        validation = None if "validation" in rows.parts else asked.validation
        return data.predefined(rows, count, validation, seed, asked.stratify)
    return data.splits(
        rows, count, asked.train, asked.validation, asked.test, seed=seed, stratify=asked.stratify
    )
