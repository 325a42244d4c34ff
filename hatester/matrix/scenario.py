"""Scenarios: a reload sequence as a folder with `scenario.yml` and plain HAProxy configurations."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hatester.matrix.binds import (
    Bind,
    Configuration,
    Place,
    interface_address,
    interfaces,
    parse_bind,
    stats_socket,
)
from hatester.matrix.clients import Clients, modes, require_sense
from hatester.matrix.declarations import METHODS, NAME, Line, Methods, Setting, SysctlName, Versions
from hatester.matrix.haproxy_config import parse
from hatester.matrix.scenario_state import World
from hatester.matrix.steps import (
    Ask,
    Duration,
    Entries,
    Reload,
    Restart,
    Start,
    Step,
    Upgrade,
    Wait,
)
from hatester.util.errors import UserError
from hatester.util.text import brief, quoted
from hatester.util.validation import Declaration, load, require, text_form, text_of
from provision.guest.connections import ANY, HOST, NAMED
from provision.guest.haproxy_root import ETC
from provision.guest.plan import REPORT_SECONDS

_FILE = "scenario.yml"
BEFORE, AFTER = "before", "after"
"""The names of the configurations in the scenarios that are made."""

RELOAD, RELOAD_SAME = "reload", "reload-same"
"""Nothing is lost: the next configuration is loaded, or the same again."""
LOST, BACK, ABSENT = "lost", "back", "absent"
"""An address is lost before a reload; comes back while HAProxy reloads; is not there at the start.
"""
ALL = "all"

PLAIN = "plain"
ADVISED = (PLAIN, "nonlocal-bind", "transparent")
"""Settings by which HAProxy binds what is not there, beside none."""

ROOT, MADE = "root/", "made/"
"""Folders of a scenario whose files go to the same place in HAProxy's root; those of `made` only if
the build has no file there."""


def _interface_address(text: object) -> str:
    try:
        return str(interface_address(str(text)))
    except ValueError as error:
        raise ValueError(f"{quoted(text)} is not an address such as 192.168.42.43/32") from error


WrittenAddress = Annotated[str, pydantic.BeforeValidator(_interface_address)]


def _different(addresses: tuple[str, ...]) -> tuple[str, ...]:
    seen = set()
    for ip in (interface_address(each).ip for each in addresses):
        if ip in seen:
            raise ValueError(f"{ip} comes twice")
        seen.add(ip)
    return addresses


WrittenAddresses = Annotated[tuple[WrittenAddress, ...], pydantic.AfterValidator(_different)]
InterfaceName = Annotated[str, text_form(r"[A-Za-z0-9._-]{1,15}", "the name of an interface")]
VariableName = Annotated[str, text_form(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable")]
Answer = Literal["named", "any", "tls", "proxy", "proxy-tls", "close", "connect"]
"""One of `provision/guest/connections.py`'s."""


class Root(Declaration):
    """HAProxy's root beside its files: folders, users, groups, and host names that resolve."""

    folders: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Checks(Declaration):
    """Answers of servers to checks.

    By port, they have a protocol, or the texts that are sent at first and after each message. For
    HTTP they have texts in bodies and statuses by path; for TLS a certificate with its key. Bytes
    are written as characters of Latin-1.
    """

    protocols: Mapping[str, Literal["smtp", "mysql", "pgsql", "ldap", "redis", "agent"]] = {}
    scripts: Mapping[str, tuple[str, ...]] = {}
    expected: tuple[str, ...] = ()
    statuses: Mapping[str, Annotated[int, pydantic.Field(ge=200, le=599)]] = {}
    certificate: str = ""


class Needs(Declaration):
    """The needs of a scenario; cells without them are left out of a run."""

    haproxy: Versions | None = None
    linux: Versions | None = None
    methods: Methods = tuple(METHODS)


