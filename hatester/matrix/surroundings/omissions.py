"""Lines of a HAProxy configuration that are left out, since a file that they need was not provided.

A missing program cannot be made up as a certificate can. So lines that load one are left out, as
are lines that use its actions, fetches or services.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hatester.matrix.haproxy_config import Line, comparisons, condition
from hatester.matrix.surroundings.named_files import Places
from hatester.util.text import counted, listed, printable

COMMENT = "# left out by hatester: "
_LUA_LOADS = ("lua-load", "lua-load-per-thread")
_LUA = re.compile(r"(?:^|[\[,(])\s*lua\.(?P<name>[\w.-]+)")
_REGISTERED = re.compile(r"register_\w+\(\s*[\"'](?P<name>[^\"'\n]+)")
"""Names that a script gives to HAProxy (core.register_action and the like)."""
_FILTERS = {
    "spoe": ("the SPOE configuration", "send-spoe-group"),
    "opentracing": ("the OpenTracing configuration", "ot-group"),
}
"""Filters with a configuration of their own, and the action that calls them by their name."""
_DEVICES = {
    "51degrees-data-file": re.compile(r"51degrees-|51d\."),
    "deviceatlas-json-file": re.compile(r"deviceatlas-|da-csv"),
    "wurfl-data-file": re.compile(r"wurfl-"),
}
"""Keywords that load a database of devices, and what is used with it."""


@dataclass
class Omissions:
    """Numbers of the lines that are left out of one configuration, and sentences about them."""

    file: str
    lines: Sequence[Line]
    places: Places
    numbers: set[int] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[Line]:
        """Return the lines that are not left out."""
        return [line for line in self.lines if line.number not in self.numbers]

    def leave_out(self, roots: Sequence[Line], why: str, is_user: Callable[[Line], bool]) -> None:
        """Leave out lines, those that use what they bring, and those that use these lines' ACLs."""
        self.numbers |= {line.number for line in roots}
        before = len(self.numbers)
        self.numbers |= {line.number for line in self.kept if _is_rule(line) and is_user(line)}
        self.numbers |= {line.number for line in _without_acls(self.lines, self.numbers)}
        users = len(self.numbers) - before
        also = f", and {counted(users, 'dependent line')}" if users else ""
        numbers = listed(str(line.number) for line in roots)
        noun = "line" if len(roots) == 1 else "lines"
        self.said.append(printable(f"left out {noun} {numbers} of {self.file}{also}: {why}"))

    def apply(self, text: str) -> str:
        """Return the text of the configuration with these lines as comments."""
        return "\n".join(
            COMMENT + line if number in self.numbers else line
            for number, line in enumerate(text.split("\n"), start=1)
        )


def _is_rule(line: Line) -> bool:
    """Return whether a line neither begins a section nor is a condition such as `.if`."""
    return line.texts != [] and not line.texts[0].startswith(".") and line.number != line.start


def find(file: str, lines: Sequence[Line], places: Places) -> Omissions:
    """Return the lines that have to be left out of a configuration.

    `lines` have the values of their variables.
    """
    found = Omissions(file, lines, places)
    _leave_out_programs(found)
    _leave_out_lua(found)
    for line in found.kept:
        _leave_out_filter(found, line)
    for keyword, use in _DEVICES.items():
        _leave_out_devices(found, keyword, use)
    return found


def _leave_out_programs(found: Omissions) -> None:
    """Leave out sections of programs that the master starts: these are not in HAProxy's root."""
    starts = dict.fromkeys(line.start for line in found.lines if line.section == "program")
    for start in starts:
        section = [line for line in found.lines if line.start == start and line.texts]
        found.numbers |= {line.number for line in section if not line.texts[0].startswith(".")}
        first, last = section[0].number, section[-1].number
        where = f"lines {first} to {last}" if first < last else f"line {first}"
        name = " ".join(section[0].texts[:2])
        found.said.append(
            printable(f"left out {where} of {found.file}: hatester does not start the {name}")
        )


def _leave_out_lua(found: Omissions) -> None:
    places = found.places
    loads = [line for line in found.kept if line.texts[1:] and line.texts[0] in _LUA_LOADS]
    scripts = [(line, places.absolute(line, line.texts[1])) for line in loads]
    missing = [(line, path) for line, path in scripts if not places.is_given(path)]
    if not missing:
        return
    names = _registered_names(places.given)

    def is_user(line: Line) -> bool:
        match line.texts:
            case ["lua-prepend-path", pattern, *_]:
                return not places.is_in_given(places.absolute(line, pattern.partition("?")[0]))
        return _uses_lua(line.texts, names)

    why = _not_given("Lua", [*dict.fromkeys(path for _, path in missing)])
    found.leave_out([line for line, _ in missing], why, is_user)


def _registered_names(given: Mapping[str, str]) -> set[str]:
    """Return the names under which scripts that were given offer what they have."""
    scripts = (text for path, text in given.items() if path.endswith(".lua"))
    return {each["name"] for text in scripts for each in _REGISTERED.finditer(text)}


def _uses_lua(texts: Sequence[str], known: set[str]) -> bool:
    # A pattern may be the name of a host.
    patterns = {each for _, found in comparisons(texts) for each in found}
    return any(
        each["name"] not in known
        for text in texts
        if text not in patterns
        for each in _LUA.finditer(text)
    )


def _leave_out_filter(found: Omissions, line: Line) -> None:
    """Leave out a line of a filter whose own configuration is not given, and rules that call it."""
    match line.texts:
        case ["filter", kind, *options] if kind in _FILTERS:
            values = [*itertools.pairwise(options)]
        case _:
            return
    what, action = _FILTERS[kind]
    paths = [found.places.absolute(line, value) for name, value in values if name == "config"][:1]
    if not paths or found.places.is_given(paths[0]):
        return
    names = [value for name, value in values if name in ("engine", "id")]

    def is_user(other: Line) -> bool:
        pairs = itertools.pairwise(other.texts)
        return any(first == action and second in names for first, second in pairs)

    found.leave_out([line], _not_given(what, paths), is_user)


def _leave_out_devices(found: Omissions, keyword: str, use: re.Pattern[str]) -> None:
    roots = [line for line in found.kept if line.texts[:1] == [keyword] and line.texts[1:]]
    paths = [found.places.absolute(line, line.texts[1]) for line in roots]
    if roots and not all(map(found.places.is_given, paths)):
        found.leave_out(
            roots,
            _not_given("the database of devices", paths),
            lambda line: any(use.search(text) for text in line.texts),
        )


def _not_given(what: str, paths: Sequence[str]) -> str:
    flags = " ".join(f"--file {path}=LOCAL" for path in paths)
    return f"{what} {listed(paths)} {'is' if len(paths) == 1 else 'are'} not given ({flags})"


def _without_acls(lines: Sequence[Line], left_out: set[int]) -> Iterator[Line]:
    """Return the rules whose conditions use ACLs of which every line was left out."""
    defined: dict[tuple[int, str], bool] = {}
    for line in lines:
        if line.texts[:1] == ["acl"] and line.texts[1:]:
            acl = (line.start, line.texts[1])
            defined[acl] = defined.get(acl, False) or line.number not in left_out
    for line in lines:
        if any(not defined.get((line.start, name), True) for name in condition(line.texts)):
            yield line
