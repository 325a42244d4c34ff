"""A configuration of the user's own, with its surroundings.

Surroundings that were not provided are made (`hatester/matrix/surroundings`), so that
HAProxy accepts the configuration as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hatester.matrix.binds import datagrams, interfaces, ranges
from hatester.matrix.haproxy_config import Line, parse
from hatester.matrix.scenario import AFTER, BEFORE, ROOT
from hatester.matrix.surroundings import health_checks
from hatester.matrix.surroundings.addresses import names_of_servers
from hatester.matrix.surroundings.placeholder_files import NOBODY
from hatester.matrix.surroundings.surroundings import Surroundings, surround
from hatester.util.errors import UserError
from hatester.util.paths import is_there
from hatester.util.pem import BEGIN, PRIVATE, LookAlikes
from hatester.util.validation import text_of
from provision.guest.haproxy_root import ETC, RESOLVER

_MOST_FILES, _MOST_BYTES = 500, 5_000_000
_ETC = f"{ETC}/"
_IMAGES_ETC = "/usr/local/etc/haproxy/"


@dataclass(frozen=True)
class Own:
    """The configuration in service, the one that is loaded next, and the files that they name.

    `names` are the names of the two in messages. Files have their names in /etc/haproxy, or their
    paths in HAProxy's root behind `root/`. `addresses`, with prefix lengths, exist beside the bound
    ones. With `is_advised`, settings that may help are measured as well.
    """

    before: str
    after: str
    files: Mapping[str, str]
    addresses: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, str] = (f"{BEFORE}.cfg", f"{AFTER}.cfg")
    is_advised: bool = True
    look_alikes: LookAlikes = field(default_factory=LookAlikes)

    @property
    def is_changed(self) -> bool:
        """True if another configuration is loaded than the one in service."""
        return self.before != self.after

    @cached_property
    def around(self) -> Surroundings:
        """Return its surroundings. Raises UserError for a part that only the user can provide."""
        texts = dict(zip(self.names, (self.before, self.after), strict=True))
        given = {_path(name): text for name, text in self.files.items()}
        return surround(texts, given, self.env, self.look_alikes)

    @property
    def texts(self) -> dict[str, str]:
        """Return the configurations as they are loaded, by their names in scenarios."""
        before, after = (self.around.texts[name] for name in self.names)
        return {BEFORE: before, AFTER: after}

    @property
    def interfaces(self) -> dict[str, str]:
        """Return the interfaces to which binds are restricted, by the binds' labels."""
        return {**interfaces(self.before, self.env), **interfaces(self.after, self.env)}

    @cached_property
    def checks(self) -> health_checks.Checks:
        """Return the checks of servers; a resolver is among the servers."""
        found = health_checks.read(self.texts.values())
        found.servers.append(f"{RESOLVER}:53")
        return found

    @property
    def ranges(self) -> list[tuple[str, int, int]]:
        """Return the ranges of ports that are bound, which are asked at their ends."""
        return [*ranges(self.before, self.env), *ranges(self.after, self.env)]

    @property
    def datagrams(self) -> list[str]:
        """Return the addresses that are bound by UDP. They are not probed."""
        both = (*datagrams(self.before, self.env), *datagrams(self.after, self.env))
        return list(dict.fromkeys(both))

    @property
    def root(self) -> dict[str, Any]:
        """Return HAProxy's root without its files, as scenario.yml has it."""
        around = self.around
        return {
            "folders": list(around.folders),
            "users": list(around.users),
            "groups": list(around.groups),
            "hosts": list(around.hosts),
        }

    @property
    def played(self) -> dict[str, Any]:
        """Return the answers of servers to checks, as scenario.yml has them."""
        return {
            "protocols": self.checks.protocols,
            "scripts": self.checks.scripts,
            "expected": self.checks.expected,
            "statuses": self.checks.statuses,
            "certificate": self._certificate,
        }

    @property
    def _certificate(self) -> str:
        """Return a key, and a certificate that is good where a made CA file is asked."""
        lines = (line.texts for text in self.texts.values() for line in parse(text))
        verified = (name for line in lines for name in names_of_servers(line))
        names = [self.site, *self.around.hosts, *verified]
        return self.look_alikes.private_key() + self.look_alikes.certificate(names, NOBODY)

    @property
    def peer(self) -> str:
        """Return the name by which HAProxy finds itself among its peers: the first one's."""
        return next(
            (name for text in self.texts.values() for name in health_checks.peers(text)), ""
        )

    @property
    def site(self) -> str:
        """Return the name that is asked for."""
        return health_checks.site(self.texts.values())