class Scenario(Declaration):
    """A reload sequence: the content of scenario.yml, and the files beside it.

    `sysctls`, `nofile` and `arguments` are added to a setting's. HAProxy has `report_within`
    seconds for its report of a reload. `addresses`, with their prefix lengths, are on `interface`
    at its beginning: dummy0, or veth0, where IPv6 duplicate address detection runs. `interfaces`
    are further ones with their addresses. `probe_interval` is the seconds between two probes of an
    address, where it asks for its own. `stated` are the binds of configurations, with the answers
    that count, where these need not be read from them. `servers` are the addresses, such as
    10.0.0.5:8080, at which mock servers answer HAProxy, and its checks as `checks` says. `site` is
    the name that HAProxy is asked for, `peer` its own name among its peers. `env` has variables of
    its environment. `needs` are the versions and the reload methods that it is for.
    """

    sysctls: Mapping[SysctlName, Line] = {}
    nofile: Annotated[int, pydantic.Field(gt=0)] | None = None
    arguments: tuple[Line, ...] = ()
    report_within: Annotated[Duration, pydantic.Field(ge=1)] = REPORT_SECONDS
    description: str
    interface: Literal["dummy0", "veth0"] = "dummy0"
    addresses: WrittenAddresses
    interfaces: Mapping[InterfaceName, WrittenAddresses] = {}
    probe_interval: Annotated[float, pydantic.Field(ge=0.005, le=1)] | None = None
    stated: Mapping[str, Mapping[Place, Answer]] = pydantic.Field(default={}, alias="binds")
    servers: tuple[Place, ...] = ()
    checks: Checks = Checks()
    clients: Clients = Clients()
    site: str = HOST
    peer: str = ""
    env: Mapping[VariableName, str] = {}
    root: Root = Root()
    needs: Needs = Needs()
    entries: Entries = pydantic.Field(alias="steps")
    _folder: Path = pydantic.PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Note the folder of scenario.yml."""
        self._folder = context["folder"]

    @property
    def name(self) -> str:
        return self._folder.name

    @functools.cached_property
    def files(self) -> dict[str, str]:
        """The texts of all files below the folder except scenario.yml, by their paths there."""
        files = (file for file in sorted(self._folder.rglob("*")) if file.is_file())
        texts = {file.relative_to(self._folder).as_posix(): text_of(file) for file in files}
        del texts[_FILE]
        return texts

    @functools.cached_property
    def configurations(self) -> dict[str, Configuration]:
        """The configurations beside scenario.yml, by their names without `.cfg`."""
        return {
            name.removesuffix(".cfg"): self._configuration(name.removesuffix(".cfg"), text)
            for name, text in self.files.items()
            if name.endswith(".cfg") and "/" not in name
        }

    def _configuration(self, name: str, text: str) -> Configuration:
        if name not in self.stated:
            return Configuration(name, text, env=self.env)
        through = interfaces(text, self.env)
        binds = [(parse_bind(place), answer) for place, answer in self.stated[name].items()]
        stated = (
            replace(bind, interface=through.get(bind.label), answer=answer)
            for bind, answer in binds
        )
        return Configuration(name, text, tuple(stated))

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps, each as often as it happens."""
        return tuple(step for entry in self.entries.values() for step in entry.steps)

    @functools.cached_property
    def binds(self) -> tuple[Bind, ...]:
        """Return the binds to watch, each label once, in the order of checks."""
        found: dict[str, Bind] = {}
        for configuration in self.configurations.values():
            for bind in configuration.binds:
                found.setdefault(bind.label, bind)
        return tuple(each for each in found.values() if each.label not in self.clients.unwatched)

    @property
    def web(self) -> tuple[Bind, ...]:
        """Return the binds that are watched and speak HTTP without TLS or a PROXY header."""
        mode: dict[str, str] = {}
        for configuration in self.configurations.values():
            mode |= modes(configuration)
        plain = (bind for bind in self.binds if bind.answer in (NAMED, ANY))
        return tuple(bind for bind in plain if mode.get(bind.label) == "http")

    @property
    def upgrades(self) -> list[Upgrade]:
        """The steps that upgrade HAProxy."""
        return [step for step in self.steps if isinstance(step, Upgrade)]

    def world(self, sysctls: Mapping[str, str] | None = None) -> World:
        """Return the state of the guest at its beginning, under a setting's sysctls."""
        homes = {self.interface: self.addresses, **self.interfaces}
        prefixes = {name: [*map(interface_address, each)] for name, each in homes.items()}
        addresses = {str(each.ip) for each in itertools.chain(*prefixes.values())}
        names = (f"net.ipv4.conf.{each}.promote_secondaries" for each in ("all", self.interface))
        return World(
            self.interface,
            [*self.configurations],
            [*self.files],
            {self.interface, *addresses},
            prefixes,
            self.servers,
            [name for name, each in self.configurations.items() if stats_socket(each.text)],
            {*self.needs.methods} <= {"cli", "systemd"},
            promotes=any((sysctls or {}).get(name) == "1" for name in names),
        )


def load_scenario(folder: Path) -> Scenario:
    """Read a scenario. Raises UserError naming its file, the step and the choices."""
    path = folder / _FILE
    if not re.fullmatch(NAME, folder.name):
        raise UserError(f"{folder}: the name of a scenario has letters, digits and .+_- only.")
    scenario = load(path, Scenario)
    for name in scenario.stated:
        require(name, scenario.configurations, f"{path}: binds")
    _require_binds(folder, scenario)
    _require_files(folder, scenario)
    require_sense(scenario.clients, scenario.configurations.values(), f"{path}: clients")
    _check_story(path, scenario)
    return scenario


