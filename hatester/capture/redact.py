"""The copies of a host's files: each without its secrets, by what it is for."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from hatester.capture import redact_haproxy
from hatester.capture.files import Gathered, Wanted
from hatester.capture.placeholders import Placeholders, Replaced
from hatester.capture.redact_lua import lua
from hatester.capture.redaction import SENSITIVE, Redaction
from hatester.util.pem import BEGIN, PRIVATE, LookAlikes


@dataclass(frozen=True)
class Copies:
    """What makes the copies of one host; `names` are no secrets (see Redaction)."""

    names: frozenset[str]
    placeholders: Placeholders = field(default_factory=Placeholders)
    look_alikes: LookAlikes = field(default_factory=LookAlikes)

    def all(self, gathered: Gathered, settings: Mapping[str, str]) -> dict[str, str]:
        """The copies by their paths; `settings` are files of variables of the environment.

        What should hold certificates and has none is not copied.
        """
        copies = {path: self.of(path).settings(text) for path, text in settings.items()}
        for path, text in gathered.texts.items():
            copy = self._copy(path, text, gathered.wanted[path])
            if copy or not text:
                copies[path] = copy
            else:
                gathered.problems[path] = "Holds no PEM block"
        return copies

    def of(self, path: str) -> Redaction:
        """What takes the secrets out of one file."""
        return Redaction(self.placeholders, path, self.names)

    def _copy(self, path: str, text: str, wanted: Wanted) -> str:
        redaction = self.of(path)
        match wanted.kind:
            case "configuration":
                return redact_haproxy.configuration(text, redaction)
            case "Lua":
                return lua(text, redaction)
            case "error file":
                return redaction.error_file(text)
        if wanted.kind in ("certificate", "certificates") or BEGIN in text:
            made = self.look_alikes.pem(text, lambda line, what: self._tell(path, line, what))
            # Its key may be in another file, which HAProxy finds without being told.
            needs_key = wanted.kind == "certificate" and made and PRIVATE not in made
            return made + self.look_alikes.private_key() if needs_key else made
        if wanted.kind == "certificate list":
            return redact_haproxy.certificate_list(text, redaction)
        if wanted.kind == "ticket keys":
            return redaction.ticket_keys(text)
        is_secret = wanted.is_secret or bool(SENSITIVE.search(posixpath.basename(path)))
        return redaction.list(text, is_secret)

    def _tell(self, path: str, line: int, what: str) -> None:
        self.placeholders.replaced.append(Replaced(path, line, what))
