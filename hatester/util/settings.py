"""Settings: the key `hatester` of invoke.yaml, and INVOKE_HATESTER_… in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from hatester.util.errors import UserError
from hatester.util.text import choices, quoted

_VARIABLE = "INVOKE_HATESTER_"
_FILE = "invoke.yaml: hatester"
_URL = "http://mirror.example.org/debian"


@dataclass(frozen=True)
class Settings:
    """URLs that hatester asks; None: the host's own mirrors, and no snapshot archive."""

    mirror: str | None = None
    security_mirror: str | None = None
    releases: str = "https://www.haproxy.org/download"
    snapshot_archive: str | None = None


_NAMES = [field.name for field in fields(Settings)]


def read_settings(config: Any) -> Settings:
    """Return the settings of Invoke's configuration. Raises UserError for a wrong one."""
    content = config.get("hatester") or {}
    try:
        written = {str(name): value for name, value in dict(content).items()}
    except (TypeError, ValueError):
        raise UserError(
            f"{_FILE}: expected keys ({', '.join(_NAMES)}), got {quoted(content)}."
        ) from None
    found = {name: url for name, url in written.items() if _is_set(name, url, f"{_FILE}: {name}")}
    for variable, url in os.environ.items():
        if variable.startswith(_VARIABLE):
            name = variable.removeprefix(_VARIABLE).lower()
            if _is_set(name, url, _VARIABLE + name.upper()):
                found[name] = url
    return Settings(**found)


def _is_set(name: str, url: object, place: str) -> bool:
    """Return whether a setting has a value. Raises UserError for an unknown one, or a wrong URL."""
    if name not in _NAMES:
        raise UserError(f"{place}: there is no such setting{choices(name, _NAMES)}.")
    if url and not _is_url(url):
        raise UserError(f"{place}: expected a URL such as {_URL}, got {quoted(url)}.")
    return bool(url)


def _is_url(text: object) -> bool:
    """Return whether something is a URL that apt takes (sources.list(5)), and requests."""
    if not (isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text):
        return False
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_host if parts.scheme in ("http", "https") else parts.scheme == "file"
