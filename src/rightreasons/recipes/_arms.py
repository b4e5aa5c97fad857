"""Arms of a recipe: terms, weights to try, and peers."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes import _names
from rightreasons.recipes._base import Named, Strict
from rightreasons.recipes._data_priors import Belief
from rightreasons.recipes._limits import LONGEST_NAME, FilePath
from rightreasons.recipes._training import WeightingName


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

    masks: FilePath
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

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
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
