"""Scenarios: a reload sequence as a folder with `scenario.yml` and plain HAProxy configurations."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from hatester.configurations import Bind, Configuration, interface_address, parse_bind
from hatester.declarations import Declaration, load, require, text_of
from hatester.errors import UserError
from hatester.matrix import NAME
from hatester.steps import Entries, Reload, Step, Wait
from hatester.story import World
from hatester.words import quoted

InterfaceAddress = ipaddress.IPv4Interface | ipaddress.IPv6Interface
"""An address with its prefix length."""


def _interface_address(text: object) -> InterfaceAddress:
    try:
        return interface_address(str(text))
    except ValueError as error:
        raise ValueError(f"{quoted(text)} is no address such as 192.168.42.43/32") from error


WrittenAddress = Annotated[InterfaceAddress, pydantic.BeforeValidator(_interface_address)]


def _different(addresses: tuple[InterfaceAddress, ...]) -> tuple[InterfaceAddress, ...]:
    seen = set()
    for each in addresses:
        if each.ip in seen:
            raise ValueError(f"{each.ip} comes twice")
        seen.add(each.ip)
    return addresses


def _place(text: str) -> str:
    parse_bind(text).require_address()
    return text


Place = Annotated[str, pydantic.AfterValidator(_place)]
"""An address and a port, such as 192.168.42.43:80, fd00::1:80 or *:81."""


class _File(Declaration):
    """The content of scenario.yml."""

    description: str
    interface: Literal["dummy0", "veth0"] = "dummy0"
    addresses: Annotated[
        tuple[WrittenAddress, ...],
        pydantic.AfterValidator(_different),
    ]
    probe_interval: Annotated[float, pydantic.Field(ge=0.005, le=1)] | None = None
    binds: Mapping[str, Mapping[Place, Literal["named", "any", "close"]]] = {}
    servers: tuple[Place, ...] = ()
    steps: Entries


@dataclass(frozen=True)
class Scenario:
    """A reload sequence.

    `addresses`, with their prefix lengths, are on `interface` at its beginning: dummy0, or veth0,
    where IPv6 duplicate address detection runs. `files` is what lies beside scenario.yml, by name.
    `probe_interval` is the seconds between two probes of an address, where it asks for its own.
    `servers` are the addresses, such as 10.0.0.5:8080, at which somebody is to answer HAProxy.
    """

    name: str
    description: str
    interface: str
    addresses: tuple[str, ...]
    probe_interval: float | None
    steps: tuple[Step, ...]
    configurations: Mapping[str, Configuration]
    files: Mapping[str, str]
    servers: tuple[str, ...] = ()

    @property
    def binds(self) -> tuple[Bind, ...]:
        """All that its configurations bind, each label once, in the order of checks."""
        found: dict[str, Bind] = {}
        for configuration in self.configurations.values():
            for bind in configuration.binds:
                found.setdefault(bind.label, bind)
        return tuple(found.values())

    def world(self) -> World:
        """What is there at its beginning."""
        addresses = {address.partition("/")[0] for address in self.addresses}
        return World(
            self.interface, [*self.configurations], [*self.files], {self.interface, *addresses}
        )


def load_scenario(folder: Path) -> Scenario:
    """Read a scenario. Raises UserError naming its file, the step and the choices."""
    path = folder / "scenario.yml"
    if not re.fullmatch(NAME, folder.name):
        raise UserError(f"{folder}: this is no name for a scenario: letters, digits and .+_- are.")
    content = load(path, _File)
    files = {
        file.relative_to(folder).as_posix(): text_of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    del files[path.name]
    stems = [name[:-4] for name in files if name.endswith(".cfg") and "/" not in name]
    for name in content.binds:
        require(name, stems, f"{path}: binds")
    scenario = Scenario(
        name=folder.name,
        description=content.description,
        interface=content.interface,
        addresses=tuple(str(address) for address in content.addresses),
        probe_interval=content.probe_interval,
        steps=tuple(step for entry in content.steps.values() for step in entry.steps),
        configurations={
            stem: Configuration(stem, files[f"{stem}.cfg"], _stated(content.binds.get(stem)))
            for stem in stems
        },
        files=files,
        servers=content.servers,
    )
    for configuration in scenario.configurations.values():
        try:
            _ = configuration.binds
        except ValueError as error:
            raise UserError(f"{folder / configuration.name}.cfg: {error}.") from error
    _check_story(path, content, scenario)
    return scenario


def _stated(answers: Mapping[str, str] | None) -> tuple[Bind, ...] | None:
    """What a scenario says that a configuration binds, with how each address answers."""
    if answers is None:
        return None
    return tuple(replace(parse_bind(text), answer=answer) for text, answer in answers.items())


def _check_story(path: Path, content: _File, scenario: Scenario) -> None:
    """What one step alone does not tell, under the numbers that its entries have in the file."""
    world = scenario.world()
    for number, entry in content.steps.items():
        for step in entry.steps:
            try:
                world.take(step)
            except UserError as error:
                raise UserError(f"{path}: steps: {number}: {error}") from error
    if not any(isinstance(step, Reload) for step in scenario.steps):
        raise UserError(f"{path}: steps: HAProxy is never reloaded.")


def present(scenario: Scenario) -> dict[int, tuple[Bind, ...]]:
    """For each reload, by the number of its step, the binds whose address is there throughout.

    That is, it is there when the reload is asked for, and no step takes it away while the reload is
    observed: up to the next reload, or the next step that waits for the end of the observation.
    """
    world = scenario.world()
    there: dict[int, set[str]] = {}
    observed: set[str] = set()
    for number, step in enumerate(scenario.steps, start=1):
        is_early = isinstance(step, Wait) and step.until != "steady"
        if step.after is None and not is_early:
            observed = set()
        world.take(step)
        if isinstance(step, Reload):
            observed = there[number] = set(world.there)
        # In place: it is the set of the reload that is being observed.
        observed &= world.there
    return {
        number: tuple(bind for bind in scenario.binds if _needs(bind, scenario) <= names)
        for number, names in there.items()
    }


def _needs(bind: Bind, scenario: Scenario) -> set[str]:
    """The address and the interface without which it cannot be reached."""
    needs = set() if bind.is_wildcard else {bind.address}
    return needs | ({scenario.interface} & {bind.interface})
