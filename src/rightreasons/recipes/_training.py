"""The `training:` section of a recipe."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from rightreasons.recipes._base import Named, Strict
from rightreasons.recipes._limits import MOST_EPOCHS


class OptimizerName(Named):
    """An optimiser of torch."""

    kind: ClassVar[str] = "optimizer"


class ScheduleName(Named):
    """How the learning rate changes over a fit."""

    kind: ClassVar[str] = "schedule"


class AugmentationName(Named):
    """A change of training images, drawn anew for every row and step."""

    kind: ClassVar[str] = "augmentation"


class EngineName(Named):
    """How gradients of attributions reach the weights."""

    kind: ClassVar[str] = "engine"


class WeightingName(Named):
    """How the weight of a term changes over a fit."""

    kind: ClassVar[str] = "weighting"


class Training(Strict):
    """How each fit is trained: the same for every arm.

    Attributes:
        epochs: passes over the training rows.
        batch_size: rows of a step; None: all.
        optimizer: adam, adamw, sgd or rmsprop, with the fields of torch's.
        schedule: of the learning rate, by step: constant (for a warm-up), linear, cosine, exponential, steps,
            one_cycle; or plateau, by the validation loss of each epoch.
        patience: early stopping: epochs without a better validation score before a fit ends. Whether or not, the
            best epoch's weights are kept.
        clip: largest gradient norm.
        accumulate: batches whose gradients are averaged for one step of the optimiser.
        drop_last: leave out the last partial batch of an epoch.
        augment: changes of training images, one after the other: shift, flip.
        precision: of numbers while training: single, bfloat16 in the network only, or double.
        engine: double_backprop, or recompute, whose memory does not grow with draws.
        standardise_labels: of regression: networks and linear peers are trained on (label - mean) / standard
            deviation, both of the training rows; what comes out predicts in the label's own units.
        seed: of initial weights, order of rows and draws; None: the recipe's. Splits depend on the recipe's alone.
        checkpoint_every: steps between checkpoints, from which a killed fit goes on; None: it begins anew.
    """

    DECIDE_NOTHING: ClassVar[set[str]] = {"checkpoint_every", "seed"}
    """Results do not depend on these, but on the seed of each fit."""

    epochs: int = Field(ge=1, le=MOST_EPOCHS)
    batch_size: int | None = Field(default=None, ge=1)
    optimizer: OptimizerName = OptimizerName.model_validate("adam")
    schedule: ScheduleName | None = None
    patience: int | None = Field(default=None, ge=1)
    clip: float | None = Field(default=None, gt=0)
    accumulate: int = Field(default=1, ge=1, le=1_000_000)
    drop_last: bool = False
    augment: list[AugmentationName] = []
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    engine: EngineName = EngineName.model_validate("double_backprop")
    standardise_labels: bool = False
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    checkpoint_every: int | None = Field(default=None, ge=1)

    @field_validator("optimizer", mode="before")
    @classmethod
    def _adam_unless_said(cls, given: Any) -> Any:
        return {"name": "adam", **given} if isinstance(given, dict) else given

    @field_validator("augment", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return [given] if isinstance(given, str | dict) else given
