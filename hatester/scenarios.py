"""Scenarios: a reload sequence as a folder with `scenario.yml` and plain HAProxy configurations."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from hatester.configurations import Bind, Configuration
from hatester.errors import UserError
from hatester.matrix import Declaration, load, require

SECONDS = Annotated[float, pydantic.Field(ge=0, le=600)]
VERBS = ("start", "check", "remove", "reload")


class Start(Declaration):
    """HAProxy is started with a configuration."""

    verb: Literal["start"]
    configuration: str


class Check(Declaration):
    """One connection to each address, `after` seconds after the last start or reload."""

    verb: Literal["check"]
    after: SECONDS = 0


class Remove(Declaration):
    """An address is taken from dummy0."""

    verb: Literal["remove"]
    address: str


class Reload(Declaration):
    """HAProxy is told to reload with a configuration."""

    verb: Literal["reload"]
    configuration: str


Step = Start | Check | Remove | Reload


def _parse_step(content: object) -> object:
    """`reload: with`, `check: {after: 2}` or a bare `check`, as what the models take."""
    if isinstance(content, str):
        content = {content: ""}
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError(f"a step is one verb ({', '.join(VERBS)}) and what it applies to")
    [(verb, argument)] = content.items()
    if verb not in VERBS:
        raise ValueError(f"there is no verb '{verb}' (there are: {', '.join(VERBS)})")
    if isinstance(argument, dict):
        return {"verb": verb, **argument}
    if verb == "check":
        return {"verb": verb}
    return {"verb": verb, "address" if verb == "remove" else "configuration": argument}


def _interface(text: object) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(str(text))
    except ValueError as error:
        raise ValueError(f"'{text}' is no address such as 192.168.42.43/32") from error


class _File(Declaration):
    """The content of scenario.yml."""

    description: str
    addresses: tuple[
        Annotated[
            ipaddress.IPv4Interface | ipaddress.IPv6Interface,
            pydantic.BeforeValidator(_interface),
        ],
        ...,
    ]
    steps: tuple[
        Annotated[
            Annotated[Step, pydantic.Field(discriminator="verb")],
            pydantic.BeforeValidator(_parse_step),
        ],
        ...,
    ]


@dataclass(frozen=True)
class Scenario:
    """A reload sequence.

    `addresses` are on dummy0 at its beginning, `files` is what lies beside scenario.yml, by name.
    """

    name: str
    description: str
    addresses: tuple[str, ...]
    steps: tuple[Step, ...]
    configurations: Mapping[str, Configuration]
    files: Mapping[str, str]

    @property
    def binds(self) -> tuple[Bind, ...]:
        """All that its configurations bind, in the order in which they are checked."""
        return tuple(
            dict.fromkeys(bind for each in self.configurations.values() for bind in each.binds)
        )


def load_scenario(folder: Path) -> Scenario:
    """Read a scenario. Raises UserError naming its file, the step and the choices."""
    path = folder / "scenario.yml"
    content = load(path, _File)
    files = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and file != path:
            try:
                files[file.name] = file.read_bytes().decode()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{file} is no text that can be read: {error}.") from error
    scenario = Scenario(
        name=folder.name,
        description=content.description,
        addresses=tuple(str(address) for address in content.addresses),
        steps=content.steps,
        configurations={
            Path(name).stem: Configuration(Path(name).stem, text)
            for name, text in files.items()
            if name.endswith(".cfg")
        },
        files=files,
    )
    _check_story(path, scenario)
    return scenario


def _check_story(path: Path, scenario: Scenario) -> None:
    """What one step alone does not tell."""
    for configuration in scenario.configurations.values():
        try:
            _ = configuration.binds
        except ValueError as error:
            raise UserError(f"{path.parent / configuration.name}.cfg: {error}.") from error
    present = {address.partition("/")[0] for address in scenario.addresses}
    started = False
    for number, step in enumerate(scenario.steps, start=1):
        place = f"{path}: step {number}"
        if started == isinstance(step, Start) and not isinstance(step, Remove):
            wrong = "HAProxy is started already" if started else "HAProxy is not started yet"
            raise UserError(f"{place}: {step.verb}: {wrong}.")
        if isinstance(step, Start | Reload):
            require(step.configuration, scenario.configurations, f"{place}: {step.verb}")
            started = True
        elif isinstance(step, Remove):
            require(step.address, sorted(present), f"{place}: remove")
            present.discard(step.address)


def should_answer(scenario: Scenario) -> dict[int, tuple[Bind, ...]]:
    """For each check, by the number of its step, the addresses that should answer then.

    These are the ones that are present and bound by the configuration that was loaded last as
    well as by the one before it.
    """
    present = {address.partition("/")[0] for address in scenario.addresses}
    before: Configuration | None = None
    loaded: Configuration | None = None
    expected = {}
    for number, step in enumerate(scenario.steps, start=1):
        if isinstance(step, Start | Reload):
            before, loaded = loaded, scenario.configurations[step.configuration]
        elif isinstance(step, Remove):
            present.discard(step.address)
        elif loaded:
            both = set(loaded.binds) & set((before or loaded).binds)
            expected[number] = tuple(
                bind
                for bind in scenario.binds
                if bind in both and (bind.is_wildcard or bind.address in present)
            )
    return expected
