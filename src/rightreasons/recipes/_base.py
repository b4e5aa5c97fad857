"""Base models of recipes: unknown keys are refused, named values bring their fields."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from rightreasons.core._suggest import did_you_mean
from rightreasons.recipes import _names
from rightreasons.recipes._limits import require_no_truth_value


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        for key in given if isinstance(given, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"there is no key {key!r} here. {did_you_mean(str(key), cls.model_fields)}")
            require_no_truth_value(key, given[key], cls.model_fields[key].annotation)
        return given


class Named(BaseModel):
    """A name with the fields of what it names; a bare name is short for one with all defaults."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: ClassVar[str] = ""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, given: Any) -> Any:
        given = {"name": given} if isinstance(given, str) else given
        if not isinstance(given, dict):
            raise ValueError(f"must be a name, or a mapping with a name and fields; got {given!r}")
        if not isinstance(given.get("name"), str):
            raise ValueError(f"must say its name, such as {{name: {next(iter(_names.KINDS[cls.kind]))}}}")
        fields = {key: value for key, value in given.items() if key != "name"}
        return {"name": given["name"], **cls._fields_of(given["name"], fields)}

    @classmethod
    def _fields_of(cls, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        return _names.resolved(cls.kind, name, fields)

    @property
    def fields(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})
