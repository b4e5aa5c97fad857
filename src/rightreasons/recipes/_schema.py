"""The schema of recipes, as pydantic models."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes._arms import Arm, AttributionName
from rightreasons.recipes._base import Named, Strict
from rightreasons.recipes._data import Data
from rightreasons.recipes._limits import LONGEST_NAME, MOST_FITS, MOST_TRIALS, FilePath
from rightreasons.recipes._training import OptimizerName, Training


class Model(Named):
    """A network of `rr.models`, or `module:factory` for one of one's own, whose code checks its fields itself."""

    kind: ClassVar[str] = "model"

    @classmethod
    def _fields_of(cls, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        return fields if ":" in name else super()._fields_of(name, fields)

    @property
    def is_code(self) -> bool:
        """Whether building it runs code of the recipe's author."""
        return ":" in self.name


class Pretrained(Strict):
    """Weights that training starts from instead of random ones, and parts that stay as they are.

    Attributes:
        weights: a safetensors file, relative to the recipe; None: only freeze.
        skip: names or patterns of what is not taken from the file, such as "head".
        freeze: names or patterns of what is not trained.
    """

    weights: FilePath | None = None
    skip: list[str] = []
    freeze: list[str] = []


class TaskName(Named):
    """A task of `rr.tasks`."""

    kind: ClassVar[str] = "task"


class Select(Strict):
    """How one weight is chosen from the trials of a split, on validation rows.

    "best": the best score. "largest_within": the largest weight whose score is within `within` of the best.
    """

    rule: Literal["best", "largest_within"] = "best"
    within: float = Field(default=0.01, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"rule": given}
        if isinstance(given, dict) and set(given) == {"largest_within"}:
            return {"rule": "largest_within", "within": given["largest_within"]}
        return given


class Explain(Strict):
    """How the chosen models are explained, on rows of the test part, and what learned priors are held against.

    Attributes:
        attribution: the method.
        rows: how many test rows, drawn by class.
        examples: how many of them the page shows.
        sets: a GMT file of sets of columns in which the features on top of a learned prior are looked for.
        relevant: the columns or features that matter, where that is known: names, or a text file with one on each line.
    """

    attribution: AttributionName = AttributionName.model_validate(
        {"name": "expected_gradients", "samples": 200}
    )
    rows: int = Field(default=200, ge=1, le=1_000_000_000)
    examples: int = Field(default=10, ge=0, le=1000)
    sets: FilePath | None = None
    relevant: FilePath | list[str] = []

    @property
    def files(self) -> tuple[str, ...]:
        """Files that results are held against, as the recipe names them."""
        return tuple(path for path in (self.sets, self.relevant) if isinstance(path, str))


class Noise(Strict):
    """Levels of noise the chosen models are tested under (images)."""

    gaussian: list[float] = []
    salt_and_pepper: list[float] = []


class Compare(Strict):
    """How arms are compared.

    Attributes:
        against: the arm all others are compared with; None: the first.
        confidence: of every interval.
        margin: smallest difference of the headline metric worth having: "does not help" is said only where the
            interval excludes any gain above it.
    """

    against: str | None = None
    confidence: float = Field(default=0.95, gt=0, lt=1)
    margin: float = Field(default=0.01, ge=0)


class Recipe(Strict):
    """A comparison of arms, complete: the same recipe gives the same results.

    Attributes:
        loggers: where the learning curves of each fit go while it is trained: csv to logs/<fit>.csv in the run
            directory, tensorboard to logs/tensorboard/<fit>.
        folder: what paths in the recipe are relative to; `read` fills in the recipe's own.
        files: digests of the files that results depend on, filled in when a run starts.
        resolved: versions, seeds and times, filled in when a run starts.
        code: folder that `module:factory` is imported from. No recipe can say it: code runs only where its owner
            asks for it.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)
    title: str = ""
    description: str = ""
    demo: bool = False
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: Data
    task: TaskName | None = None
    model: Model
    pretrained: Pretrained = Pretrained()
    training: Training
    arms: list[Arm] = Field(min_length=1)
    trials: int | None = Field(default=None, ge=1, le=MOST_TRIALS)
    select: Select = Select()
    explain: Explain = Explain()
    loggers: list[Literal["csv", "tensorboard"]] = []
    noise: Noise = Noise()
    compare: Compare = Compare()
    folder: str | None = None
    files: dict[str, str] = {}
    resolved: dict[str, Any] | None = None
    code: str | None = Field(default=None, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _says_no_code(cls, given: Any) -> Any:
        if isinstance(given, dict) and "code" in given:
            raise ValueError("a recipe cannot say where code is imported from; use --code DIR")
        return given

    @model_validator(mode="after")
    def _fair(self) -> "Recipe":
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms must have different names; got {names}")
        for arm in self.arms:
            for weight in arm.weights or [None]:
                self.of(arm, weight)
        counts = {arm.name: len(arm.weights) for arm in self.arms if arm.weights}
        if self.trials is not None:
            counts["trials"] = self.trials
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"every arm must have the same number of trials, else one is luckier; got {counts}"
            )
        fits = len(self.arms) * self.trials_per_arm * self.data.splits
        if fits > MOST_FITS:
            raise ValueError(
                f"{len(self.arms)} arms, {self.trials_per_arm} trials and {self.data.splits} splits are {fits:,} fits, "
                f"and {MOST_FITS:,} are the most; lower data.splits, or the number of weights"
            )
        against, whole = self.compare.against, not any(arm.controls for arm in self.arms)
        if whole and against is not None and against not in names:  # else controls become arms first
            raise ValueError(f"compare.against names no arm: {against!r}. {did_you_mean(against, names)}")
        return self

    def of(self, arm: Arm, weight: float | None) -> "Recipe":
        """The recipe with the model and the optimizer that an arm has at one weight.

        Raises: ValueError naming the field, and the closest one if there is none of that name.
        """
        kind, _, field = (arm.vary or "").partition(".")
        varied = {field: weight} if arm.vary is not None and weight is not None else {}
        model = self.model
        if arm.model or kind == "model":
            same = arm.model.get("name", model.name) == model.name
            fields = {"name": model.name, **(model.fields if same else {}), **arm.model}
            model = Model.model_validate(fields | (varied if kind == "model" else {}))
        training = self.training
        if kind == "optimizer":
            changed = {"name": training.optimizer.name, **training.optimizer.fields, **varied}
            training = training.model_copy(update={"optimizer": OptimizerName.model_validate(changed)})
        return self.model_copy(update={"model": model, "training": training})

    @property
    def names_files(self) -> bool:
        """Whether it names files of one's own, which lie relative to its folder."""
        own = (self.data.path, self.pretrained.weights, self.explain.files, *(arm.files for arm in self.arms))
        return any(own)

    def path_of(self, path: str) -> Path:
        """A path of the recipe, relative to its folder."""
        return Path(self.folder or ".") / Path(path).expanduser()

    @property
    def trials_per_arm(self) -> int:
        """Fits of each arm on each split: one for each weight, or as many initialisations."""
        return self.trials or max([len(arm.weights) for arm in self.arms] + [1])

    @property
    def reference(self) -> str:
        """The arm all others are compared with."""
        return self.compare.against or self.arms[0].name
