"""The `data:` section of a recipe."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from rightreasons import data
from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes._base import Strict
from rightreasons.recipes._limits import MOST_SPLITS, FilePath

Size = int | float | None


class Preprocess(Strict):
    """How a table is turned into numbers; fitted on the training rows of each split."""

    impute: Literal["mean", "median"] = "mean"
    indicators: bool | list[str] = False
    standardise: Literal["all", "numbers", "none"] = "all"


class Data(Strict):
    """Which rows, and how they are split: repeatedly and at random, or as a column says.

    Either `name`, a set of `rr.data`, or `path`, a file or folder of one's own relative to the recipe, which is read
    with the options of `rr.data.read`. With `split`, or folders named train and test, the test rows are those that
    the data name; then `train` and `test` have no say, and `validation` only where no validation rows are named.
    """

    READING: ClassVar[tuple[str, ...]] = (
        "target", "event", "id", "group", "split", "label", "classes", "drop", "categorical", "missing",
        "dates_since", "separator", "decimal", "thousands", "skip_unlabelled", "size", "colour", "background",
        "labels", "channels", "layer",
    )  # fmt: skip

    name: str | None = None
    path: FilePath | None = None
    target: str | list[str] | None = None
    event: str | None = None
    id: str | None = None
    group: str | None = None
    split: str | None = None
    label: Literal["class", "number"] | None = None
    classes: list[str] = []
    drop: list[str] = []
    categorical: list[str] = []
    missing: list[str] = []
    dates_since: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    skip_unlabelled: bool = False
    size: tuple[int, int] | None = None
    colour: bool | None = None
    background: str | None = None
    labels: FilePath | None = None
    channels: Literal["first", "last"] | None = None
    layer: str | None = None
    splits: int = Field(default=10, ge=1, le=MOST_SPLITS)
    train: Size = 0.6
    validation: Size = 0.2
    test: Size = None
    stratify: bool = True
    bounds: tuple[float, float] | None = None
    preprocessing: Preprocess = Preprocess()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in data.names():
            raise ValueError(f"there is no data set {name!r}. {did_you_mean(name, data.names())}")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if (self.name is None) == (self.path is None):
            raise ValueError(
                "data are either name: a set that rightreasons knows, or path: a file or folder of your own; say one "
                "of the two"
            )
        given = [key for key in self.READING if key in self.model_fields_set and getattr(self, key)]
        if self.name is not None and given:
            raise ValueError(
                f"{given[0]} is for files of your own (path); the set {self.name!r} is read as it is"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_the_other_source(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        unused = ("path", *self.READING) if self.name is not None else ("name",)
        return {key: value for key, value in handler(self).items() if key not in unused}

    @property
    def reading(self) -> dict[str, Any]:
        """The options of `rr.data.read`."""
        return {key: getattr(self, key) for key in self.READING}
