"""The capture of a production host: it is only read, and an allow-list decides what is kept.

No value is kept because it does not look like a secret. A value is kept if its directive is on the
list, and if it has the form that this directive takes.
"""

from __future__ import annotations

import collections
import ipaddress
import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hatester.capture import stand_ins, sysctls, unit
from hatester.capture.captured_host import CONFIGURATION, Host
from hatester.capture.configuration import Copy, Wanted
from hatester.capture.remote import Answer, Remote
from hatester.capture.stand_ins import Kind, StandIn
from hatester.capture.unit import Arguments, Process, Service
from hatester.capture.value_forms import Names
from hatester.util.errors import UserError

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
_NEEDED = {"unit": unit.UNIT, "sysctls": "sysctls in force", "addresses": "addresses"}
"""The facts whose lack is reported, by how the report calls them."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MACHINES = ("amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x")
_NOT_THERE = ("No such file or directory", "Neither file nor folder")
"""Problems of files that may be missing; a link to /dev/null turns a file of sysctls off."""
_PROBLEMS = (*_NOT_THERE, "Permission denied", "Not a text", "Not a directory", "Is a directory")
_SYSTEMS = frozenset(
    ("almalinux", "alpine", "amzn", "arch", "centos", "debian", "fedora", "gentoo",
     "linuxmint", "nixos", "ol", "opensuse-leap", "raspbian", "rhel", "rocky", "sles", "ubuntu")
)  # fmt: skip
_MOST_FILES = 2000
_PLAIN = re.compile(r"/[^\x00-\x1f\x7f\ud800-\udfff]{1,4000}")
"""A path that a shell can be given."""
_UNASKED = Answer(problem="not read")
_NO_CERTIFICATES = (".ocsp", ".issuer", ".sctl", ".dh", ".key")
"""Endings of files beside a certificate (HAProxy's configuration manual, ssl-load-extra-files)."""
_VERSION = re.compile(
    r"\d(?:[0-9.+~-]|amd64|arm64|aarch64|aws|azure|backports|bpo|build|cloud|deb|default|dev|el|fc|gcp"
    r"|generic|kvm|lowlatency|lts|ppa|pve|rc|rt|ubuntu|u|x86_64){0,60}"
)
"""A release or a version, up to the first word that no distribution uses."""
_SUITES = frozenset(
    ("stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid", "bionic",
     "focal", "jammy", "noble", "plucky", "questing", "resolute")
)  # fmt: skip
_KINDS = frozenset(
    ("bond", "bridge", "dummy", "ether", "geneve", "gre", "ip6gre", "ip6tnl", "ipip", "ipvlan",
     "loopback", "macvlan", "macvtap", "sit", "tun", "veth", "vlan", "vrf", "vxlan",
     "wireguard")
)  # fmt: skip
"""The kinds of interfaces, by ip-link(8)."""


@dataclass(frozen=True)
class Captured:
    """A host, and the texts of its copied files by their paths."""

    host: Host
    files: Mapping[str, str]


@dataclass(frozen=True)
class _Seen:
    """The data read from a host, except the files of HAProxy."""

    facts: Mapping[str, Answer]
    settings: Mapping[str, Answer]
    sysctls: Mapping[str, Answer]
    service: Service
    process: Process | None
    arguments: Arguments
    environment: Mapping[str, str]


def capture(remote: Remote, configurations: Sequence[str] = ()) -> Captured:
    """Capture a host; `configurations` are HAProxy's if the host does not name them itself.

    Raises UserError if no configuration of HAProxy can be read, or the host runs no Linux.
    """
    seen = _see(remote)
    copy = Copy(seen.environment, seen.arguments.folder)
    files = _Files(remote, copy)
    texts = files.read_configurations(configurations or seen.arguments.configurations)
    # HAProxy reads them as one.
    joined = "\n".join(text.removesuffix("\n") for text in texts) + "\n"
    files.copied[CONFIGURATION] = copy.configuration(joined)
    files.read_named()
    release = _version(seen.facts["release"].text)
    if not release:
        raise UserError("The host did not print the release of its Linux (uname -r).")
    addresses = _addresses(seen.facts["addresses"].text, copy.names)
    content = _content(seen, "\n".join(texts))
    content["addresses"] = addresses or []
    content["kernel"] = {"release": release, "architecture": _architecture(seen.facts)}
    content["configurations"] = len(texts)
    content["files"] = sorted(files.copied)
    content["stand_ins"] = files.stand_ins
    content["left_out"] = dict(sorted((+copy.left_out).items()))
    content["not_read"] = [*_not_read(seen, addresses is not None), *files.problems]
    content["not_understood"] = copy.unclear
    return Captured(Host.model_validate(content), files.copied)


def _see(remote: Remote) -> _Seen:
    facts = remote.ask(FACTS)
    service = unit.parse_unit(facts["unit"].text)
    files = [each for each in service.environment_files if posixpath.normpath(each) == each]
    settings = remote.read([*sysctls.FOLDERS, *files])
    folders = {path: settings.pop(path).names or () for path in sysctls.FOLDERS}
    environment = service.variables(each.text for each in settings.values())
    found = unit.processes(facts["processes"].text)
    process = unit.main_process(found, facts["main"].text)
    return _Seen(
        facts=facts,
        settings=settings,
        sysctls=remote.read(sysctls.applied_files(folders)),
        service=service,
        process=process,
        arguments=unit.parse_arguments(process.words if process else service.words(environment)),
        environment=environment,
    )


@dataclass
class _Files:
    """Reads the files of HAProxy: copied texts, stand-ins by their paths, and problems."""

    remote: Remote
    copy: Copy
    copied: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[str, StandIn] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def read_configurations(self, paths: Sequence[str]) -> list[str]:
        """Return the texts of HAProxy's configurations, in their order; a folder has several."""
        asked = self.remote.read(paths or [CONFIGURATION])
        texts = []
        for number, (path, answer) in enumerate(asked.items(), start=1):
            names = [name for name in sorted(answer.names or ()) if name.endswith(".cfg")]
            inside = self.remote.read(f"{path}/{name}" for name in names)
            for each in inside.values() if names else [answer]:
                if each.problem:
                    self.problems.append(f"configuration {number}: {_problem(each)}")
                elif each.names is None:
                    texts.append(each.text)
        if not texts:
            raise UserError(
                "No configuration of HAProxy can be read on the host "
                f"({'; '.join(self.problems) or 'its folder is empty'}). --config PATH names it."
            )
        return texts

    def read_named(self) -> None:
        """Read the files that the copy names: lists first, since they name certificates."""
        kinds: tuple[Kind, ...] = ("list", "certificate", "authorities")
        for kind in kinds:
            wanted = self._wanted(kind)
            if len(wanted) > _MOST_FILES:
                self.problems.append(f"more than {_MOST_FILES} files of certificates")
            paths = [each.path for each in wanted.values() if _PLAIN.fullmatch(each.path)]
            asked = self.remote.read(paths[:_MOST_FILES])
            for path, each in wanted.items():
                answer = asked.get(each.path, _UNASKED)
                if kind == "list":
                    self.copied[path] = self._copy_list(each, answer)
                elif answer.names is None or not each.can_be_folder:
                    self.stand_ins[path] = self._describe_certificates(each, answer)
                else:
                    self.stand_ins |= _in_folder(path, kind, self._folder(each, answer.names))
        maps = self._wanted("map")
        counts = self.remote.count(e.path for e in maps.values() if _PLAIN.fullmatch(e.path))
        for path, each in maps.items():
            self.stand_ins[path] = self._count_entries(each, counts.get(each.path, _UNASKED))
        for path, each in self._wanted("revocations", "tickets").items():
            self.stand_ins[path] = stand_ins.unread(each.kind)

    def _wanted(self, *kinds: Kind) -> dict[str, Wanted]:
        return {path: each for path, each in self.copy.wanted.items() if each.kind in kinds}

    def _copy_list(self, wanted: Wanted, answer: Answer) -> str:
        """Return the copy of a crt-list; of one that cannot be read, a list of one certificate."""
        if found := self.copy.certificate_list(answer.text):
            return found
        self._note(wanted, _problem(answer) or "it names no certificate")
        return self.copy.certificate_list("unread.pem")

    def _folder(self, wanted: Wanted, names: Iterable[str]) -> list[StandIn]:
        fit = [each for each in sorted(names) if not each.startswith(".")]
        inside = [f"{wanted.path}/{each}" for each in fit if not each.endswith(_NO_CERTIFICATES)]
        asked = self.remote.read(inside[:_MOST_FILES])
        found = [self._describe_certificates(wanted, each) for each in asked.values()]
        return found or [stand_ins.unread(wanted.kind)]

    def _describe_certificates(self, wanted: Wanted, answer: Answer) -> StandIn:
        """Return the stand-in of a file with certificates, the smallest if it cannot be read."""
        found = None if answer.problem else stand_ins.describe(wanted.kind, answer.text)
        if found is None:
            self._note(wanted, _problem(answer) or "it has no certificate")
        return found or stand_ins.unread(wanted.kind)

    def _count_entries(self, wanted: Wanted, answer: Answer) -> StandIn:
        text = answer.text.strip()
        if not text.isdecimal() or len(text) > 7:
            self._note(wanted, _problem(answer))
            text = "0"
        return StandIn(kind="map", entries=int(text), match=wanted.match)

    def _note(self, wanted: Wanted, problem: str) -> None:
        self.problems.append(f"{wanted.where}: {problem}")


def _in_folder(path: str, kind: Kind, found: Sequence[StandIn]) -> dict[str, StandIn]:
    """Return stand-ins by their paths; one file has all authorities, as every HAProxy takes it."""
    if kind == "certificate":
        return {f"{path}/{number}.pem": each for number, each in enumerate(found, start=1)}
    keys = collections.Counter[str]()
    for each in found:
        keys.update(each.keys)
    return {path: StandIn.model_validate({"kind": kind, "keys": keys, "names": 1})}


def _content(seen: _Seen, configuration: str) -> dict[str, Any]:
    """Return the fields of a Host that commands and its unit say."""
    facts = {name: answer.text.strip() for name, answer in seen.facts.items()}
    nofile = (seen.process.nofile if seen.process else None) or seen.service.nofile
    return {
        "system": _system(facts["system"]),
        "haproxy": _haproxy(facts["package"], facts["version"]),
        "unit": {
            "type": seen.service.kind,
            "reload": _reload(seen, configuration),
            "drop_ins": seen.service.drop_ins,
            "settings": seen.service.kept,
        },
        "arguments": seen.arguments.kept,
        "sysctls": sysctls.own(
            [each.text for each in seen.sysctls.values()],
            sysctls.values(facts["sysctls"]),
            facts["release"],
        ),
        "limits": {"nofile": nofile} if nofile else {},
    }


def _version(text: str) -> str:
    """Return a version without its epoch, and without words that no distribution uses."""
    found = _VERSION.match(re.sub(r"^\d+:", "", text.strip()))
    return found[0].rstrip(".+~-") if found else ""


def _architecture(facts: Mapping[str, Answer]) -> str:
    debian, machine = facts["architecture"].text.strip(), facts["machine"].text.strip()
    name = debian or _ARCHITECTURES.get(machine, machine)
    return name if name in _MACHINES else "unknown"


def _system(text: str) -> dict[str, str]:
    """Return the distribution, and Debian's code name of its release, by os-release(5)."""
    found = dict(word.partition("=")[::2] for line in text.splitlines() for word in _split(line))
    name, suite = found.get("ID", ""), found.get("VERSION_CODENAME", "")
    system = {"id": name if name in _SYSTEMS else "linux"}
    return {**system, "suite": suite} if suite in _SUITES else system


def _haproxy(package: str, said: str) -> dict[str, str]:
    """Return HAProxy's version: Debian's package's, or else the one that HAProxy prints."""
    status, _, version = package.partition(" ")
    if status == "installed" and _version(version):
        return {"version": _version(version), "package": "haproxy"}
    found = re.search(r"version (\d\S*)", said)
    return {"version": _version(found[1])} if found else {}


def _reload(seen: _Seen, configuration: str) -> str:
    """Return a reload method: the unit's, if it runs HAProxy, or else its process'."""
    is_unit = bool(seen.service.last("ExecStart") and seen.service.last("ExecReload"))
    main = seen.facts["main"].text.strip()
    if is_unit and (seen.process is None or main in ("", str(seen.process.pid))):
        return "systemd"
    is_master = re.search(r"^\s*master-worker\b", configuration, re.MULTILINE)
    return "signal" if seen.arguments.has_master or is_master else "soft-finish"


def _addresses(text: str, names: Names) -> list[dict[str, str]] | None:
    """Return the addresses that others can reach; None if `ip` printed something else."""
    try:
        return [
            {
                "address": str(
                    ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}")
                ),
                "interface": names.interface(link["ifname"]),
                "kind": kind if kind in _KINDS else "other",
            }
            for link in json.loads(text)
            for kind in [link.get("linkinfo", {}).get("info_kind") or link["link_type"]]
            for address in link.get("addr_info", ())
            if address.get("scope") not in ("host", "link")
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _not_read(seen: _Seen, has_addresses: bool) -> list[str]:
    lacks = {_NEEDED[name]: _problem(seen.facts[name]) for name in _NEEDED}
    if not lacks["addresses"] and not has_addresses:
        lacks["addresses"] = "not in the form of ip(8)"
    if seen.process is None:
        lacks["limits"] = "no HAProxy runs"
    for what, answers in (("environment file", seen.settings), ("file of sysctls", seen.sysctls)):
        for number, answer in enumerate(answers.values(), start=1):
            if answer.problem not in _NOT_THERE:
                lacks[f"{what} {number}"] = _problem(answer)
    return [f"{what}: {problem}" for what, problem in lacks.items() if problem]


def _problem(answer: Answer) -> str:
    """Return a problem, if its words are known: a message may quote the name of a file."""
    problem = answer.problem
    is_ours = re.match(
        r"(is not there|took longer|failed with status|Answer garbled|not read)", problem
    )
    return problem if not problem or is_ours or problem in _PROBLEMS else "cannot be read"


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []
