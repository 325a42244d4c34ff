"""The copy of a HAProxy configuration: the lines that the allow-list keeps, in their places."""

from __future__ import annotations

import collections
import functools
import itertools
import operator
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hatester.capture import allow_list
from hatester.capture.stand_ins import Kind
from hatester.capture.value_forms import Names
from hatester.matrix.haproxy_config import Line, parse, words
from hatester.matrix.surroundings import environment_variables
from hatester.matrix.surroundings.named_files import Named, Places, named, places_of

OTHER = "other"
"""The name in a report for directives that hatester does not know: their words may be secrets."""
_FILES: Mapping[str, tuple[Kind, str]] = {
    "authorities": ("authorities", "ca-base"),
    "certificate": ("certificate", "crt-base"),
    "list": ("list", ""),
    "revocations": ("revocations", "ca-base"),
    "tickets": ("tickets", ""),
}
"""Forms that are paths of files: the kind, and the folder of relative paths."""
_NEEDED = (
    "bind", "dgram-bind", "dispatch", "nameserver", "peer", "server", "server-template",
    "stick-table", "table",
)  # fmt: skip
"""Directives whose lack is reported line by line: a reload depends on them."""
_PROXIES = ("frontend", "backend", "listen")
_TAKING = ("-f", "-m", "-u")
"""The flags of an ACL that have a value."""
_MATCHES = ("beg", "dir", "dom", "end", "int", "ip", "len", "reg", "sub")
_CONDITION = re.compile(r"(?P<name>[a-z_]+)\((?P<values>[^()]*)\)")
_VERSION = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}(?:-dev\d{0,2})?")
_VERSIONS = frozenset(
    f"{name}_{order}"
    for name in ("version", "openssl_version", "awslc_api")
    for order in ("atleast", "before")
)
_FEATURES = frozenset(
    ("51DEGREES", "CPU_AFFINITY", "DEVICEATLAS", "DL", "ENGINE", "GZIP", "MATH",
     "MEMORY_PROFILING", "OBSOLETE_LINKER", "OT", "PRCTL", "PROCCTL", "RT", "STATIC_PCRE",
     "STATIC_PCRE2", "WURFL", "EPOLL", "KQUEUE", "KTLS", "LINUX_TPROXY", "LIBCRYPT", "LUA",
     "NS", "OPENSSL", "OPENSSL_AWSLC", "OPENSSL_WOLFSSL", "PCRE", "PCRE2", "POLL", "PROMEX",
     "PTHREAD_EMULATION", "QUIC", "QUIC_OPENSSL_COMPAT", "REUSEPORT", "SLZ", "SYSTEMD", "TFO",
     "THREAD", "TPROXY", "ZLIB", "SPLICE", "GETADDRINFO")
)  # fmt: skip
_EVALUATED = re.compile(r"[01!&|()\s]*")
_STORE = re.compile(r"@(?P<store>[^/]*)/(?P<name>.+)")
_SPECIAL = ("@system-ca", "@internal-ca")
_COMPARED: Mapping[str, Callable[[str, str], bool]] = {
    "streq": operator.eq,
    "strneq": operator.ne,
    "strstr": operator.contains,
}


@dataclass(frozen=True)
class Wanted:
    """A file that a copy names: its path on the host, and how a report calls it."""

    path: str
    kind: Kind
    where: str
    match: str = "str"
    """Of a map: the kind of match, such as `beg`."""
    can_be_folder: bool = False
    """True if HAProxy takes all the files of a folder; of one in a crt-list it reads forever."""


@dataclass(frozen=True)
class _Option:
    """A word of the allow-list's sets: the forms of its values, or that it is left out."""

    tokens: tuple[str, ...] = ()
    is_kept: bool = True


