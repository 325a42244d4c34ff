"""The files of a host's HAProxy: its configurations, and what these name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hatester.capture.redaction import SENSITIVE
from hatester.capture.remote import Remote
from hatester.matrix.haproxy_config import Word, words
from hatester.matrix.surroundings.named_files import Kind, Named, bases, named, named_by_list

_ROUNDS = 8
"""A folder of lists of certificates that name theirs is the deepest that there is: five."""
_MOST = 2000
_NO_CERTIFICATES = (".ocsp", ".issuer", ".sctl", ".dh")
"""What may lie beside a certificate (HAProxy's configuration manual, ssl-load-extra-files)."""
_PLAIN = re.compile(r"/[^\x00-\x1f\x7f\ud800-\udfff]{1,4000}")


@dataclass(frozen=True)
class Wanted:
    """What a file is for, and whether all that is in it is a secret."""

    kind: Kind
    is_secret: bool = False


@dataclass
class Gathered:
    """Texts by their paths, what each is for, and why others could not be had.

    `configuration` are the paths of HAProxy's own, in their order.
    """

    texts: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    configuration: list[str] = field(default_factory=list)

    def take(self, remote: Remote, wanted: Mapping[str, Wanted]) -> dict[str, list[str]]:
        """Read what was not read yet; returns what is in those that are folders."""
        new = {path: wanted[path] for path in wanted if path not in self.wanted}
        self.wanted |= new
        plain = [path for path in new if _PLAIN.fullmatch(path)]
        self.problems |= dict.fromkeys(new.keys() - plain, "No name for a copy")
        left = max(_MOST - len(self.texts), 0)
        self.problems |= dict.fromkeys(plain[left:], f"More than {_MOST} files")
        inside = {}
        for path, answer in remote.read(plain[:left]).items():
            if answer.names is not None:
                inside[path] = _inside(path, answer.names, new[path].kind)
            elif answer.problem:
                self.problems[path] = answer.problem
            else:
                self.texts[path] = answer.text
        return inside

    def of_kind(self, kind: Kind) -> dict[str, str]:
        """The texts of one kind, by their paths."""
        return {path: text for path, text in self.texts.items() if self.wanted[path].kind == kind}


def gather(remote: Remote, paths: Sequence[str], origin: str = "/") -> Gathered:
    """What is at these paths of a host (a folder stands for its .cfg files), and what it names.

    `origin` is the folder in which HAProxy is started.
    """
    found = Gathered()
    configuration = Wanted("configuration")
    inside = found.take(remote, dict.fromkeys(paths, configuration))
    found.take(remote, dict.fromkeys(_all(inside), configuration))
    ordered = dict.fromkeys(each for path in paths for each in inside.get(path, [path]))
    found.configuration = [path for path in ordered if path in found.texts]
    for _ in range(_ROUNDS):
        wanted = dict(_named(found, origin))
        for folder, files in inside.items():
            wanted |= dict.fromkeys(files, found.wanted[folder])
        if wanted.keys() <= found.wanted.keys():
            break
        inside = found.take(remote, wanted)
    return found


def _all(inside: Mapping[str, Iterable[str]]) -> Iterator[str]:
    return (path for paths in inside.values() for path in paths)


def _inside(folder: str, names: Iterable[str], kind: Kind) -> list[str]:
    """The files of a folder that are of its kind, in the order in which HAProxy takes them."""
    match kind:
        case "certificate" | "certificates":
            fit = [name for name in names if not name.endswith(_NO_CERTIFICATES)]
        case "configuration":
            fit = [name for name in names if name.endswith(".cfg")]
        case "Lua":
            fit = [name for name in names if name.endswith(".lua")]
        case _:
            fit = []
    return [posixpath.join(folder, name) for name in sorted(fit) if not name.startswith(".")]


def _named(found: Gathered, origin: str) -> Iterator[tuple[str, Wanted]]:
    """The files that the configurations and the lists of certificates name."""
    configurations = found.of_kind("configuration")
    folders = bases(configurations, origin)
    lists = found.of_kind("certificate list")
    for texts, files in ((configurations, named), (lists, named_by_list)):
        for line in (line for text in texts.values() for line in text.split("\n")):
            parsed: list[Word] = words(line)
            each: Named
            for each in files(parsed):
                folder = folders.get(each.base, folders[""])
                path = posixpath.normpath(posixpath.join(folder, each.path))
                is_secret = SENSITIVE.search(line) is not None
                yield f"/{path.lstrip('/')}", Wanted(each.kind, is_secret)
