"""Settings: the key `hatester` of invoke.yaml, and INVOKE_HATESTER_… in the environment."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, fields
from typing import Any

from hatester.util.errors import UserError
from hatester.util.text import quoted

_VARIABLE = "INVOKE_HATESTER_"


@dataclass(frozen=True)
class Settings:
    """URLs that hatester asks; None: the host's own mirrors, and no snapshot archive."""

    mirror: str | None = None
    security_mirror: str | None = None
    releases: str = "https://www.haproxy.org/download"
    snapshot_archive: str | None = None


_NAMES = [field.name for field in fields(Settings)]


def read_settings(config: Any) -> Settings:
    """Return the settings of Invoke's configuration. Raises UserError for a wrong one.

    Invoke takes a variable of the environment only for a key that invoke.yaml has.
    """
    for name in os.environ:
        if name.startswith(_VARIABLE):
            _require_name(name.removeprefix(_VARIABLE).lower(), name)
    content = config.get("hatester") or {}
    try:
        written = dict(content)
    except (TypeError, ValueError):
        raise UserError(
            f"invoke.yaml: hatester: expected keys ({', '.join(_NAMES)}), got {quoted(content)}."
        ) from None
    for name, value in written.items():
        _require_name(str(name), "invoke.yaml: hatester")
        if not isinstance(value, str | None):
            raise UserError(f"invoke.yaml: hatester: {name}: expected a URL, got {quoted(value)}.")
    variables = {name: os.environ.get(_VARIABLE + name.upper()) for name in _NAMES}
    given = {name: variables[name] or written.get(name) for name in _NAMES}
    return Settings(**{name: value for name, value in given.items() if value})


def _require_name(name: str, place: str) -> None:
    if name not in _NAMES:
        close = difflib.get_close_matches(name, _NAMES, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        raise UserError(
            f"{place}: there is no setting {quoted(name)}{guess} (there are: {', '.join(_NAMES)})."
        )
