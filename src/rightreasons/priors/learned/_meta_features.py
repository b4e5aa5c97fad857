"""Meta-features: side information about features, matched to them by name.

Legend: p features, q columns of meta-features, E edges of a graph.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._graph import FeatureGraph, feature_graph
from rightreasons.priors.learned._columns import MetaColumn, expanded, refuse_constant
from rightreasons.priors.learned._names import (
    SHOWN,
    as_names,
    like,
    matched,
    refuse_repeated,
    refuse_unknown,
    table_of,
    taken,
)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class MetaFeatures:
    """Side information about p features in q columns of numbers, without missing values.

    Made by `from_table`, `from_sets` or `from_graph`, and put together by `join`. Numbers are standardised over the
    features, (value - centre) / scale; categories, memberships and indicators of missing values are 0 or 1.

    Args:
        features: names of the p features, in the order of the columns of the maps.
        columns: what each of the q columns is.
        values: (p, q), finite.

    Raises:
        ShapeError: values that are not (p, q).
        InputError: no features or no columns, names that occur twice, values that are not finite.

    Example:
        >>> table = {"length": [3.0, None, 1.0], "strand": ["+", "-", "+"]}
        >>> meta = MetaFeatures.from_table(table, ["TP53", "KRAS", "MYC"], names=["MYC", "KRAS", "TP53"])
        >>> tuple(column.name for column in meta.columns)
        ('length', 'strand=+', 'strand=-', 'length is missing')
        >>> meta.values[0]
        tensor([-1.,  1.,  0.,  0.])
    """

    features: tuple[str, ...]
    columns: tuple[MetaColumn, ...]
    values: Float[Tensor, "p q"]

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (len(self.features), len(self.columns)):
            raise ShapeError(
                f"values must be (features, columns), ({len(self.features)}, {len(self.columns)}); got "
                f"{tuple(self.values.shape)}."
            )
        if self.values.numel() == 0:
            raise InputError("meta-features need at least one feature and one column; got none.")
        refuse_repeated("features", self.features)
        refuse_repeated("columns", self.names)
        if not bool(torch.isfinite(self.values).all()):
            raise InputError(
                "meta-features must be finite. MetaFeatures.from_table fills what is missing and says where."
            )

    def __repr__(self) -> str:
        return f"MetaFeatures({len(self.features)} features x {len(self.columns)}, {self.digest})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def sources(self) -> tuple[str, ...]:
        """Original meta-features, in order; a category's levels are one of them."""
        return tuple(dict.fromkeys(column.source for column in self.columns))

    @property
    def digest(self) -> str:
        """Eight digits that differ where features, columns or values do."""
        text = "\n".join((*self.features, "", *self.names)).encode()
        numbers = self.values.detach().to("cpu", torch.float64).numpy().tobytes()
        return blake2b(text + numbers, digest_size=4).hexdigest()

    @classmethod
    def from_table(
        cls,
        table: Any,
        features: Sequence[Hashable],
        *,
        names: Sequence[Hashable] | None = None,
        categorical: Collection[str] = (),
        unmatched: str = "refuse",
        absent: str = "refuse",
    ) -> "MetaFeatures":
        """Meta-features from a table with a row for each feature, matched by name whatever the order.

        Numbers are standardised over the features. A missing number becomes their mean, and a column `... is missing`
        says where; columns that are missing at the same features share it. Text becomes a 0/1 column for each
        category. Whatever is estimated from samples (a variance, a mutation rate) must be estimated on training rows.

        Cost: O(p q) time and memory.

        Args:
            table: a pandas frame whose index names the features, or a mapping from column to values.
            features: names of the features the model sees, in their order.
            names: the feature each row is about; needed with a mapping, and instead of a frame's index.
            categorical: columns of numbers that stand for categories.
            unmatched: what to do with rows about other features: "refuse", or "ignore", for tables of a whole genome.
            absent: what to do with features without a row: "refuse", or "impute", as if all values were missing.

        Raises:
            InputError: names that occur twice or do not match; no column; a column that is constant, all missing,
                infinite, or neither numbers nor text; text with too many different values, or mostly of numbers that
                `categorical` does not name.
            ShapeError: a column that has not one value for each row.

        Example: see the class.
        """
        _check_option("unmatched", unmatched, "ignore")
        _check_option("absent", absent, "impute")
        wanted = as_names("features", features)
        rows, columns = table_of(table, names)
        refuse_unknown(categorical, columns)
        place_p = matched(wanted, rows, columns, unmatched, absent)
        parts = [
            expanded(name, taken(values, place_p), name in categorical) for name, values in columns.items()
        ]
        return _assembled(cls, wanted, parts)

    @classmethod
    def from_sets(
        cls,
        sets: Mapping[str, Collection[Hashable]],
        features: Sequence[Hashable],
        *,
        smallest: int = 1,
        largest: int | None = None,
    ) -> "MetaFeatures":
        """Membership in groups of features, such as pathways: a 0/1 column for each group.

        Members that are no features are ignored, since collections of sets cover more than a study measures. Sets with
        fewer than `smallest` or more than `largest` members among the features are left out, and so are those with all
        features.

        Args:
            sets: name of each set and its members; `rr.data.read_gmt` reads them.
            features: names of the features the model sees, in their order.
            smallest: fewest members among the features.
            largest: most of them; None: all but one.

        Raises: InputError for no mapping of names to members, if no set is left, or names occur twice.

        Example:
            >>> meta = MetaFeatures.from_sets(
            ...     {"repair": {"TP53", "ATM"}, "all": {"TP53", "MYC"}}, ["MYC", "TP53"]
            ... )
            >>> meta.names, meta.values.tolist()
            (('repair',), [[0.0], [1.0]])
        """
        wanted = as_names("features", features)
        if not isinstance(sets, Mapping) or any(isinstance(members, str) for members in sets.values()):
            raise InputError(
                "sets are a mapping from name to members, {'repair': ['TP53', 'ATM']}; got "
                f"{f'text as members of {next(iter(sets))!r}' if isinstance(sets, Mapping) else type(sets).__name__}."
            )
        position = {name: i for i, name in enumerate(wanted)}
        most = len(wanted) - 1 if largest is None else min(largest, len(wanted) - 1)
        kept: dict[str, list[int]] = {}
        for name, members in sets.items():
            inside = sorted({position[str(m)] for m in members if str(m) in position})
            if max(smallest, 1) <= len(inside) <= most:
                kept[str(name)] = inside
        if not kept:
            raise InputError(
                f"none of {len(sets)} sets has between {max(smallest, 1)} and {most} members among the {len(wanted)} "
                f"features. Features look like {list(wanted[:SHOWN])}, members like "
                f"{[str(m) for members in list(sets.values())[:1] for m in list(members)[:SHOWN]]}. Use the same kind "
                "of name in both."
            )
        values = torch.zeros(len(wanted), len(kept), dtype=torch.float32)
        for column, inside in enumerate(kept.values()):
            values[inside, column] = 1.0
        return cls(wanted, tuple(MetaColumn(name, name, "member") for name in kept), values)

    @classmethod
    def from_graph(cls, graph: Any, features: Sequence[Hashable]) -> "MetaFeatures":
        """Where each feature lies in a graph: degree, strength, and the mean degree of its neighbours.

        log(1 + number of edges), log(1 + sum of their weights) unless all weights are equal, and the mean over
        neighbours of log(1 + degree), missing for isolated features. Each is left out where it is the same for all
        features.

        Cost: O(p + E).

        Args:
            graph: over the features: an adjacency in any form that `feature_graph` takes, or what it returns. Nodes of
                a networkx graph are matched to features by name.
            features: names of its nodes, in their order.

        Raises:
            ShapeError: another number of nodes than of features.
            InputError: names that occur twice, a graph that `feature_graph` refuses, such as one of negative weights,
                or one in which all features are alike.

        Example:
            >>> MetaFeatures.from_graph([[0, 1, 0], [1, 0, 1], [0, 1, 0]], ["a", "b", "c"]).names
            ('degree', 'degree of neighbours')
        """
        wanted = as_names("features", features)
        graph = feature_graph(
            graph, features if hasattr(graph, "nodes") and not isinstance(graph, FeatureGraph) else None
        )
        if graph.nodes != len(wanted):
            raise ShapeError(
                f"the graph must have a node for each feature: {graph.nodes} nodes, {len(wanted)} names."
            )
        i_E, j_E = (ends.cpu() for ends in graph.edges)
        ends_2E, others_2E = torch.cat([i_E, j_E]), torch.cat([j_E, i_E])
        weights_2E = graph.weights.cpu().double().repeat(2)
        nothing = torch.zeros(graph.nodes, dtype=torch.float64)
        degree = nothing.index_add(0, ends_2E, torch.ones_like(weights_2E))
        size = degree.log1p()
        columns = {
            "degree": size,
            "degree of neighbours": nothing.index_add(0, ends_2E, size[others_2E]) / degree,
        }
        if not bool((weights_2E == weights_2E[0]).all()):
            columns["strength"] = nothing.index_add(0, ends_2E, weights_2E).log1p()
        parts = [
            expanded(name, values.numpy())
            for name, values in columns.items()
            if len(np.unique(values.numpy().round(12))) > 1
        ]
        if not parts:
            raise InputError(
                "all features are alike in this graph, so it tells none from another. Use GraphLaplacian, which "
                "compares neighbours."
            )
        return _assembled(cls, wanted, parts)

    @classmethod
    def join(cls, *parts: "MetaFeatures") -> "MetaFeatures":
        """The columns of all parts; their features may be in different order, that of the first is kept.

        Raises: InputError if the parts are about different features, or two columns have one name.
        """
        if not parts:
            raise InputError("join needs at least one part; got none.")
        first = parts[0].features
        return cls(
            first,
            tuple(column for part in parts for column in part.columns),
            torch.cat([part.aligned(first).values for part in parts], dim=1),
        )

    def aligned(self, features: Sequence[Hashable], *, unmatched: str = "refuse") -> "MetaFeatures":
        """The same rows in the order of `features`.

        Args:
            features: those of the model.
            unmatched: what to do with rows about other features: "refuse", or "ignore", as after feature selection.
                Numbers keep the scale that they have.

        Raises: InputError for a feature without a row, or a row that is refused.
        """
        _check_option("unmatched", unmatched, "ignore")
        wanted = as_names("features", features)
        if wanted == self.features:
            return self
        position = {name: i for i, name in enumerate(self.features)}
        other = [name for name in wanted if name not in position]
        if other or (unmatched == "refuse" and len(wanted) != len(self.features)):
            lost = [name for name in self.features if name not in set(wanted)]
            raise InputError(
                "meta-features must be about the features of the model: "
                f"{len(other)} features have none{like(other)}, {len(lost)} meta-features belong to no feature"
                f"{like(lost)}. Make them for these features: MetaFeatures.from_table(table, features=names)."
            )
        return replace(self, features=wanted, values=self.values[[position[name] for name in wanted]])

    def permuted(self, generator: torch.Generator | None = None) -> "MetaFeatures":
        """A control: the same rows given to features at random, so that no row is about its feature but by chance."""
        order = torch.randperm(len(self.features), generator=generator)
        return replace(self, values=self.values[order])

    def random(self, generator: torch.Generator | None = None) -> "MetaFeatures":
        """A control: as many columns of independent standard normal numbers."""
        columns = tuple(MetaColumn(f"random {i + 1}", f"random {i + 1}") for i in range(len(self.columns)))
        drawn = torch.randn(self.values.shape, generator=generator, dtype=torch.float32)
        return MetaFeatures(self.features, columns, drawn)


