"""Texts without their secrets: what holds in any text, and in the kinds of files beside HAProxy's.

Rather too much is replaced than too little, and comments are left out, since nothing tells what is
in them.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from dataclasses import dataclass, replace

from hatester.capture.placeholders import RUN, Form, Placeholders, Replaced, looks_random
from hatester.util.pem import BLOCK
from hatester.util.text import numbered

SENSITIVE = re.compile(
    r"passw|passphrase|passwd|pwd|secret|token|credential|bearer|session|signature|cookie"
    r"|pass(?![a-z])|keys?(?![a-z])|auth(?!or(?!iz))",
    re.IGNORECASE,
)
"""A name whose value is nobody's business."""

_TO_SIGN = r"[\w.-]{0,64}(?:\\?[\"'])?\]?\s{0,9}(?:=>|==?|:)(?:\\ |\s){0,9}(?:\\?[\"'])?"
_RULES = re.compile(
    # The password in a URL.
    r"(?P<url>://(?:[^/\s:@\"']{0,64}:)?)(?P<password>[^@/\s\"']{1,256})(?=@)"
    # NAME=value, Name: value, "name": "value"; up to the quote or the end of the line, which may be
    # written as an escape.
    rf"|(?P<name>(?:{SENSITIVE.pattern}){_TO_SIGN})"
    r"(?P<value>(?:\\[^rn\"'\n]|[^\\\"'\r\n])+)"
    rf"|(?P<option>(?<!\S)--?[\w-]{{0,32}}(?:{SENSITIVE.pattern})[\w-]{{0,32}}\s+)"
    r"(?P<argument>\S+)"
    r"|(?P<scheme>\b(?:basic|bearer|digest)(?:\\? )+)(?P<credentials>[A-Za-z0-9._~+/=-]{4,})",
    re.IGNORECASE,
)
_NAME_END = re.compile(r"(?:(?<=\\)[rnt])?([\w.-]{0,64})\Z")
_NAMES = re.compile(r"[A-Za-z0-9+_~-]+")
_KEY = "what looks like a key"
_PORT = re.compile(r"\S:\d{1,5}(?![\w.])")
_WORDY = re.compile(r"passw|pwd|secret", re.IGNORECASE)


@dataclass(frozen=True)
class Redaction:
    """What takes the secrets out of one file, whose name it reports.

    `names` are no secrets, whatever they look like: of sections, servers and ACLs.
    """

    placeholders: Placeholders
    file: str
    names: frozenset[str] = frozenset()

    def put(self, secret: str, line: int, what: str, form: Form = "text") -> str:
        """What stands for a secret from now on."""
        return self.placeholders.put(secret, Replaced(self.file, line, what), form)

    def but_for(self, path: str) -> Redaction:
        """One to which the parts of a path are no secrets either."""
        return replace(self, names=self.names | {*_NAMES.findall(path)}) if path else self

    def any_text(self, text: str, line: int = 1) -> str:
        """A text of no known kind; `line` is the number of its first."""
        return "\n".join(
            self._line(each, number)
            for number, each in enumerate(self._without_blocks(text, line).split("\n"), start=line)
        )

    def _without_blocks(self, text: str, line: int) -> str:
        """Without the PEM blocks, in as many lines as before."""
        parts = []
        position = 0
        for number, block in numbered(BLOCK, text):
            what = f"PEM block {block['label']}"
            put = self.put(block[0], line + number - 1, what)
            parts += [text[position : block.start()], put, "\n" * block[0].count("\n")]
            position = block.end()
        return "".join([*parts, text[position:]])

    def _line(self, text: str, line: int) -> str:
        parts = []
        position = 0
        for found in _RULES.finditer(text):
            before, secret, what = _told(found)
            if before and secret.strip():
                parts.append(self._keys(text[position : found.start()] + before, line))
                parts.append(self.put(secret, line, what))
                position = found.end()
        return "".join([*parts, self._keys(text[position:], line)])

    def _keys(self, text: str, line: int) -> str:
        """Without what nobody has thought up, but where it is a name."""

        def put(found: re.Match[str]) -> str:
            run = found[0]
            if run in self.placeholders.issued:
                return run
            if looks_random(run) and not self.names.issuperset(filter(None, run.split("/"))):
                return self.put(run, line, _KEY)
            return "/".join(
                self.put(part, line, _KEY)
                if looks_random(part) and part not in self.names
                else part
                for part in run.split("/")
            )

        return RUN.sub(put, text)

    def settings(self, text: str) -> str:
        """`NAME=value` in lines, as a unit or /etc/default/haproxy has them.

        Comments are left out, but those by which `systemctl cat` names its files.
        """
        return "\n".join(
            self.any_text(line, number)
            for number, line in enumerate(text.split("\n"), start=1)
            if not re.match(r"\s*[#;](?! /[\w./@-]+$)", line)
        )

    def error_file(self, text: str) -> str:
        """A whole HTTP answer, whose length is as long as it says."""
        redacted = self.any_text(text)
        if redacted == text:
            return text
        body = re.split(r"\r?\n\r?\n", redacted, maxsplit=1)[-1]
        length = len(body.encode(errors="surrogateescape"))
        return re.sub(r"(?im)^(content-length:\s*)\d+", rf"\g<1>{length}", redacted)

    def list(self, text: str, is_secret: bool) -> str:
        """A map or a list of patterns; of one that `is_secret`, all but numbers and addresses."""
        lines = ["" if each.startswith("#") else each for each in text.split("\n")]
        if not is_secret:
            return self.any_text("\n".join(lines))
        for number, each in enumerate(lines, start=1):
            words = (self._entry(word, number) for word in re.split(r"(\s+)", each))
            lines[number - 1] = "".join(words)
        return "\n".join(lines)

    def _entry(self, word: str, line: int) -> str:
        is_kept = not word.strip() or is_plain(word)
        return word if is_kept else self.put(word, line, "entry of a secret list")

    def ticket_keys(self, text: str) -> str:
        """Keys of TLS tickets, in base64: fresh ones of the same length."""
        lines = text.split("\n")
        for number, each in enumerate(lines, start=1):
            if each.strip():
                self.put(each, number, "key of TLS tickets, now a fresh one")
                length = 80 if len(each.strip()) > 64 else 48
                lines[number - 1] = base64.b64encode(secrets.token_bytes(length)).decode()
        return "\n".join(lines)


def _told(found: re.Match[str]) -> tuple[str, str, str]:
    """What stays before a secret, the secret, and what it is; nothing stays of what is none."""
    if found["password"]:
        return found["url"], found["password"], "password in a URL"
    if found["argument"]:
        return found["option"], found["argument"], f"value of {found['option'].strip()}"
    if found["credentials"]:
        return found["scheme"], found["credentials"], "credentials"
    # A host and its port.
    if _PORT.match(found[0], len(found["name"]) - 2) and not _WORDY.search(found["name"]):
        return "", "", ""
    start = _NAME_END.search(found.string, max(found.start() - 64, 0), found.start())
    name = re.split(r"[^\w.-]", (start[1] if start else "") + found["name"], maxsplit=1)[0]
    return found["name"], found["value"], f"value of {name}"


def is_plain(word: str) -> bool:
    """A small number or an address, which HAProxy may need to be one."""
    if word.isdecimal() and len(word) < 6:
        return True
    try:
        ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False
    return True
