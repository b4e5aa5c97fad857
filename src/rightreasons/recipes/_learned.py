"""Learned priors in recipes: meta-features from tables, sets and training rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons import data, priors
from rightreasons.core._errors import DataError, InputError, RecipeError
from rightreasons.core._sparse_rows import columns_in_blocks
from rightreasons.data.readers._csv import csv_frame
from rightreasons.priors import LearnedPrior, MetaFeatures
from rightreasons.priors.learned._names import like
from rightreasons.recipes._data_priors import Belief, GraphLaplacian, Known, Wrong
from rightreasons.recipes._limits import FilePath

Statistic = Literal["mean", "sd", "missing"]


@dataclass(frozen=True)
class Learned(Belief):
    """`priors.LearnedPrior` with meta-features in files.

    Args:
        meta_features: a CSV file whose first column names columns (or features) of the data, each other one a
            meta-feature. All features made from a column share its row.
        statistics: of the training rows of each split, before preprocessing, that are meta-features too: "mean" and
            "sd" of numbers (of categories they are missing), and "missing", the share of rows without a value.
        sets: a GMT file of sets of columns, such as pathways; membership is a meta-feature each.
        edges: a CSV file as for `GraphLaplacian`; where a feature lies in that graph are meta-features.
        smallest: sets with fewer members among the features are left out.
        largest: sets with more members are; None: those with all features.
        categorical: meta-features whose numbers stand for categories.
        unmatched: "refuse" rows and edges of columns that the data do not have, or "ignore" them.
        absent: "refuse" features without a row, or "impute" their values as missing.
        network: "linear", "mlp", "constant" or "zero".
        signed: compare attributions with their signs.
        distance: "l1" or "l2".
        level: "sample" or "global".
        lr: learning rate of the prior's network; None: that of the model.
        weight_decay: of the prior's network.
    """

    meta_features: FilePath | None = None
    statistics: list[Statistic] | tuple[Statistic, ...] = ()
    sets: FilePath | None = None
    edges: FilePath | None = None
    smallest: int = 1
    largest: int | None = None
    categorical: list[str] | tuple[str, ...] = ()
    unmatched: Literal["refuse", "ignore"] = "refuse"
    absent: Literal["refuse", "impute"] = "refuse"
    network: Literal["linear", "mlp", "constant", "zero"] = "linear"
    signed: bool = True
    distance: Literal["l1", "l2"] = "l1"
    level: priors.Level = "sample"
    lr: float | None = None
    weight_decay: float = 0.0

    controls: ClassVar[Mapping[str, str]] = {
        "permuted": "permuted meta-features",
        "random": "random meta-features",
        "zero": "g = 0",
        "constant": "constant g",
    }
    all_controls: ClassVar[bool] = True

    def files(self) -> tuple[str, ...]:
        """See `Belief`."""
        return tuple(path for path in (self.meta_features, self.sets, self.edges) if path is not None)

    @property
    def options(self) -> dict[str, float]:
        """What an optimizer is told of the parameters of the prior's network."""
        return {"weight_decay": self.weight_decay} | ({} if self.lr is None else {"lr": self.lr})

    def prior(self, known: Known, wrong: Wrong | None = None) -> Any:
        """See `Belief`; controls are those of `priors.controls`."""
        if not known.features:
            raise RecipeError("learned: meta-features are of columns, and the data have none: no table.")
        if not (self.files() or self.statistics):
            raise RecipeError(
                "learned needs meta_features: FILE, sets: FILE, edges: FILE, or statistics: [mean, sd]."
            )
        try:
            meta = MetaFeatures.join(*self._parts(known))
        except InputError as error:
            raise RecipeError(f"learned: {error}") from error
        if wrong is not None and wrong.kind == "permuted":
            meta = meta.permuted(wrong.generator)
        if wrong is not None and wrong.kind == "random":
            meta = meta.random(wrong.generator)
        network = wrong.kind if wrong is not None and wrong.kind in ("zero", "constant") else self.network
        with torch.random.fork_rng(devices=[]):  # the same first weights in every arm
            torch.manual_seed(0)
            return LearnedPrior(meta, network, self.signed, self.distance, self.level)

    def _parts(self, known: Known) -> list[MetaFeatures]:
        owner = {known.features[i]: name for name, members in known.columns.items() for i in members}
        parts = []
        if self.meta_features is not None:
            parts.append(self._of_table(_table(known.path(self.meta_features)), known, owner))
        if self.statistics:
            parts.append(self._of_rows(known, owner))
        if self.edges is not None:
            unknown = "drop" if self.unmatched == "ignore" else "refuse"
            graph = GraphLaplacian(edges=self.edges, unknown=unknown).graph_of(known)
            parts.append(MetaFeatures.from_graph(graph, known.features))
        if self.sets is not None:
            found = {name: set(members) for name, members in data.read_gmt(known.path(self.sets)).items()}
            named = {
                name: [*members, *(f for f in known.features if owner[f] in members)]
                for name, members in found.items()
            }
            size = {"smallest": self.smallest, "largest": self.largest}
            parts.append(MetaFeatures.from_sets(named, known.features, **size))
        return parts

    def _of_table(self, frame: Any, known: Known, owner: Mapping[str, str]) -> MetaFeatures:
        """A feature's own row, or that of the column it was made from."""
        rows = set(frame.index)
        row_of = {f: f if f in rows else owner[f] for f in known.features}
        there = [f for f in known.features if row_of[f] in rows]
        about = set(row_of.values())
        others = [row for row in frame.index if row not in about]
        if others and (self.unmatched == "refuse" or not there):
            raise RecipeError(
                f"learned: {len(others)} rows of {self.meta_features} are about no column of the data"
                f"{like(others, list(row_of.values()))}. Correct them, or say unmatched: ignore."
            )
        return MetaFeatures.from_table(
            frame.loc[[row_of[f] for f in there]],
            known.features,
            names=there,
            categorical=list(self.categorical),
            absent=self.absent,
        )

    def _of_rows(self, known: Known, owner: Mapping[str, str]) -> MetaFeatures:
        """Statistics of the column that each feature was made from."""
        if known.rows is None:
            raise RecipeError("learned: statistics are of rows, and there are none.")
        rows = known.rows()
        found = _statistics(rows)
        position = {column.name: i for i, column in enumerate(rows.columns)}
        of = [position[owner[feature]] for feature in known.features]
        table = {f"{name} in training": found[name][of].tolist() for name in self.statistics}
        return MetaFeatures.from_table(table, known.features, names=known.features)