def _check_option(name: str, value: str, other: str) -> None:
    if value not in ("refuse", other):
        raise InputError(f"{name} must be one of {('refuse', other)}; got {value!r}.")


def _assembled(
    cls: type[MetaFeatures],
    features: tuple[str, ...],
    parts: Sequence[tuple[list[MetaColumn], np.ndarray, np.ndarray]],
) -> MetaFeatures:
    """Columns of all original ones, followed by indicators; one for each pattern of missing values."""
    patterns: dict[bytes, tuple[list[str], np.ndarray]] = {}
    for columns, _, missing in parts:
        if missing.any():
            patterns.setdefault(missing.tobytes(), ([], missing))[0].append(columns[0].source)
    indicators = [
        MetaColumn(
            f"{who[0]} is missing" if len(who) == 1 else f"{who[0]} and {len(who) - 1} more are missing",
            f"{who[0]} is missing",
            "missing",
        )
        for who, _ in patterns.values()
    ]
    blocks = [values for _, values, _ in parts] + [missing[:, None] for _, missing in patterns.values()]
    columns = [column for made, _, _ in parts for column in made] + indicators
    values = np.concatenate([np.asarray(block, dtype=np.float32) for block in blocks], axis=1)
    for column, numbers in zip(columns, values.T, strict=True):
        refuse_constant(column, numbers)
    return cls(features, tuple(columns), torch.from_numpy(values))
