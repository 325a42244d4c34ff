"""The parts that the model of a cell is made of."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import Field

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Length = Annotated[float, Field(ge=0)]


def round_seconds(seconds: float) -> float:
    """Return seconds as they are stored: to a microsecond."""
    return round(seconds, 6)


def _remove_titles(schema: dict[str, Any]) -> None:
    """Remove the titles that pydantic makes of the names of fields."""
    for each in (schema, *schema["properties"].values()):
        each.pop("title", None)


class Model(pydantic.BaseModel):
    """A frozen object of the model. Unknown fields are ignored, since fields may be added."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=_remove_titles,
    )

    def to_json(self) -> str:
        """Return the object as JSON, one field a line; what is at its default is left out."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n"


class Span(Model):
    """A stretch of time."""

    start: float = Field(alias="from")
    end: float = Field(alias="to")