def _path(name: str) -> str:
    return name[len(ROOT) - 1 :] if name.startswith(ROOT) else _ETC + name


def _name(path: str) -> str:
    """Return how a scenario has a file of a path in HAProxy's root."""
    for folder in (_ETC, _IMAGES_ETC):
        if path.startswith(folder):
            return path[len(folder) :]
    return ROOT + path.lstrip("/")


def load_own(
    config: Path,
    after: Path | None,
    given: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
    is_advised: bool = True,
) -> Own:
    """Read a configuration, and what lies beside it and is named in it.

    `given` are further files, by their paths in HAProxy's root. Keys and certificates are replaced,
    since a run keeps its scenarios. Raises UserError for what cannot be read, is too much, or is
    missing and cannot be made.
    """
    look_alikes = LookAlikes()
    before = text_of(config)
    loaded = text_of(after) if after else before
    for file, text in ((config, before), (after or config, loaded)):
        if not any(map(_is_bound, parse(text))):
            raise UserError(f"{file}: it binds no address: there is no `bind` line with one.")
    beside = {
        file.relative_to(config.resolve().parent).as_posix(): file
        for file in _beside(config, before + loaded)
    }
    files: dict[str, str] = {}
    for name, file in {**beside, **{_name(p): f for p, f in (given or {}).items()}}.items():
        text = text_of(file)
        files[name] = _replace_certificates(text, look_alikes)
        _require_few(files, config)
    names = (config.name, after.name if after and after.name != config.name else AFTER)
    own = Own(
        before, loaded, files,
        env=env or {}, names=names, is_advised=is_advised, look_alikes=look_alikes,
    )  # fmt: skip
    _ = own.around
    return own


def _is_bound(line: Line) -> bool:
    """Return whether a line binds an address, also as HAProxy 1.8 has it, behind a proxy's name."""
    has_address = line.texts[:1] in (["listen"], ["frontend"]) and len(line.texts) > 2
    return has_address or (line.texts[:1] in (["bind"], ["dgram-bind"]) and len(line.texts) > 1)


def _replace_certificates(text: str, look_alikes: LookAlikes) -> str:
    """Return a file without its keys and certificates; who trusts these, trusts ours as well."""
    if BEGIN not in text:
        return text
    made = look_alikes.pem(text)
    return made if PRIVATE in made else made + look_alikes.certificate([NOBODY])


def _beside(config: Path, texts: str) -> Iterator[Path]:
    """Yield the files beside a configuration that it names, itself or by their folders."""
    folder = config.resolve().parent
    try:
        named = [each for each in sorted(folder.iterdir()) if each.name in texts]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from error
    for each in named:
        files = sorted(each.rglob("*")) if is_there(each, Path.is_dir) else [each]
        for file in files:
            if is_there(file, Path.is_file) and not file.samefile(config):
                yield file


def _require_few(files: Mapping[str, str], config: Path) -> None:
    if len(files) > _MOST_FILES or sum(map(len, files.values())) > _MOST_BYTES:
        raise UserError(
            f"{config.parent} has too much that {config.name} seems to name: more than "
            f"{_MOST_FILES} files or {_MOST_BYTES // 10**6} MB."
        )
