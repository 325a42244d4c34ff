"""A host that is only read: commands and files, many of them in one round trip."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hatester.util.errors import UserError

LOOK_SECONDS = 10
LOOK_BYTES = 4 << 20
"""The limits of one command on the host: seconds, and bytes of its answer, or of a file."""

# The answer's last line is the status; one that is too long has none.
_SCRIPT = f"""\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
exec 2>/dev/null
look() {{
    printf '@%s\\n' "$1"
    {{ timeout -k 1 {LOOK_SECONDS} sh -c "$2" </dev/null; printf '\\n%d' "$?"; }} |
        head -c {LOOK_BYTES} | base64
}}
"""
_END = "@end"

_FOLDER, _PROBLEM = 20, 21
# The bodies of private keys stay on the host, and lines keep their numbers. Reading something that
# is not a file, such as a pipe, might never end.
_HIDING = "/-----BEGIN [A-Z0-9 ]*PRIVATE KEY/,/-----END [A-Z0-9 ]*PRIVATE KEY/{//!s/.*//;}"
_READ = f"""\
if [ -d "$f" ]; then ls -1A -- "$f" 2>&1 || exit {_PROBLEM}; exit {_FOLDER}; fi
if [ -e "$f" ] && [ ! -f "$f" ]; then echo 'x: Neither file nor folder'; exit {_PROBLEM}; fi
[ -f "$f" ] && [ -r "$f" ] || {{ head -c 0 -- "$f" 2>&1; exit {_PROBLEM}; }}
exec sed -e '{_HIDING}' -- "$f"
"""

_COUNT = f"""\
[ -f "$f" ] && [ -r "$f" ] || {{ head -c 0 -- "$f" 2>&1; exit {_PROBLEM}; }}
grep -cvE '^[[:space:]]*(#|$)' -- "$f" || [ $? = 1 ]
"""

_STATUSES = {124: f"took longer than {LOOK_SECONDS} s", 127: "is not there"}
_CONTROLS = re.compile(r"[^\t\n -~\u00a0-\U0010ffff]")


@dataclass(frozen=True)
class Answer:
    """The output of a command, the text of a file, or the `names` in a folder; else the `problem`.

    Bytes that are not UTF-8 are kept as by Python's surrogateescape.
    """

    text: str = ""
    names: tuple[str, ...] | None = None
    problem: str = ""


class Remote:
    """A host that runs scripts of sh(1), and nothing else."""

    def __init__(self, run: Callable[[str], bytes]) -> None:
        self._run = run

    def ask(self, commands: Mapping[str, str]) -> dict[str, Answer]:
        """Return the output of shell commands by name, without control characters."""
        return {
            name: _answer(*outcome)
            for name, outcome in zip(commands, self._look([*commands.values()]), strict=True)
        }

    def read(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Return the files and folders at absolute paths, without the bodies of private keys."""
        return self._look_at(paths, _READ)

    def count(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Return how many lines the files at absolute paths have, without comments, as texts."""
        return self._look_at(paths, _COUNT)

    def _look_at(self, paths: Iterable[str], script: str) -> dict[str, Answer]:
        wanted = [*paths]
        looks = [f"f={shlex.quote(path)}\n{script}" for path in wanted]
        return {
            path: _read(*outcome) for path, outcome in zip(wanted, self._look(looks), strict=True)
        }

    def _look(self, commands: list[str]) -> list[tuple[int | None, bytes]]:
        """Return the status and the output of each command, in one round trip."""
        if not commands:
            return []
        looks = "".join(f"look {n} {shlex.quote(each)}\n" for n, each in enumerate(commands))
        lines = self._run(f"{_SCRIPT}{looks}echo {_END}\n").decode("ascii", "replace").split("\n")
        if _END not in lines:
            raise UserError("The host runs no commands, or broke off its answer.")
        parts: dict[str, list[str]] = {}
        # A shell's start-up files may print something first.
        for line in itertools.dropwhile(lambda line: line != "@0", lines):
            if line.startswith("@"):
                current = parts.setdefault(line, [])
            else:
                current.append(line)
        return [_outcome(parts.get(f"@{number}", [])) for number in range(len(commands))]


def _outcome(lines: list[str]) -> tuple[int | None, bytes]:
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        return None, b""
    output, _, status = data.rpartition(b"\n")
    is_whole = status.isdigit() and len(status) <= 3 and len(data) < LOOK_BYTES
    return (int(status), output) if is_whole else (None, b"")


def _answer(status: int | None, output: bytes) -> Answer:
    problem = _problem(status)
    text = output.decode("utf-8", "replace")
    return Answer(problem=problem) if problem else Answer(_CONTROLS.sub("?", text))


def _read(status: int | None, output: bytes) -> Answer:
    text = output.decode("utf-8", "surrogateescape")
    if status == _FOLDER:
        return Answer(names=tuple(name for name in text.split("\n") if name))
    if status == _PROBLEM:
        return Answer(problem=_CONTROLS.sub("?", text).strip().rpartition(": ")[2] or "unreadable")
    if "\0" in text:
        return Answer(problem="Not a text")
    problem = _problem(status)
    return Answer(problem=problem) if problem else Answer(text)


def _problem(status: int | None) -> str:
    if status is None:
        return f"Answer garbled, or longer than {LOOK_BYTES >> 20} MiB"
    return _STATUSES.get(status, f"failed with status {status}") if status else ""
