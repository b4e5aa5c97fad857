"""What a recipe may say. Every unknown key is refused with the closest known one; every default is filled in."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rightreasons.core._closest import did_you_mean
from rightreasons.recipes import _names
from rightreasons.recipes._base import Named, Strict
from rightreasons.recipes._beliefs import Belief
from rightreasons.recipes._data import Data
from rightreasons.recipes._training import OptimizerName, Training, WeightingName


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

    weights: str | None = None
    skip: list[str] = []
    freeze: list[str] = []


class TaskName(Named):
    """A task of `rr.tasks`."""

    kind: ClassVar[str] = "task"


class PriorName(Named):
    """A prior of `rr.priors`."""

    kind: ClassVar[str] = "prior"


class AttributionName(Named):
    """An attribution method."""

    kind: ClassVar[str] = "attribution"


class Regulariser(Named):
    """A term that knows no attribution."""

    kind: ClassVar[str] = "regulariser"


class Guidance(Strict):
    """Masks, boxes or signs for each row, on disk.

    Attributes:
        masks: a folder of pictures, a CSV file of boxes or an .npy array, as `rr.data.read_masks` takes it; relative
            to the recipe.
        outside: masks surround what is relevant, so nothing outside should matter.
        of: height and width of the pictures that boxes were drawn on.
    """

    masks: str
    outside: bool = False
    of: tuple[int, int] | None = None


class TermOf(Strict):
    """A prior on an attribution, or a regulariser that knows no attribution.

    Attributes:
        prior: what is believed.
        attribution: of which maps; one that can be trained through.
        regulariser: instead of the two.
        on: what a prior on a table sees: a map of each feature, or of each original column, features added up.
        guidance: of priors that need a mask or map for each row.
        control: kind of random knowledge that replaces the prior's, new for each split; `controls` of an arm says it.
        rows: share of the rows that is penalised.
        draws: 2 for the unbiased form of a quadratic prior.
        every: penalised every so many steps.
        factor: times the arm's weight.
        schedule: of the weight over a fit: constant; a ramp from `start` times the weight, between steps `first` and
            `last`; or auto, where the weight is how large the term's gradient shall be, as a multiple of the task's,
            measured at step `at`.
    """

    prior: PriorName | None = None
    attribution: AttributionName | None = None
    regulariser: Regulariser | None = None
    on: Literal["features", "columns"] = "features"
    guidance: Guidance | None = None
    control: str | None = None
    rows: float = Field(default=1.0, gt=0, le=1)
    draws: Literal[1, 2] = 1
    every: int = Field(default=1, ge=1)
    factor: float = Field(default=1.0, gt=0)
    schedule: WeightingName = WeightingName.model_validate("constant")

    @model_validator(mode="before")
    @classmethod
    def _default_attribution(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("prior") and not given.get("attribution"):
            return {**given, "attribution": "expected_gradients"}
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> "TermOf":
        if (self.prior is None) == (self.regulariser is None):
            raise ValueError(
                "a term is either a prior (on an attribution) or a regulariser: say one of the two"
            )
        return self

    @model_validator(mode="after")
    def _trainable(self) -> "TermOf":
        if self.attribution is None or _names.differentiable(self.attribution.name):
            return self
        known = [name for name in _names.KINDS["attribution"] if _names.differentiable(name)]
        raise ValueError(
            f"the maps of {self.attribution.name!r} cannot be trained through: it replaces derivatives by rules of its "
            f"own, and explains only. Use one of {', '.join(known)}"
        )

    @model_validator(mode="after")
    def _knowledge(self) -> "TermOf":
        name = self.prior.name if self.prior else ""
        said = {"mask": "columns", "monotone": "signs", "alignment": ""}
        given = bool(self.prior and self.prior.fields.get(said.get(name, "")))
        if name in said and given == (self.guidance is not None):
            own = f"{said[name]}: of the table, or " if said[name] else ""
            raise ValueError(
                f"the prior {name!r} needs {own}guidance: with masks for each row; say one of them"
            )
        if name not in said and self.guidance is not None:
            raise ValueError(
                f"guidance is for the priors {', '.join(said)}; {name or 'a regulariser'!r} uses none"
            )
        if self.control is not None and self.control not in _names.controls(name):
            raise ValueError(
                f"{name!r} has no control {self.control!r}. {did_you_mean(self.control, _names.controls(name))}"
            )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """Files that what it believes is read from, as the recipe names them."""
        found: tuple[str, ...] = ()
        if self.prior is not None:
            made = _names.build("prior", self.prior.name, self.prior.fields)
            found = made.files() if isinstance(made, Belief) else ()
        return found if self.guidance is None else (*found, self.guidance.masks)


class PeerName(Named):
    """A classical model to compare networks with."""

    kind: ClassVar[str] = "peer"


VARIED = ("model", "optimizer")


class Arm(Strict):
    """One way to train: terms next to the task's loss, and the weights that are tried for them.

    Attributes:
        name: in results.
        description: what it is, in a sentence.
        terms: next to the task's loss.
        weights: values to try: weights of the terms, or of what is varied, or of the peer's own setting.
        model: fields of the network that are other than the recipe's.
        vary: model.FIELD or optimizer.FIELD that the weights are instead, such as model.dropout.
        peer: a classical model of tables instead of a network; weights are the strength of its penalty (lasso, ridge,
            elastic_net), its learning rate (gradient_boosting) or the share of features a node sees (random_forest).
        controls: arms to add with random knowledge of the same size: true, or kinds such as [random, degrees].
    """

    name: str = Field(min_length=1)
    description: str = ""
    terms: list[TermOf] = []
    weights: list[float] = []
    model: dict[str, Any] = {}
    vary: str | None = None
    peer: PeerName | None = None
    controls: bool | list[str] = False

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: list[float]) -> list[float]:
        if any(not 0 < w < float("inf") for w in weights) or len(set(weights)) < len(weights):
            raise ValueError(f"weights must be positive, finite and different; got {weights}")
        return sorted(weights)

    @property
    def files(self) -> tuple[str, ...]:
        """Files that its terms read, as the recipe names them."""
        return tuple(path for term in self.terms for path in term.files)

    @model_validator(mode="after")
    def _weights_for_something(self) -> "Arm":
        trained = [key for key in ("terms", "vary", "peer") if getattr(self, key)]
        if len(trained) > 1:
            raise ValueError(
                f"arm {self.name!r} has {' and '.join(trained)}, and its weights are for one: say one"
            )
        if bool(trained) != bool(self.weights):
            raise ValueError(
                f"arm {self.name!r} needs both terms and weights to try for them, or neither; instead of terms, "
                "weights may be for a peer, or for what vary names"
            )
        if self.peer is not None and self.model:
            raise ValueError(f"arm {self.name!r} is a peer and has no network, so model says nothing")
        if self.vary is not None and self.vary.partition(".")[0] not in VARIED:
            raise ValueError(
                f"vary names model.FIELD or optimizer.FIELD, such as model.dropout; got {self.vary!r}"
            )
        return self


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
        rows: how many test rows.
        examples: how many of them the page shows.
        sets: a GMT file of sets of columns in which the features on top of a learned prior are looked for.
        relevant: the columns or features that matter, where that is known: names, or a text file with one on each line.
    """

    attribution: AttributionName = AttributionName.model_validate(
        {"name": "expected_gradients", "samples": 200}
    )
    rows: int = Field(default=200, ge=1)
    examples: int = Field(default=10, ge=0)
    sets: str | None = None
    relevant: str | list[str] = []

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

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    description: str = ""
    demo: bool = False
    seed: int = Field(default=0, ge=0)
    data: Data
    task: TaskName | None = None
    model: Model
    pretrained: Pretrained = Pretrained()
    training: Training
    arms: list[Arm] = Field(min_length=1)
    trials: int | None = Field(default=None, ge=1)
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
