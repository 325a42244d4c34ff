"""A scenario as a shell script that needs neither hatester nor a virtual machine."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jinja2

from hatester.matrix import steps
from hatester.matrix.binds import Bind
from hatester.matrix.declarations import Setting
from hatester.matrix.scenario import Scenario, planned_socket

NAME = "run.sh"
KEEP_ALIVE = "keep_alive.py"
"""The client that keeps its connections, where a scenario has such clients."""
TEMPLATES = Path(__file__).parent / "templates"
_MODES = {
    "signal": "-W",
    "cli": '-W -S "$PWD/seen/master.sock"',
    "systemd": "-W",
    "soft-finish": "-D",
}
"""HAProxy's arguments for each reload method."""
_ANSWERS = ("named", "any", "tls", "proxy", "proxy-tls")
"""The answers (`provision/guest/connections.py`) that curl can ask for."""


class Interface(NamedTuple):
    """A network interface with the addresses that it has at the beginning; a `dummy` or `veth`."""

    name: str
    kind: str
    addresses: Sequence[str]


@dataclass(frozen=True)
class Script:
    """The script of a cell.

    `expected` are the labels of the addresses that should answer. `gaps` has, by the number of a
    step, the seconds between a reload that races and the one before it.
    """

    id: str
    scenario: Scenario
    setting: Setting
    method: str
    expected: Sequence[str]
    gaps: Mapping[int, float]

    @property
    def text(self) -> str:
        """Return the script."""
        return (
            templates()
            .get_template(NAME)
            .render(
                id=self.id,
                description=self.scenario.description,
                method=self.method,
                mode=_MODES[self.method],
                arguments=shlex.join([*self.scenario.arguments, *self.setting.arguments]),
                takeover=shlex.join(self.setting.takeover),
                sysctls=[(name, shlex.quote(value)) for name, value in self.sysctls.items()],
                nofile=self.setting.nofile or self.scenario.nofile,
                verbs={step.verb for step in self.scenario.steps},
                interfaces=self._links,
                expected=self.expected,
                keep_alive=KEEP_ALIVE if self.has_kept else "",
                steps=list(self._lines()),
            )
        )

    @property
    def sysctls(self) -> dict[str, str]:
        """Return the sysctls of the scenario and of its setting."""
        return {**self.scenario.sysctls, **self.setting.sysctls}

    @property
    def unasked(self) -> list[str]:
        """Return the labels of the addresses that curl cannot ask."""
        return [bind.label for bind in self.scenario.binds if not _is_asked(bind)]

    @property
    def has_kept(self) -> bool:
        """True if it has clients that keep their connections."""
        return bool(self.scenario.clients.keep_alive and self.scenario.web)

    @property
    def _links(self) -> list[Interface]:
        """The interfaces, of which the first is the one that gets new addresses."""
        first, further = self.scenario.interface, self.scenario.interfaces
        kind = "veth" if first == "veth0" else "dummy"
        return [
            Interface(first, kind, self.scenario.addresses),
            *(Interface(name, "dummy", each) for name, each in further.items()),
        ]

    def _lines(self) -> Iterator[str]:
        """Yield the commands of the steps.

        A step without `after` waits until all has settled since the last start or reload.
        """
        is_settled, is_watched = True, False
        network = _Network(self._links)
        for number, step in enumerate(self.scenario.steps, start=1):
            yield f"\n# step {number}: {step}"
            if step.after is None and not is_settled and not isinstance(step, steps.Wait):
                yield "settle"
                is_settled = True
            if step.after is not None:
                seconds = self.gaps.get(number, 0.0) if step.after == steps.RACING else step.after
                yield f"sleep {seconds:g}"
            yield from self._commands(number, step, network)
            if isinstance(step, steps.Start) and not is_watched:
                yield from (f"watch_address {words} &" for words in self._questions())
                yield from self._kept()
                is_watched = True
            if isinstance(step, steps.Start | steps.Restart | steps.Reload):
                is_settled = False

    def _socket(self, number: int) -> str:
        """Return the socket that step `number` asks."""
        path = planned_socket(self.scenario, self.setting, number)
        return shlex.quote(path) if path else "seen/master.sock"

    def _commands(self, number: int, step: steps.Step, network: _Network) -> Iterator[str]:
        match step:
            case steps.Start(may="fail"):
                yield f"start {step.configuration} || :"
            case steps.Start() | steps.Restart() | steps.Reload() | steps.Second():
                yield f"{step.verb} {step.configuration}"
            case steps.Stop():
                # What does not answer until the next start was not to answer.
                yield 'echo "$(now) pause" >>seen/requests'
                yield "stop"
            case steps.Upgrade():
                yield "upgrade"
            case steps.Ask():
                yield f"ask_haproxy {self._socket(number)} {shlex.quote(step.command)}"
            case steps.Run():
                yield "# shellcheck disable=SC2016"
                yield f"run_command {shlex.quote(step.command)}"
            case steps.Drop() | steps.Pass():
                yield f"{step.verb}_packets {step.what}"
            case steps.Wait(until=float(seconds)):
                yield f"sleep {seconds:g}"
            case steps.Check():
                yield "say check"
                yield from (f"check_address {words}" for words in self._questions())
            case steps.Wait():
                yield "wait_until_retrying" if step.until == "retrying" else "settle"
            case _:
                yield f"say {shlex.quote(str(step))}"
                yield from _change(step, network)

    def _questions(self) -> Iterator[str]:
        """Yield the words by which each address is asked: its label, and the end of curl's line."""
        for bind in self.scenario.binds:
            if _is_asked(bind):
                host = f"[{bind.target}]" if ":" in bind.target else bind.target
                scheme = "https" if "tls" in bind.answer else "http"
                options = ["--haproxy-protocol"] if "proxy" in bind.answer else []
                yield shlex.join([bind.label, *options, f"{scheme}://{host}:{bind.port}/"])

    def _kept(self) -> Iterator[str]:
        """Yield the commands of the clients that keep their connections."""
        if kept := self.scenario.clients.keep_alive:
            for bind in self.scenario.web * kept.connections:
                words = [
                    bind.label,
                    bind.target,
                    *map(str, (bind.port, kept.interval, kept.latency)),
                ]
                yield f"python3 {KEEP_ALIVE} {shlex.join(words)} >>seen/kept &"


