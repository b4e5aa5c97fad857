"""Load a trained network with its preprocessing and task."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from rightreasons import attribution, data, tasks
from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._disk import digest_of
from rightreasons.core.model._memory import within_memory
from rightreasons.recipes import Recipe
from rightreasons.recipes._arms import AttributionName
from rightreasons.recipes._read import attribution_named
from rightreasons.runs.execution._fit import arm_of, outputs_of, saved_model
from rightreasons.runs.execution._trainers import way_of
from rightreasons.runs.results._files import RunDirectory
from rightreasons.runs.results._manifest import AGAIN
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import Parts, digests_of
from rightreasons.runs.setup._datasets import parts as parts_of
from rightreasons.runs.setup._terms import attribution_of

_OF_TRAINING = ("drop", "categorical", "group", "split", "skip_unlabelled")
_FORM = "Pass data of the form it was trained on."
_OF_LIST = ("labels", "id", "target", "event", "label")  # of images, in a file that names them
_OF_LABELS = ("target", "event", "label", "classes")


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """The network that an arm of a run chose on one split.

    Attributes:
        run: the directory.
        recipe: as it was run.
        arm: which way of training.
        split: which split of the data.
        model: in eval mode.
        task: what its outputs mean.
        preprocessing: how a table becomes its inputs; None for other data.
        about: what the data were, as in metrics.json.
        key: under which what was measured of it is kept.
    """

    run: RunDirectory
    recipe: Recipe
    arm: str
    split: int
    model: nn.Module
    task: tasks.Task
    preprocessing: data.Preprocessing | None
    about: dict[str, Any]
    key: str

    @cached_property
    def kept(self) -> dict[str, np.ndarray]:
        """What was kept of its training: digests of the rows it has seen, weights of classes, the baseline hazard.

        Raises: DataError if the file is gone or damaged.
        """
        return self.run.predictions(self.key)

    @cached_property
    def parts(self) -> Parts:
        """The rows it was trained on, chosen by and tested on, as it sees them.

        Raises: DataError if the data are no longer there, or no longer what they were.
        """
        for key, path in material.files_of(self.recipe).items():
            if digest_of(path) != self.recipe.files.get(key):
                raise DataError(
                    f"{path} has changed since this run, so its splits would be others. Put the file back, or "
                    "pass other data."
                )
        return parts_of(self.recipe, self.split)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty if the label is none."""
        return tuple(self.about["classes"])

    @property
    def outputs_named(self) -> tuple[str, ...]:
        """Names of the classes, or of the labels where there are several."""
        return self.classes or tuple(self.about["labels"])

    def read(
        self,
        source: str | Path | data.DataSet,
        *,
        labelled: bool = True,
        target: str | None = None,
        id: str | None = None,
        unseen: Literal["refuse", "zero"] = "refuse",
        skip_unlabelled: bool = False,
    ) -> data.DataSet:
        """Data as the network sees them: the training's reading options, preprocessing and bounds.

        Columns are found by name, in any order; others are left out.

        Args:
            source: a file or folder of the form the recipe read, the name of a data set, or raw data.
            labelled: whether labels are read.
            target: column of the label, where it has another name than in training.
            id: column that names the rows, likewise.
            unseen: whether a category that training did not have is refused, or taken for a missing value.
            skip_unlabelled: leave out rows of a table that have no label.

        Raises: DataError for what cannot be read, a missing column, or a category unknown in training.
        """
        if isinstance(source, data.DataSet):
            found = source
        elif str(source) in data.names():
            found = data.load(str(source))
        else:
            said = {"target": target, "id": id, "skip_unlabelled": skip_unlabelled or None}
            found = data.read(source, **self._reading(source, labelled, said))
        if not labelled and found.labelled:  # folders of new images need not be the classes
            found = replace(found, y=torch.full((len(found),), torch.nan), classes=(), labels=())
        bounds = self.recipe.data.bounds
        if bounds is not None and found.bounds is not None and found.bounds != bounds:
            found = data.rescale(found, bounds)
        found = self._as_named(found)
        if self.preprocessing is not None:
            if not found.columns:
                raise DataError(
                    f"{self.run.path} was trained on a table, and {found.name!r} is none. {_FORM}"
                )
            return self.preprocessing(found, unseen=unseen)
        wanted, got = tuple(self.about["form"]["shape"]), tuple(found.x.shape[1:])
        if wanted != got:
            raise DataError(
                f"The network of {self.run.path} takes rows of shape {wanted}, and {found.name!r} has rows of {got}. "
                f"{_FORM}"
            )
        return found

    def _as_named(self, found: data.DataSet) -> data.DataSet:
        """Classes numbered as in training; words must stand for the same numbers already.

        Raises: DataError for a class that training did not have, or other words.
        """
        words = tuple(self.about["vocabulary"])
        if words and found.vocabulary and found.vocabulary != words:
            raise DataError(
                f"Numbers stand for other words in {found.name!r} than in the training of {self.run.path}. {_FORM}"
            )
        ours, theirs = self.classes, found.classes
        if not ours or not theirs or ours == theirs or not found.labelled:
            return found
        new = [name for name in theirs if name not in ours]
        if new:
            raise DataError(
                f"{found.name!r} has the class {new[0]!r}, which training did not have. {did_you_mean(new[0], ours)}"
            )
        number = torch.tensor([ours.index(name) for name in theirs], dtype=found.y.dtype)
        return replace(found, y=number[found.y], classes=ours)

    def method(
        self, named: str | Mapping[str, Any] | AttributionName | None = None
    ) -> attribution.Attribution:
        """An attribution method by its name in recipes; training rows are its references where it takes any.

        Args:
            named: a name, or one with fields; None: the method of the recipe.

        Raises:
            InputError: a name or field that is not there, or one that needs others, or an arm whose model has no
                attributions.
        """
        if not way_of(arm_of(self.recipe, self.arm)).explains:
            others = [arm.name for arm in self.recipe.arms if way_of(arm).explains]
            raise InputError(
                f"{self.run.path}: arm {self.arm!r} is made of decision trees, which have no gradient and so no "
                f"attributions. Explain another arm (--arm): {', '.join(map(repr, others)) or 'there is none'}."
            )
        if named is None:
            named = self.recipe.explain.attribution
        elif not isinstance(named, AttributionName):
            named = attribution_named(named)
        needs_rows = named.fields.get("references") == "train"
        return attribution_of(named, self.parts.train.x if needs_rows else torch.empty(0))

    @within_memory("predicting", "Predict a part of the rows at a time.")
    def predict(self, rows: data.DataSet, *, times: Sequence[float] = ()) -> dict[str, list[Any]]:
        """What it says about each row, in columns: the rows' ids if they have any, then as `tasks.predictions`.

        Of survival also the median and S(t), with the baseline hazard of the training rows, see `tasks.Baseline`.

        Args:
            rows: as `read` returns them.
            times: at which survival is predicted; none: the quartiles of the times of events in training.

        Raises: InputError for times of another task, or beyond the longest observation in training.
        """
        ids: dict[str, list[Any]] = {"id": list(rows.ids)} if rows.ids else {}
        outputs = self.outputs(rows.x)
        found = ids | tasks.predictions(self._weighed, outputs, self.outputs_named)
        if isinstance(self.task, tasks.Survival):
            return found | self.baseline.predictions(outputs, times)
        if times:
            raise InputError(
                f"times are for survival; {self.run.path} is about another task. Leave times out."
            )
        return found

    @property
    def baseline(self) -> tasks.Baseline:
        """Baseline hazard of a survival network, of its training rows.

        Raises: DataError if the run is of an earlier version, which kept none.
        """
        times, hazard = (torch.from_numpy(self._kept(f"baseline_{each}")) for each in ("times", "log_hazard"))
        return tasks.Baseline(times, hazard, float(self._kept("longest")))

    @property
    def _weighed(self) -> tasks.Task:
        """The task, with the weights that balanced classes had in training."""
        asked = self.recipe.task.fields if self.recipe.task else {}
        return material.weighed(self.task, self.kept) if "balanced" in asked.values() else self.task

    def _kept(self, name: str) -> np.ndarray:
        if name not in self.kept:
            raise DataError(
                f"{self.run.predictions_file(self.key)} holds no {name!r}: an earlier version made it. Run the recipe "
                "again."
            )
        return self.kept[name]

    def seen(self, rows: data.DataSet) -> Bool[Tensor, " N"]:
        """Which rows, as `read` returns them, it was trained on or chosen by: those with the same inputs and label.

        Raises: DataError if the run is of an earlier version, which kept no digests of its rows.
        """
        return torch.from_numpy(np.isin(digests_of(rows), self._kept("seen")))

    @within_memory("evaluating", "Evaluate a part of the rows at a time.")
    def evaluate(self, rows: data.DataSet) -> dict[str, float]:
        """The task's metrics on rows with known labels, as `read` returns them.

        Rows that it was trained on flatter it; `seen` says which these are.

        Raises: DataError if the labels are not known.
        """
        if not rows.labelled:
            raise DataError(
                f"{rows.name!r} has no labels to compare with. Say which column they are in: target=COLUMN "
                "(--target), or use predict."
            )
        return self._weighed.metrics(self.outputs(rows.x), rows.y)

    def outputs(self, x: Tensor) -> Tensor:
        """Outputs of the network in eval mode, in pieces of bounded memory; x as `read` returns it."""
        return outputs_of(self.model, x)

    def _reading(self, source: str | Path, labelled: bool, said: Mapping[str, Any]) -> dict[str, Any]:
        """Options of `data.read` for new data, from those of the training data."""
        known = data.options(source)
        folder, table = "size" in known, "drop" in known
        if (folder and self.preprocessing is not None) or (table and self.preprocessing is None):
            ours = "a table" if folder else f"rows of shape {tuple(self.about['form']['shape'])}"
            theirs = "a folder of images" if folder else "a table"
            raise DataError(f"{self.run.path} was trained on {ours}, and {source} is {theirs}. {_FORM}")
        asked = {key: value for key, value in self.recipe.data.reading.items() if key not in _OF_TRAINING}
        asked |= {key: value for key, value in said.items() if value is not None}
        asked |= {"like": self.preprocessing, "classes": self.classes}
        if folder and not (labelled and (Path(source) / (asked.get("labels") or "")).is_file()):
            asked = {key: value for key, value in asked.items() if key not in _OF_LIST}
        if folder and self.about["form"]["shape"][0] == 3:
            asked["colour"] = True  # also where the new images, or a piece of them, are all grey
        if isinstance(
            asked.get("target"), str
        ):  # few whole numbers are no classes where training had a quantity
            asked["label"] = "class" if self.classes else "number"
        if not labelled:
            asked = {key: value for key, value in asked.items() if key not in _OF_LABELS}
        return {key: asked[key] for key in known if asked.get(key) is not None}


