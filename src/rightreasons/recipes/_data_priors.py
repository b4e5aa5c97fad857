"""Priors of recipes that refer to columns, graphs or groups of the data.

Each is a value that becomes a prior of `rr.priors` once the features are known; `wrong` replaces what it knows by
random knowledge of the same size.
"""

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from rightreasons import priors
from rightreasons.core._errors import RecipeError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._text import text_of
from rightreasons.data import DataSet
from rightreasons.recipes._limits import FilePath

Unknown = Literal["refuse", "drop"]


@dataclass(frozen=True, eq=False)
class Known:
    """What a recipe's priors are told about the maps.

    Attributes:
        columns: positions in the map of each original column of a table; empty for other data.
        features: names of the positions; empty for other data.
        folder: what paths are relative to.
        rows: gives the training rows as they were found, before preprocessing.
    """

    columns: Mapping[str, Sequence[int]]
    features: tuple[str, ...]
    folder: Path
    rows: Callable[[], DataSet] | None = None

    def of(self, name: str, what: str) -> Sequence[int]:
        """Positions of a feature, or of all features of a column.

        Raises: RecipeError naming the closest one if there is none.
        """
        if not self.features:
            raise RecipeError(f"{what} names columns, and the data have none: they are not a table.")
        if name in self.columns:
            return self.columns[name]
        if name in self.places:
            return (self.places[name],)
        near = [*self.columns, *(each for each in self.features if each not in self.columns)]
        raise RecipeError(f"{what}: there is no column {name!r}. {did_you_mean(name, near)}")

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Position of each feature."""
        return {name: i for i, name in enumerate(self.features)}

    def one_of(self, name: str, what: str) -> int:
        """Position of a feature, or of a column of one feature.

        Raises: RecipeError if there is none, or the column has several.
        """
        found: Sequence[int] = self.of(name, what)
        if len(found) > 1:
            raise RecipeError(
                f"{what}: the column {name!r} is {len(found)} features for the model, such as "
                f"{self.features[found[0]]!r}. Say on: columns, or name a feature."
            )
        return found[0]

    def path(self, path: str) -> Path:
        """A file of the recipe."""
        return self.folder / Path(path).expanduser()


@dataclass(frozen=True)
class Wrong:
    """Replace what a prior knows by random knowledge of the same size.

    Args:
        kind: one of the prior's `controls`.
        generator: of the draw.
    """

    kind: str
    generator: torch.Generator


class Belief(ABC):
    """What a recipe says of a prior that needs to know the data."""

    controls: ClassVar[Mapping[str, str]] = {}
    """Kinds of wrong knowledge it can be compared with, and what results call them."""
    all_controls: ClassVar[bool] = False
    """Whether `controls: true` means all kinds, instead of the first."""

    def files(self) -> tuple[str, ...]:
        """Files it reads, as the recipe names them."""
        return ()

    @abstractmethod
    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """The prior on these data; with `wrong` the control that knows nothing."""


@dataclass(frozen=True)
class Mask(Belief):
    """`priors.Mask` on columns that must not matter, or on each row's own mask.

    Args:
        columns: names of columns or features; empty: the term's guidance brings a mask for each row.
    """

    columns: list[str] | tuple[str, ...] = ()

    controls: ClassVar[Mapping[str, str]] = {"random": "random mask"}

    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """See `Belief`; of guidance the control is drawn where the guidance is read."""
        if not self.columns:
            return priors.Mask()
        mask = torch.zeros(max(len(known.features), 1))
        for name in self.columns:
            mask[list(known.of(name, "mask"))] = 1
        return priors.Mask(mask if wrong is None else _shuffled(mask, wrong, "mask"))


@dataclass(frozen=True)
class Monotone(Belief):
    """`priors.Monotone` by names: +1 where a column raises the output, -1 where it lowers it.

    Args:
        signs: sign of each column or feature with a belief; empty: the term's guidance brings signs for each row.
    """

    signs: dict[str, int | float] | None = None

    controls: ClassVar[Mapping[str, str]] = {"random": "random signs"}

    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """See `Belief`."""
        if not self.signs:
            return priors.Monotone()
        signs = torch.zeros(max(len(known.features), 1))
        for name, sign in self.signs.items():
            signs[known.one_of(name, "monotone")] = sign
        return priors.Monotone(signs if wrong is None else _shuffled(signs, wrong, "monotone"))


@dataclass(frozen=True)
class GroupSparsity(Belief):
    """`priors.GroupSparsity` with groups by names.

    Args:
        groups: "columns", a group for each original column; names of columns for each group; or a CSV file whose first
            column names the group and whose second a column in it.
        penalty: "gini" or "lasso".
        level: "global" or "sample".
        unknown: "refuse" names that no column has, or "drop" them.
    """

    groups: FilePath | dict[str, list[str]] = "columns"
    penalty: Literal["gini", "lasso"] = "gini"
    level: priors.Level = "global"
    unknown: Unknown = "refuse"

    controls: ClassVar[Mapping[str, str]] = {"random": "random groups"}

    def files(self) -> tuple[str, ...]:
        """See `Belief`."""
        return _group_files(self.groups)

    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """See `Belief`; the control deals the features out again to groups of the same sizes."""
        groups = _groups(self.groups, known, self.unknown, "group_sparsity")
        if wrong is not None:
            order = torch.randperm(len(known.features), generator=wrong.generator).tolist()
            groups = [tuple(order[i] for i in group) for group in groups]
        return priors.GroupSparsity(groups, self.penalty, self.level)


@dataclass(frozen=True)
class GraphLaplacian(Belief):
    """`priors.GraphLaplacian` with a graph by names.

    Args:
        edges: a CSV file whose first two columns name what an edge joins; a column `weight` is its weight, else 1.
        graph: "co_membership" instead of a file: features are joined that share a group.
        groups: of co-membership, as for `GroupSparsity`.
        level: "global" or "sample".
        normalise: None as published, or "l2".
        unknown: "refuse" names that no column has, or "drop" their edges.
    """

    edges: FilePath | None = None
    graph: Literal["co_membership"] | None = None
    groups: FilePath | dict[str, list[str]] = "columns"
    level: priors.Level = "global"
    normalise: Literal["l2"] | None = None
    unknown: Unknown = "refuse"

    controls: ClassVar[Mapping[str, str]] = {
        "random": "random graph",
        "degrees": "random graph of the same degrees",
    }

    def files(self) -> tuple[str, ...]:
        """See `Belief`."""
        return (self.edges,) if self.edges is not None else _group_files(self.groups)

    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """See `Belief`."""
        graph = self.graph_of(known)
        if wrong is not None:
            graph = priors.random_graph(graph, wrong.generator, degrees=wrong.kind == "degrees")
        return priors.GraphLaplacian(graph, level=self.level, normalise=self.normalise)

    def graph_of(self, known: Known) -> priors.FeatureGraph:
        """The graph over the features."""
        if (self.edges is None) == (self.graph is None):
            raise RecipeError(
                "graph_laplacian needs edges: FILE, or graph: co_membership with groups; say one of the two."
            )
        weights = self._listed(known) if self.edges is not None else self._shared(known)
        if not weights:
            raise RecipeError(
                "graph_laplacian: no edge joins two different features of the data, so the penalty would always be 0. "
                "Are the names those of the columns?"
            )
        pairs = sorted(weights)
        return priors.FeatureGraph(
            torch.tensor(pairs).T, torch.tensor([weights[pair] for pair in pairs]), len(known.features)
        )

    def _listed(self, known: Known) -> dict[tuple[int, int], float]:
        found: dict[tuple[int, int], float] = {}
        path = known.path(self.edges or "")
        for line, row in _rows(path, "graph_laplacian"):
            ends = _known_names(list(row.values())[:2], known, self.unknown, f"{path}, line {line}")
            if len(ends) < 2:
                continue
            i, j = sorted(known.one_of(name, f"{path}, line {line}") for name in ends)
            weight = _number(row.get("weight", "1"), path, line)
            if found.setdefault((i, j), weight) != weight:
                raise RecipeError(
                    f"{path}, line {line}: the edge {ends[0]!r} to {ends[1]!r} has the weight {weight:g} here and "
                    f"{found[i, j]:g} before, and an edge has one weight. Remove one of the two lines."
                )
        return {pair: weight for pair, weight in found.items() if pair[0] != pair[1] and weight > 0}

    def _shared(self, known: Known) -> dict[tuple[int, int], float]:
        groups = _groups(self.groups, known, self.unknown, "graph_laplacian")
        return {(i, j): 1.0 for group in groups for i in group for j in group if i < j}


def _shuffled(values: Tensor, wrong: Wrong, what: str) -> Tensor:
    """The same values at random features."""
    if bool((values == values[0]).all()):
        raise RecipeError(
            f"{what}: all {len(values)} features are named, so random knowledge of the same size would be the same "
            "belief. Leave out controls."
        )
    return values[torch.randperm(len(values), generator=wrong.generator)]


def _group_files(groups: str | Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return (groups,) if isinstance(groups, str) and groups != "columns" else ()


def _groups(
    groups: str | Mapping[str, Sequence[str]], known: Known, unknown: Unknown, what: str
) -> list[tuple[int, ...]]:
    """Positions of the features of each group."""
    if groups == "columns":
        if not known.columns:
            raise RecipeError(f"{what}: the data have no columns to group: they are not a table.")
        return [tuple(group) for group in known.columns.values()]
    named = _group_lines(known.path(groups), what) if isinstance(groups, str) else groups
    found = []
    for group, members in named.items():
        names = _known_names(members, known, unknown, f"{what}, group {group!r}")
        positions = [i for name in names for i in known.of(name, what)]
        found.append(tuple(dict.fromkeys(positions)))
    found = [group for group in found if group]
    if not found:
        raise RecipeError(f"{what}: no group has a column of the data. Are the names those of the columns?")
    return found


def _group_lines(path: Path, what: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, row in _rows(path, what):
        group, member = list(row.values())[:2]
        found.setdefault(group, []).append(member)
    return found


def _known_names(names: Iterable[str], known: Known, unknown: Unknown, where: str) -> list[str]:
    """The names, all of which are columns or features; those that are none are dropped if asked for."""
    listed = list(names)
    there = [name for name in listed if name in known.columns or name in known.places]
    if len(there) == len(listed) or not known.features:
        return listed
    if unknown == "drop":
        return there
    missing = next(name for name in listed if name not in known.columns and name not in known.places)
    raise RecipeError(
        f"{where}: there is no column {missing!r} in the data. {did_you_mean(missing, known.columns)} Say unknown: "
        "drop to leave out what the data do not have."
    )


def _rows(path: Path, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines of a CSV file with a header, by number."""
    try:
        reader = csv.reader(StringIO(text_of(path), newline=""), skipinitialspace=True)
        header = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{what}: {path} cannot be read: {reason}.") from error
    if len(header) < 2 or len(set(header)) < len(header):
        raise RecipeError(
            f"{what}: {path} must be a CSV file with a header and two columns or more, of different names; got "
            f"{header}."
        )
    for line, cells in lines:
        if len(cells) != len(header) or not all(cells[:2]):
            raise RecipeError(
                f"{what}: {path}, line {line}: there must be {len(header)} cells as in the header, the first two of "
                f"which are names; got {cells}."
            )
        yield line, dict(zip(header, cells, strict=True))


def _number(text: str, path: Path, line: int) -> float:
    try:
        weight = float(text)
    except ValueError as error:
        raise RecipeError(f"{path}, line {line}: the weight {text!r} is no number.") from error
    if not 0 <= weight < float("inf"):
        raise RecipeError(
            f"{path}, line {line}: a weight must be finite and not negative, for a negative one rewards differences "
            f"without bound; got {text}."
        )
    return weight