class _Network:
    """The addresses of interfaces, as the steps change them."""

    def __init__(self, links: Sequence[Interface]) -> None:
        self.links = {link.name: link for link in links}
        self._first = links[0].name
        self._homes = {each: link.name for link in links for each in link.addresses}

    def make(self, name: str) -> Iterator[str]:
        """Yield the commands that make an interface with the addresses that it had."""
        yield f"make_link {name} {self.links[name].kind}"
        yield from (self.add(each) for each, home in self._homes.items() if home == name)

    def add(self, address: str) -> str:
        """Return the command that adds an address, such as 192.168.42.43/32."""
        home = self._homes.setdefault(address, self._first)
        # On a dummy interface, duplicate address detection never runs.
        nodad = " nodad" if ":" in address and self.links[home].kind == "dummy" else ""
        return f"ip address add {address} dev {home}{nodad}"

    def remove(self, ip: str) -> str:
        """Return the command that removes an address, which is given without a prefix length."""
        address = next(each for each in self._homes if each.partition("/")[0] == ip)
        return f"ip address delete {address} dev {self._homes.pop(address)}"


def _change(step: steps.Step, network: _Network) -> Iterator[str]:
    """Yield the commands of a step that changes something beside HAProxy."""
    match step:
        case steps.Add() if step.what in network.links:
            yield from network.make(step.what)
        case steps.Remove() if step.what in network.links:
            yield f"ip link delete {step.what}"
        case steps.Add():
            yield network.add(str(ipaddress.ip_interface(step.what)))
        case steps.Remove():
            yield network.remove(step.what)
        case steps.Occupy():
            host, _, port = step.what.rpartition(":")
            family = "TCP6" if ":" in host else "TCP4"
            bound = "" if host == "*" else f",bind=[{host}]" if ":" in host else f",bind={host}"
            yield f"occupy {family}-LISTEN:{port}{bound}"
        case steps.Free():
            yield "free"
        case steps.Break():
            yield shlex.join(["mv", step.what, f"{step.what}.away"])
        case steps.Mend():
            yield shlex.join(["mv", f"{step.what}.away", step.what])


def templates() -> jinja2.Environment:
    """Return the templates of plain text; what goes into a script is quoted for a shell."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _is_asked(bind: Bind) -> bool:
    return bool(bind.port) and bind.answer in _ANSWERS