@dataclass
class Copy:
    """Makes the copy, counts the words that it leaves out, and collects the files that it names.

    `env` has variables of HAProxy's environment; `origin` is the folder in which it is started.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    origin: str = "/"
    names: Names = field(default_factory=Names)
    left_out: collections.Counter[str] = field(default_factory=collections.Counter)
    unclear: list[str] = field(default_factory=list)
    """The lines of directives that a reload depends on, whose values were not understood."""
    wanted: dict[str, Wanted] = field(default_factory=dict)
    """By the path that stands for the file's."""
    _places: Places = field(default_factory=lambda: Places({}, {"": "/"}, {}))
    _values: Mapping[str, str] = field(default_factory=dict)
    _line: Line = field(default_factory=lambda: Line(0, "", 0, False, ()))
    _is_inside: bool = False
    """True in a section that is kept."""
    _store: str = ""

    def configuration(self, text: str) -> str:
        """Return the copy of a configuration, in which each line has the number that it had."""
        lines = parse(text)
        self._values = environment_variables.values_of(lines, self.env)
        full = [environment_variables.expand(line, self._values) for line in lines]
        places = places_of(full, {})
        self._places = replace(places, folders={"": self.origin, **places.folders})
        return "\n".join(map(self._copy_line, full))

    def certificate_list(self, text: str) -> str:
        """Return the copy of a crt-list: certificates, their options, and as many host names."""
        self._line = Line(0, "", 0, False, ())
        lines = []
        for texts in ([each.text for each in words(line)] for line in text.split("\n")):
            if texts:
                lines.append(" ".join(self._list_entry(texts)))
        return "".join(f"{line}\n" for line in lines)

    def _list_entry(self, texts: Sequence[str]) -> Iterator[str]:
        yield self._certificate(texts[0])
        names = [*texts[1:]]
        if names and names[0].startswith("["):
            end = next((n for n, each in enumerate(names) if each.endswith("]")), len(names) - 1)
            options = [each.strip("[]") for each in names[: end + 1]]
            del names[: end + 1]
            if kept := self._options("certificate", [each for each in options if each]):
                yield f"[{' '.join(kept)}]"
        for name in names:
            yield "!" * name.startswith("!") + self.names.host(name.lstrip("!"))

    def _copy_line(self, line: Line) -> str:
        self._line = line
        if not line.texts:
            return ""
        if line.texts[0].startswith("."):
            return self._conditional(line.texts)
        header, body = _patterns(line.section)
        if line.number == line.start:
            kept = self._match(line.texts, header)
            self._is_inside = kept is not None
            self._store = line.texts[1] if line.section == "crt-store" and line.texts[1:] else ""
        else:
            kept = self._directive(line.texts, body) if self._is_inside else None
        if kept is None:
            self._leave_out(line.texts)
            return self._maps(line)
        return " ".join(kept if line.number == line.start else ["   ", *kept])

    def _directive(
        self, texts: Sequence[str], patterns: Mapping[str, list[list[str]]]
    ) -> list[str] | None:
        if texts[0] in ("no", "default") and texts[1:]:
            kept = self._directive(texts[1:], patterns)
            return kept and [texts[0], *kept]
        if texts[0] == "load":
            return self._load(texts[1:])
        return self._match(texts, patterns)

    def _match(
        self, texts: Sequence[str], patterns: Mapping[str, list[list[str]]]
    ) -> list[str] | None:
        """Return the words that stand for those of a line, by the first pattern that fits."""
        found = (self._fit(texts, pattern) for pattern in patterns.get(texts[0], ()))
        return next((each for each in found if each is not None), None)

    def _fit(self, texts: Sequence[str], pattern: Sequence[str]) -> list[str] | None:
        kept: list[str] = []
        for index, token in enumerate(pattern):
            rest = texts[index:]
            if token == "...":
                return kept
            if token.startswith("{"):
                return [*kept, *self._options(token.strip("{}"), rest)]
            chosen = rest if token.endswith("+") else rest[:1]
            values = [self._value(token.rstrip("+"), each) for each in chosen]
            if not values or None in values:
                return None
            kept += [each or "" for each in values]
        return kept if len(kept) == len(texts) else None

    def _options(self, name: str, texts: Sequence[str]) -> list[str]:
        """Return the options that are kept, of those of a set."""
        known = _option_set(name)
        kept: list[str] = []
        index = 0
        while index < len(texts):
            word = texts[index].partition("(")[0]
            option = known.get(word)
            count = len(option.tokens) if option else 0
            values = texts[index + 1 : index + 1 + count]
            index += 1 + count
            found = self._option(option, values) if option and len(values) == count else None
            if found is None:
                self.left_out[f"{self._keyword} {word}" if option else OTHER] += 1
            else:
                kept += [word, *found]
        return kept

    def _option(self, option: _Option, values: Sequence[str]) -> list[str] | None:
        if not option.is_kept:
            return None
        found = [self._value(*each) for each in zip(option.tokens, values, strict=True)]
        return None if None in found else [each or "" for each in found]

    @property
    def _keyword(self) -> str:
        """Return the word that the line is counted as."""
        texts = [each for each in self._line.texts if each not in ("no", "default")]
        return _name_for_report(texts[0]) if texts else "crt-list"

    def _value(self, token: str, text: str) -> str | None:
        """Return the stand-in for a word, where a pattern has a token; None if it does not fit."""
        if not token.startswith("<"):
            return text if text in token.split("|") else None
        form = token.strip("<>")
        if form == "certificate":
            return self._certificate(text)
        return self._file(form, text) if form in _FILES else self.names.value(form, text)

    def _certificate(self, text: str) -> str:
        """Return a certificate's file, or its name in a `crt-store`."""
        if stored := _STORE.fullmatch(text):
            store = stored["store"]
            alias = self.names.of("alias", f"{store}/{stored['name']}")
            return f"@{self.names.of('store', store) if store else ''}/{alias}"
        return self._file("certificate", text)

    def _load(self, texts: Sequence[str]) -> list[str] | None:
        """Return a line of a `crt-store`; its key and more is in the certificate's file."""
        options = dict(zip(texts[::2], texts[1::2], strict=False))
        if "crt" not in options:
            return None
        self.left_out["load"] += len(options.keys() - {"crt", "alias"})
        kept = ["load", "crt", self._file("certificate", options["crt"])]
        name = options.get("alias", options["crt"] if self._store else "")
        return [*kept, "alias", self.names.of("alias", f"{self._store}/{name}")] if name else kept

    def _file(self, form: str, text: str) -> str:
        """Return the path that stands for a file's, of which a stand-in is to be made."""
        kind, base = _FILES[form]
        if text in _SPECIAL:
            return text
        return self._want(kind, self._places.absolute(self._line, text, base))

    def _want(self, kind: Kind, path: str, match: str = "str") -> str:
        # One file can be a map in two ways, which HAProxy reads twice.
        stands = self.names.file(kind, f"{match}:{path}")
        line = self._line.number
        where = f"{posixpath.basename(stands)} ({f'line {line}' if line else 'in a list'})"
        is_bind = self._line.texts[:1] in (["bind"], ["default-bind"])
        can_be_folder = is_bind or kind == "authorities"
        self.wanted.setdefault(stands, Wanted(path, kind, where, match, can_be_folder))
        return stands

    def _leave_out(self, texts: Sequence[str]) -> None:
        word = texts[1] if texts[0] in ("no", "default") and texts[1:] else texts[0]
        self.left_out[_name_for_report(word)] += 1
        if word in _NEEDED and self._is_inside:
            self.unclear.append(f"{word}, line {self._line.number}")

    def _maps(self, line: Line) -> str:
        """Return a rule that loads maps as large as those of a line that was left out."""
        if not self._is_inside or line.section not in _PROXIES:
            return ""
        known = {*self.wanted}
        lists = [each for each in named(line.words) if each.kind == "list"]
        found = {}
        for each in lists:
            match = _match_of(each, line.texts)
            path = self._want("map", self._places.absolute(line, each.path), match)
            if path not in known:
                found[path] = match
        # An address is first, since no text is one.
        ordered = sorted(found, key=lambda path: found[path] != "ip")
        if not ordered:
            return ""
        sample = "src" if found[ordered[0]] == "ip" else "str(x)"
        chain = ",".join([sample, *(f"map_{found[path]}({path},x)" for path in ordered)])
        return f"    acl {posixpath.basename(ordered[0])} {chain} -m found"

    def _conditional(self, texts: Sequence[str]) -> str:
        """Return a line such as `.if`, its condition evaluated as far as values are known."""
        match texts:
            case [(".if" | ".elif") as word, *condition]:
                return f"{word} {self._evaluate(' '.join(condition))}"
            case [(".else" | ".endif") as word, *_]:
                return word
        self.left_out[_name_for_report(texts[0])] += 1
        return ""

    def _evaluate(self, condition: str) -> str:
        kept: list[str] = []

        def evaluate(found: re.Match[str]) -> str:
            name, values = found["name"], [each.strip() for each in found["values"].split(",")]
            is_version = name in _VERSIONS and _VERSION.fullmatch(values[0])
            if is_version or (name in ("feature", "enabled") and values[0] in _FEATURES):
                kept.append(f"{name}({values[0]})")
                return "\0"
            if name == "defined":
                return str(int(values[0] in self._values))
            if name in _COMPARED and len(values) == 2:
                return str(int(_COMPARED[name](*values)))
            return found[0]

        known = _CONDITION.sub(evaluate, condition)
        if not _EVALUATED.fullmatch(known.replace("\0", "1")):
            self.unclear.append(f".if, line {self._line.number}")
            return "0"
        found = iter(kept)
        return re.sub("\0", lambda _: next(found), known)