def _statistics(rows: data.DataSet) -> Mapping[Statistic, Float[Tensor, " columns"]]:
    """NaN where there is none: mean and spread of categories, and of columns without a value."""
    found = []
    for block, values in columns_in_blocks(rows.x):
        x = values.double()
        missing = x.isnan().double().mean(0)
        x[:, [bool(rows.columns[i].levels) for i in block]] = torch.nan
        mean = x.nanmean(0)
        found.append(torch.stack([mean, (x - mean).square().nanmean(0).sqrt(), missing]))
    mean, sd, missing = torch.cat(found, 1)
    return {"mean": mean, "sd": sd, "missing": missing}


def _table(path: Any) -> Any:
    """The frame, with names as they are written: 007 is no number, NA not missing."""
    try:
        frame = csv_frame(path)
        names = csv_frame(path, dtype=str, keep_default_na=False)
    except DataError as error:
        raise RecipeError(f"learned: {error}") from error
    first, *others = frame.columns
    frame = frame[others].set_axis(names[first].str.strip())
    twice = frame.index[frame.index.duplicated()].tolist()
    if not len(frame.columns) or twice:
        got = f"{twice[0]!r} twice" if twice else "no other column"
        raise RecipeError(
            f"learned: {path} must name each column of the data once, in its first column, with a meta-feature of a "
            f"name of its own in each other one; got {got}."
        )
    return frame
