"""What an answer says of the configuration that gave it."""

from __future__ import annotations

import re

_MARK = re.compile(r"OK - ([A-Za-z0-9.+_-]+)")


def answered_by(status: int, body: str) -> str | None:
    """The name of the configuration that answered; None for a wrong answer.

    Each configuration of a scenario answers 200 with `OK - NAME` in the body.
    """
    found = _MARK.search(body) if status == 200 else None
    return found[1] if found else None