def _name_for_report(word: str) -> str:
    """Return the name by which a directive is counted."""
    return word if word in _vocabulary() else OTHER


def _match_of(file: Named, texts: Sequence[str]) -> str:
    """Return how a map's keys, or the patterns of a file, are compared."""
    if file.keyword == "-f":
        index = file.index - 1
        while index > 1 and (texts[index].startswith("-") or texts[index - 1] in _TAKING):
            index -= 1
        sample, *_ = re.split(r"[(,]", texts[index])
        between = itertools.pairwise(texts[index : file.index])
        flags = [after for flag, after in between if flag == "-m"]
        is_address = re.fullmatch(r"(?:\w+_)?(?:src|dst)|hdr_ip", sample)
        kind = (flags or ["ip" if is_address else sample.rpartition("_")[2]])[0]
    else:
        kind = file.keyword.removeprefix("map_").partition("_")[0]
    return kind if kind in _MATCHES else "reg" if kind == "regm" else "str"


@functools.cache
def _patterns(section: str) -> tuple[Mapping[str, list[list[str]]], Mapping[str, list[list[str]]]]:
    """Return the patterns of a section's first line, and of those in it, by their first words."""
    header, body = allow_list.SECTIONS.get(section, ("", ""))
    return _compile(header), _compile(body)


def _compile(text: str) -> dict[str, list[list[str]]]:
    patterns: dict[str, list[list[str]]] = {}
    for line in filter(None, map(str.split, text.splitlines())):
        for first in line[0].split("|"):
            patterns.setdefault(first, []).append([first, *line[1:]])
    return patterns


@functools.cache
def _option_set(name: str) -> Mapping[str, _Option]:
    found: dict[str, _Option] = {}
    for line in filter(None, map(str.split, allow_list.OPTIONS[name].splitlines())):
        if line[0] in ("-", "--"):
            tokens = ("<any>",) if line[0] == "-" else ()
            found |= dict.fromkeys(line[1:], _Option(tokens, is_kept=False))
        else:
            found |= dict.fromkeys(line[0].split("|"), _Option(tuple(line[1:])))
    return found


@functools.cache
def _vocabulary() -> frozenset[str]:
    texts = [text for both in allow_list.SECTIONS.values() for text in both]
    firsts = {word for text in texts for word in _compile(text)}
    return frozenset((*allow_list.RULES.split(), *firsts))
