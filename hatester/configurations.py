"""HAProxy configurations: which addresses they bind, and how a setting alters them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatester.matrix import Setting

_BIND = re.compile(
    r"^[ \t]*bind[ \t]+(?P<addresses>[^ \t\n#]+)[^\n#]*?(?=[ \t]*(?:#|$))", re.MULTILINE
)
_GLOBAL = re.compile(r"^global[ \t]*(?:#.*)?$", re.MULTILINE)
_ANY = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Bind:
    """An address as a `bind` line has it (HAProxy's configuration manual, section 4.2)."""

    address: str
    port: int

    @property
    def label(self) -> str:
        """How results name it: as HAProxy does, `192.168.42.43:80` or `*:81`."""
        return f"{self.address}:{self.port}"

    @property
    def is_wildcard(self) -> bool:
        """Whether it is bound to every address of the guest, so that none can be missing."""
        return self.address in _ANY

    @property
    def target(self) -> str:
        """The address to connect to."""
        return _ANY.get(self.address, self.address)


@dataclass(frozen=True)
class Configuration:
    """A plain HAProxy configuration, and the name by which its answers are told from others'."""

    name: str
    text: str

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What it binds, in the order of its lines. Raises ValueError for a port that is none."""
        found = []
        for match in _BIND.finditer(self.text):
            for each in match["addresses"].split(","):
                address, _, port = each.rpartition(":")
                if not port.isdecimal():
                    raise ValueError(f"bind {each} has no port")
                found.append(Bind(address.strip("[]"), int(port)))
        return tuple(found)

    def under(self, setting: Setting) -> str:
        """The text with the setting's lines in `global` and its options on every `bind`."""
        text = self.text
        if setting.global_lines:
            lines = "".join(f"\n    {line}" for line in setting.global_lines)
            text, sections = _GLOBAL.subn(lambda found: found[0] + lines, text, count=1)
            if not sections:
                text = f"global{lines}\n\n{text}"
        if setting.bind:
            options = " ".join(setting.bind)
            text = _BIND.sub(lambda found: f"{found[0]} {options}", text)
        return text
