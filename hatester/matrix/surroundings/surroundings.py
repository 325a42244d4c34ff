"""Surroundings that the text of a HAProxy configuration asks for and that were not provided.

Files are made up, so that HAProxy starts with an unmodified configuration in a root that has none
of them. Lines that load a program become comments, with those that use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatester.matrix.haproxy_config import Line, options, parse
from hatester.matrix.surroundings import environment_variables, omissions
from hatester.matrix.surroundings.addresses import hosts
from hatester.matrix.surroundings.named_files import folders_of, places_of
from hatester.matrix.surroundings.omissions import Omissions
from hatester.matrix.surroundings.placeholder_files import content_of, find_missing, noun_of
from hatester.util.text import printable

if TYPE_CHECKING:
    from hatester.util.pem import LookAlikes

_ACCOUNT = re.compile(r"[^\s:,/]{1,32}")
_FOREIGN = re.compile(r"\bPROFILE=\w+")
"""The ciphers of the system's policy: only the OpenSSL of RHEL and its relatives knows them."""


@dataclass(frozen=True)
class Surroundings:
    """Surroundings of a configuration, as far as they were not provided."""

    texts: Mapping[str, str]
    """The configurations by their names; lines that are left out are comments."""
    made: Mapping[str, str]
    """Contents by absolute path in HAProxy's root, for where the root has nothing."""
    folders: tuple[str, ...]
    """Absolute paths of the folders that have to be there."""
    users: tuple[str, ...]
    groups: tuple[str, ...]
    hosts: tuple[str, ...]
    """Host names that have to resolve when HAProxy starts."""
    notes: Mapping[str, str]
    """The sentences about `made`, by path: those about files that the root has are not true."""
    said: tuple[str, ...]
    """A sentence about each thing that is made or left out, without a full stop."""


def surround(
    texts: Mapping[str, str],
    given: Mapping[str, str],
    env: Mapping[str, str],
    look_alikes: LookAlikes | None = None,
) -> Surroundings:
    """Return the surroundings that configurations need.

    `texts` are the configurations by their names. `given` has the contents of the user's files, by
    absolute path in HAProxy's root; `env` has variables with their values. With the `look_alikes`
    that replaced certificates in `given`, made keys fit these. Raises UserError for
    variables without a value.
    """
    # Cryptography is slow to import, and `plan` needs none.
    from hatester.util.pem import LookAlikes  # noqa: PLC0415

    parsed = {file: parse(text) for file, text in texts.items()}
    values = {file: environment_variables.values_of(lines, env) for file, lines in parsed.items()}
    missing: dict[str, str] = {}
    for file, lines in parsed.items():
        for name, where in environment_variables.missing(file, lines, values[file]).items():
            missing.setdefault(name, where)
    environment_variables.require(missing)
    read = []
    for file, lines in parsed.items():
        full = [environment_variables.expand(line, values[file]) for line in lines]
        read.append(omissions.find(file, full, places_of(full, given)))
    return _surroundings(texts, read, look_alikes or LookAlikes())


def _surroundings(
    texts: Mapping[str, str], read: Sequence[Omissions], look_alikes: LookAlikes
) -> Surroundings:
    """Return the surroundings of the lines that are kept, which have the values of variables."""
    wanted = find_missing((each.places, each.kept) for each in read)
    notes = {path: _describe_made(noun_of(each), path) for path, each in wanted.items()}
    lines = [line for each in read for line in each.kept]
    return Surroundings(
        texts={each.file: each.apply(texts[each.file]) for each in read},
        made={path: content_of(each, look_alikes) for path, each in wanted.items()},
        folders=_unique(path for each in read for path in folders_of(each.kept, each.places)),
        users=_unique(_accounts("user", lines)),
        groups=_unique(_accounts("group", lines)),
        hosts=_unique(host for line in lines for host in hosts(line.texts)),
        notes=notes,
        said=(*(sentence for each in read for sentence in each.said), *notes.values()),
    )


def _describe_made(noun: str, path: str) -> str:
    article = "an" if noun[0] in "aeiou" else "a"
    return printable(f"made {article} {noun} for {path}")


def _unique(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))


def _accounts(keyword: str, lines: Iterable[Line]) -> Iterator[str]:
    """Return the names of the users, or of the groups, that sockets and processes belong to."""
    for line in lines:
        if line.section == "global" and line.texts[:1] == [keyword]:
            found = line.texts[1:2]
        else:
            found = [value for name, value in options(line.texts) if name == keyword]
        yield from (name for name in found if _ACCOUNT.fullmatch(name))


def foreign_words(text: str) -> list[tuple[int, str]]:
    """Return words that only some distributions' OpenSSL knows, each with its line's number.

    They are left as they are. Where HAProxy refuses a configuration, they may be the reason.
    """
    return [
        (line.number, word)
        for line in parse(text)
        for each in line.texts
        for word in _FOREIGN.findall(each)
    ]
