"""The bounds of all that a guest may send: of its numbers, texts and collections."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

TEXT_CHARACTERS = 65536
"""Of one line of HAProxy's log, which is as long as its buffer at most (doc/configuration.txt)."""
OUTCOMES = ("ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong")
"""Of one connection."""


class Bounds(NamedTuple):
    """The least and the greatest value of a number. The host's pydantic asks it for a schema."""

    least: float
    greatest: float

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = {**handler(source), "strict": True, "ge": self.least, "le": self.greatest}
        return schema | ({"allow_inf_nan": False} if schema["type"] == "float" else {})


class Length(NamedTuple):
    """The greatest length of a text or of a collection.

    JSON has arrays for tuples; of all that is wrong in one, the host reports the first.
    """

    greatest: int

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = {**handler(source), "max_length": self.greatest}
        return schema | ({"fail_fast": True} if schema["type"] == "tuple" else {"strict": True})


Seconds = Annotated[float, Bounds(0, 1e7)]
Moment = Annotated[float, Bounds(-1e7, 1e7)]
Number = Annotated[int, Bounds(0, 1 << 31)]
Count = Annotated[int, Bounds(0, 1 << 62)]
Name = Annotated[str, Length(1024)]
Text = Annotated[str, Length(TEXT_CHARACTERS)]
Outcome = Literal["ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong"]
Names = Annotated[tuple[Name, ...], Length(65536)]