def _require_binds(folder: Path, scenario: Scenario) -> None:
    """Raise UserError for a configuration whose binds cannot be read."""
    for configuration in scenario.configurations.values():
        try:
            _ = configuration.binds
        except ValueError as error:
            raise UserError(f"{folder / configuration.name}.cfg: {error}.") from error
    if not scenario.binds:
        raise UserError(f"{folder}: no configuration binds an address, so nothing can be observed.")


def _require_files(folder: Path, scenario: Scenario) -> None:
    """Raise UserError for a file of /etc/haproxy that a configuration names and nobody provides.

    The scenarios that are made of a configuration have roots of their own.
    """
    if scenario.root != Root() or any(name.startswith((ROOT, MADE)) for name in scenario.files):
        return
    for configuration in scenario.configurations.values():
        words = (word for line in parse(configuration.text) for word in _read_words(line.texts))
        for word in words:
            name = word.partition("/etc/haproxy/")[2].partition(",")[0].rstrip("/")
            is_folder = any(file.startswith(f"{name}/") for file in scenario.files)
            if name and name not in scenario.files and not is_folder:
                raise UserError(
                    f"{folder / configuration.name}.cfg: {quoted(word)} is missing: put "
                    f"{brief(name)} beside scenario.yml."
                )


def _read_words(texts: Sequence[str]) -> Sequence[str]:
    """Return the words of a line that may name files which HAProxy reads, and does not make."""
    is_made = texts[:1] in (["pidfile"], ["bind"]) or list(texts[:2]) == ["stats", "socket"]
    return [] if is_made else [text for text in texts if text.startswith("/etc/haproxy/")]


def _check_story(path: Path, scenario: Scenario) -> None:
    """Raise UserError for a step that is impossible where it stands, with its number."""
    world = scenario.world(scenario.sysctls)
    for number, entry in scenario.entries.items():
        for step in entry.steps:
            try:
                world.take(step)
            except UserError as error:
                raise UserError(f"{path}: steps: {number}: {error}") from error
    if not any(isinstance(step, Reload | Restart) for step in scenario.steps):
        raise UserError(f"{path}: steps: HAProxy is never reloaded.")


def planned_socket(scenario: Scenario, setting: Setting, number: int) -> str:
    """Return the path of the socket that step `number` asks; empty for the master's.

    A stats socket is the one of the configuration that was loaded last.
    """
    step = scenario.steps[number - 1]
    if not isinstance(step, Ask) or step.socket == "master":
        return ""
    loads = [each for each in scenario.steps[:number] if isinstance(each, Start | Restart | Reload)]
    text = scenario.configurations[loads[-1].configuration].under(setting)
    return stats_socket(text) or ""


def path_in_root(name: str) -> str:
    """Return where a file of a scenario is in HAProxy's root."""
    for folder in (ROOT, MADE):
        if name.startswith(folder):
            return name[len(folder) - 1 :]
    return f"{ETC}/{name}"


class Presence(NamedTuple):
    """The binds whose address is there during a start or reload: throughout, and at its end."""

    throughout: tuple[Bind, ...]
    finally_: tuple[Bind, ...]


def presence(scenario: Scenario, sysctls: Mapping[str, str] | None = None) -> dict[int, Presence]:
    """Return the binds whose address is present during each start and reload, by its step.

    `sysctls` are those of the setting. Each start and reload is observed until the next reload, or
    the next step that waits for its end.
    """
    world = scenario.world(sysctls)
    there: dict[int, list[set[str]]] = {}
    observed: int | None = None
    for number, step in enumerate(scenario.steps, start=1):
        is_early = isinstance(step, Wait) and step.is_early
        if step.after is None and not is_early:
            observed = None
        world.take(step)
        if isinstance(step, Start | Restart | Reload):
            observed = number
        if observed:
            there.setdefault(observed, []).append(set(world.there))
    return {
        number: Presence(_there(scenario, set.intersection(*each)), _there(scenario, each[-1]))
        for number, each in there.items()
    }


def _there(scenario: Scenario, names: set[str]) -> tuple[Bind, ...]:
    return tuple(bind for bind in scenario.binds if _needs(bind, scenario) <= names)


def _needs(bind: Bind, scenario: Scenario) -> set[str]:
    """Return the address and the interface without which a bind cannot be reached."""
    needs = {bind.address} if bind.can_be_missing else set()
    return needs | ({scenario.interface} & {bind.interface})