@checked
def load(
    run: str | Path,
    *,
    arm: str | None = None,
    split: int = 0,
    explains: bool = False,
    trust: bool = False,
    code: str | Path = ".",
) -> Trained:
    """The network an arm of a finished run chose on one split; the data it was trained on need not be there.

    Args:
        run: the run directory.
        arm: name of the arm; None: the one with the best mean validation score. Test rows play no part.
        split: which split's network.
        explains: where no arm is named, only among those whose models have attributions; decision trees have none.
        trust: run the code that a recipe with `module:factory` names. Without it, nothing of a run is executed.
        code: folder that such code is imported from.

    Raises:
        DataError: no finished run, or damaged files.
        InputError: no such arm or split.
        RecipeError: the run needs code and is not trusted.
    """
    directory = RunDirectory.open(run)
    metrics, recipe = directory.metrics(), directory.recipe()
    if trust:
        recipe = recipe.model_copy(update={"code": str(code)})
    arm = _best_arm(metrics, recipe, explains) if arm is None else arm
    names = [each["name"] for each in metrics["arms"]]
    if arm not in names:
        raise InputError(f"{run} has no arm {arm!r}. {did_you_mean(arm, names)}")
    if not 0 <= split < metrics["splits"]:
        raise InputError(f"{run} has splits 0 to {metrics['splits'] - 1}; got {split}.")
    about = metrics["data"]
    chosen = next(each for each in metrics["arms"] if each["name"] == arm)["chosen"][split]
    form = material.Form(tuple(about["form"]["shape"]), about["form"]["outputs"], about["form"]["vocabulary"])
    model = saved_model(recipe, arm, chosen["weight"], form, directory, chosen["id"])
    return Trained(
        directory,
        recipe,
        arm,
        split,
        model,
        material.task_of(recipe),
        _preprocessing(directory, split),
        about,
        chosen["key"],
    )


def _best_arm(metrics: dict[str, Any], recipe: Recipe, explains: bool) -> str:
    sign = 1 if metrics["higher_is_better"] else -1
    able = [arm for arm in metrics["arms"] if way_of(arm_of(recipe, arm["name"])).explains]
    among = able if explains and able else metrics["arms"]
    return max(among, key=lambda arm: sign * mean(each["validation"] for each in arm["chosen"]))["name"]


def passed_over(run: str | Path) -> str | None:
    """The arm that scored best, if it has no attributions, so that `load(run, explains=True)` takes another."""
    directory = RunDirectory.open(run)
    metrics, recipe = directory.metrics(), directory.recipe()
    best, explained = (_best_arm(metrics, recipe, explains) for explains in (False, True))
    return None if best == explained else best


def _preprocessing(directory: RunDirectory, split: int) -> data.Preprocessing | None:
    file = directory.preprocessing_file
    text = directory.manifest.read(file)
    try:
        saved = json.loads(text)[split]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{file} is gone or damaged: it holds no preprocessing. {AGAIN}") from error
    return None if saved is None else data.Preprocessing.from_json(json.dumps(saved))
