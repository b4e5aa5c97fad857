"""A finished run as report sections read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from rightreasons.recipes import Recipe
from rightreasons.report._style import Look, looks
from rightreasons.report._words import metric_name
from rightreasons.runs import RunDirectory
from rightreasons.runs.setup._build import task_of, weighed

Kind = Literal["table", "images", "sequences", "text", "numbers"]
Arrays = dict[str, np.ndarray]
_NAMED = 12
"""Classes that are listed by name in a sentence."""

_MAPS_OF: Mapping[Kind, str] = {
    "table": "row", "images": "image", "sequences": "sequence", "text": "text", "numbers": "row",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Source:
    """A finished run, read once.

    Args:
        run: its directory.
        recipe: as it was run.
        metrics: its summary.
    """

    run: RunDirectory
    recipe: Recipe
    metrics: dict[str, Any]
    _read: dict[tuple[str, str], Arrays] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, run: RunDirectory) -> "Source":
        """Read a run directory.

        Raises: DataError or RecipeError if it does not hold a finished run.
        """
        return cls(run, run.recipe(), run.metrics())

    @cached_property
    def styles(self) -> dict[str, Look]:
        """Look of each arm."""
        return looks(self.names, self.metrics["reference"])

    @property
    def arms(self) -> list[dict[str, Any]]:
        """Results of each arm."""
        return self.metrics["arms"]

    @property
    def explained_arms(self) -> list[dict[str, Any]]:
        """Those whose models have attributions; decision trees have none."""
        return [arm for arm in self.arms if None not in arm["gini"]]

    @property
    def names(self) -> list[str]:
        """Names of the arms."""
        return [arm["name"] for arm in self.arms]

    @property
    def headline(self) -> str:
        """The metric arms are compared by, as in a sentence."""
        return metric_name(self.metrics["headline"])

    @property
    def confidence(self) -> str:
        """Of every interval."""
        return f"{self.recipe.compare.confidence:.0%}"

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.recipe.task.name if self.recipe.task else ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the classes or labels; empty where the outputs are none."""
        data = self.metrics["data"]
        if self.task == "multilabel":
            fields = self.recipe.task.fields if self.recipe.task else {}
            return tuple(data.get("labels") or [f"label {i}" for i in range(int(fields.get("labels", 0)))])
        return tuple(data["classes"])

    @property
    def label(self) -> str:
        """The columns that hold what is predicted, in quotation marks; empty where the data are a set or pictures."""
        target = self.recipe.data.target if self.recipe.data.path else None
        columns = [target] if isinstance(target, str) else target or []
        return ", ".join(f"“{column}”" for column in columns)

    @property
    def kind(self) -> Kind:
        """What an input is."""
        data = self.metrics["data"]
        if self.metrics["features"]:
            return "table"
        if data.get("vocabulary"):
            return "text"
        return {3: "images", 2: "sequences"}.get(len(data["shape"]), "numbers")  # pyright: ignore[reportReturnType]

    @property
    def features(self) -> Sequence[str]:
        """Names of what an importance is known of: columns, words, inputs; none for images and sequences."""
        data = self.metrics["data"]
        if self.kind == "numbers" and len(data["shape"]) == 1:
            return [f"input {i}" for i in range(data["shape"][0])]
        return self.metrics["features"] or [word or "(padding)" for word in data.get("vocabulary", ())]

    def maps(self, arm: Mapping[str, Any], split: int = 0) -> Arrays:
        """Attributions of the fit an arm chose on a split."""
        return self._arrays("maps", arm, split)

    def predictions(self, arm: Mapping[str, Any], split: int = 0) -> Arrays:
        """Outputs on test rows of the fit an arm chose on a split."""
        return self._arrays("predictions", arm, split)

    @property
    def weighed(self) -> bool:
        """Whether classes or labels count differently in the loss."""
        fields = self.recipe.task.fields if self.recipe.task else {}
        return bool(fields.get("weights") or fields.get("positive_weights"))

    def unweighted(self, saved: Arrays) -> np.ndarray:
        """Outputs of a predictions file, the effect of class weights taken out."""
        if not self.weighed:
            return saved["outputs"]
        task: Any = weighed(task_of(self.recipe), saved)
        return task.unweighted(torch.from_numpy(saved["outputs"])).numpy()

    def _arrays(self, what: str, arm: Mapping[str, Any], split: int) -> Arrays:
        place = what, arm["chosen"][split]["key"]
        if place not in self._read:
            self._read[place] = getattr(self.run, what)(place[1])
        return self._read[place]

    @property
    def output(self) -> str:
        """Which output maps explain."""
        fields = self.recipe.explain.attribution.fields
        name = str(fields.get("output", "logit")).replace("_", " ")
        if self.task == "multilabel":
            return f"the {name} of one label for each row, of those it carries in turn"
        if len(self.outputs) > 2:
            return f"the {name} of the {_MAPS_OF[self.kind]}’s true class"
        if len(self.outputs) == 2:
            return f"the {name} of “{self.outputs[1]}”, the network’s only output"
        if self.task == "survival":
            return "the log-hazard, the network’s only output: above zero means more risk"
        return "the predicted value, the network’s only output"

    @property
    def rows_explained(self) -> str:
        """How many test rows are explained, and of classes how many of each, fewest to most over the splits."""
        saved = [self.maps(self.explained_arms[0], split)["y"] for split in range(self.metrics["splits"])]
        counted = f"{len(saved[0])} of {self.metrics['rows']['test']} test rows"
        if self.task == "survival":
            names, labels = ("without the event", "with it"), [y[:, 1] for y in saved]
        elif self.task in ("binary", "multiclass"):
            names, labels = self.outputs, saved
        else:
            return counted
        counts = np.stack([np.bincount(y.astype(np.int64), minlength=len(names)) for y in labels])
        low, high = counts.min(0), counts.max(0)
        if len(names) > _NAMED:
            return f"{counted}, {low.min()} to {high.max()} of each class"
        listed = (
            f"{name} {a}" + (f" to {b}" if b > a else "") for name, a, b in zip(names, low, high, strict=True)
        )
        return f"{counted} ({', '.join(listed)})"

    @property
    def explained(self) -> str:
        """Method and output, as a sentence."""
        named = self.recipe.explain.attribution
        method, samples = named.name.replace("_", " ").capitalize(), named.fields.get("samples")
        draws = f", {samples} draws for each row, references from the training rows" if samples else ""
        at = named.fields.get("at")
        vectors = (
            ", the entries of each position’s vector added up" if self.kind in ("text", "sequences") else ""
        )
        where = f", at the layer {at}{vectors}" if at else ""
        return f"{method} of {self.output}{draws}{where}."
