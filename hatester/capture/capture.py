"""A production host as it is there, without its secrets and without a change to it."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from hatester.capture import redact_haproxy, sysctls, unit
from hatester.capture.files import Gathered, gather
from hatester.capture.host import Host
from hatester.capture.redact import Copies
from hatester.capture.remote import Answer, Remote
from hatester.capture.unit import Arguments, Process, Service
from hatester.util.errors import UserError
from hatester.util.text import printable

DEFAULT = ("/etc/haproxy/haproxy.cfg",)
"""Debian's, where neither a process nor a unit names another."""

FACTS = {
    "release": "uname -r",
    "machine": "uname -m",
    "architecture": "dpkg --print-architecture",
    "system": "cat /etc/os-release",
    "package": "dpkg-query -W -f '${db:Status-Status} ${Version}' haproxy",
    "version": "haproxy -v",
    "unit": unit.UNIT_TEXT,
    "main": unit.MAIN_PROCESS,
    "processes": unit.PROCESSES,
    "sysctls": sysctls.IN_FORCE,
    "addresses": "ip -json -details address show",
}
_TOLD = {"unit": unit.UNIT, "sysctls": "sysctls in force", "addresses": "addresses"}
"""Those whose lack is told, by what they are."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NOT_THERE = ("No such file or directory", "Neither file nor folder")
"""Where nothing has to be; a link to /dev/null takes a file of sysctls away."""


@dataclass(frozen=True)
class Captured:
    """A host, and the texts of its copied files by their paths."""

    host: Host
    files: Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """What was seen of a host: by commands, of its settings, and of HAProxy."""

    facts: Mapping[str, Answer]
    environment: Mapping[str, Answer]
    sysctls: Mapping[str, Answer]
    service: Service
    process: Process | None
    arguments: Arguments
    gathered: Gathered


def capture(remote: Remote, configurations: Sequence[str] = ()) -> Captured:
    """Capture a host; `configurations` are HAProxy's where the host does not say it itself.

    Raises UserError where no configuration of HAProxy can be read.
    """
    seen = _see(remote, configurations)
    gathered = seen.gathered
    if not gathered.configuration:
        problems = printable(", ".join(map(": ".join, gathered.problems.items())))
        raise UserError(f"No configuration of HAProxy can be read there ({problems}).")
    copies = Copies(redact_haproxy.declared([*gathered.of_kind("configuration").values()]))
    files = copies.all(
        gathered, {p: each.text for p, each in seen.environment.items() if each.text}
    )
    content = _content(seen, copies)
    content["files"] = sorted(files)
    content["not_read"] = _not_read(seen)
    content["replaced"] = [*dict.fromkeys(map(str, copies.placeholders.replaced))]
    try:
        return Captured(Host.model_validate(content), files)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ": ".join(map(str, first["loc"]))
        raise UserError(f"The host tells what cannot be: {place}: {first['msg']}.") from error


def _see(remote: Remote, configurations: Sequence[str]) -> Seen:
    facts = remote.ask(FACTS)
    service = unit.parse_unit(facts["unit"].text)
    files = [each for each in service.environment_files if posixpath.normpath(each) == each]
    settings = remote.read([*sysctls.FOLDERS, *files])
    folders = {path: settings.pop(path).names or () for path in sysctls.FOLDERS}
    found = unit.processes(facts["processes"].text)
    process = unit.main_process(found, facts["main"].text)
    words = process.words if process else service.words(each.text for each in settings.values())
    arguments = unit.parse_arguments(words)
    paths = configurations or arguments.configurations or DEFAULT
    return Seen(
        facts=facts,
        environment=settings,
        sysctls=remote.read(sysctls.applied(folders)),
        service=service,
        process=process,
        arguments=arguments,
        gathered=gather(remote, paths, arguments.folder),
    )


def _content(seen: Seen, copies: Copies) -> dict[str, Any]:
    """What a Host has, but for what its files tell."""
    facts = {name: answer.text.strip() for name, answer in seen.facts.items()}
    system = dict(
        word.partition("=")[::2] for line in facts["system"].splitlines() for word in _split(line)
    )
    in_force = sysctls.values(facts["sysctls"])
    nofile = seen.process.nofile if seen.process else None
    architecture = facts["architecture"] or _ARCHITECTURES.get(facts["machine"], facts["machine"])
    return {
        "kernel": {"release": facts["release"], "architecture": architecture},
        "system": {"id": system.get("ID", "linux"), "suite": system.get("VERSION_CODENAME")},
        "haproxy": _haproxy(facts["package"], facts["version"]),
        "unit": {
            "text": copies.of(unit.UNIT).settings(facts["unit"]),
            "type": seen.service.last("Type"),
            "reload": _reload(seen),
        },
        "arguments": [
            copies.of("arguments").any_text(printable(each)) for each in seen.arguments.others
        ],
        "configuration": seen.gathered.configuration,
        "sysctls": sysctls.own(
            [each.text for each in seen.sysctls.values()], in_force, facts["release"]
        ),
        "limits": {"nofile": nofile} if nofile else {},
        "addresses": _addresses(facts["addresses"]) or [],
    }


def _haproxy(package: str, told: str) -> dict[str, str]:
    """By Debian's package, or else by what HAProxy says of itself."""
    status, _, version = package.partition(" ")
    if status == "installed":
        return {"version": version, "package": "haproxy"}
    said = re.search(r"version (\d[A-Za-z0-9.+~-]*)", told)
    return {"version": said[1]} if said else {}


def _reload(seen: Seen) -> str:
    """One of models.METHODS: by the unit, if it is the one that runs HAProxy, or by its process."""
    is_unit = bool(seen.service.last("ExecStart") and seen.service.last("ExecReload"))
    main = seen.facts["main"].text.strip()
    if is_unit and (seen.process is None or main in ("", str(seen.process.pid))):
        return "systemd"
    texts = (seen.gathered.texts[path] for path in seen.gathered.configuration)
    is_master = seen.arguments.has_master or any(
        re.search(r"^\s*master-worker\b", text, re.MULTILINE) for text in texts
    )
    return "signal" if is_master else "soft-finish"


def _addresses(text: str) -> list[dict[str, str]] | None:
    """Those of `ip -json -details address` that others can reach; None for what makes no sense."""
    try:
        return [
            {
                "address": f"{address['local']}/{address['prefixlen']}",
                "interface": printable(link["ifname"]),
                "kind": link.get("linkinfo", {}).get("info_kind") or link["link_type"],
            }
            for link in json.loads(text)
            for address in link.get("addr_info", ())
            if address.get("scope") not in ("host", "link")
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _not_read(seen: Seen) -> list[str]:
    lacks = {_TOLD[name]: seen.facts[name].problem for name in _TOLD}
    if not lacks["addresses"] and _addresses(seen.facts["addresses"].text) is None:
        lacks["addresses"] = "makes no sense"
    if seen.process is None:
        lacks["limits"] = "no HAProxy runs"
    for path, answer in {**seen.environment, **seen.sysctls}.items():
        if answer.problem not in _NOT_THERE:
            lacks[path] = answer.problem
    lacks |= seen.gathered.problems
    return [printable(f"{what}: {problem}") for what, problem in lacks.items() if problem]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []
