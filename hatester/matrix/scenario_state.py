"""The state of a guest from step to step of a scenario."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hatester.matrix.binds import InterfaceAddress, interface_address, parse_bind
from hatester.matrix.steps import (
    Add,
    Ask,
    Break,
    Check,
    Drop,
    Free,
    Mend,
    Occupy,
    Pass,
    Reload,
    Remove,
    Restart,
    Second,
    Start,
    StartServer,
    Step,
    Stop,
    StopServer,
    Upgrade,
    Wait,
)
from hatester.util.errors import UserError
from hatester.util.text import printable, quoted
from hatester.util.validation import require

_Taking = Break | Drop | StopServer
_Giving = Free | Mend | Pass | StartServer


@dataclass
class World:
    """The state of the guest after some steps of a scenario.

    `there` has the addresses, without prefix lengths, and the interface by its name. `prefixes`
    are the addresses with their lengths, in the order in which they were added, by the interface
    that they are on. With `promotes`, secondary addresses outlive their primary one (the sysctl
    `promote_secondaries`).
    """

    interface: str
    configurations: Sequence[str]
    files: Sequence[str]
    there: set[str]
    prefixes: Mapping[str, list[InterfaceAddress]] = field(default_factory=dict)
    servers: Sequence[str] = ()
    sockets: Collection[str] = ()
    """The configurations that have a stats socket."""
    has_cli: bool = False
    """True if the master has a CLI by every reload method that the scenario is for."""
    configuration: str = ""
    """The one that was loaded last."""
    promotes: bool = False
    away: set[str] = field(default_factory=set)
    """The addresses that the interface took along, and itself."""
    occupied: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    """The servers that are not played."""
    is_started: bool = False
    """True from the first start on."""
    is_running: bool = False
    """True if HAProxy was started, and not stopped since; a start may have failed."""
    may_have_failed: bool = False
    """True if the last start may fail, so that another one can follow it."""
    has_second: bool = False
    has_length: bool = False
    """True if a reload was observed to its end: its length is known."""
    is_reloading: bool = False
    latest: float = 0.0
    """Seconds from the last start, reload or wait to the last step that has an `after`."""

    def take(self, step: Step) -> None:
        """Let a step happen. Raises UserError, which begins with its verb, when it cannot be."""
        self._take_time(step)
        match step:
            case Start() | Restart() | Reload() | Stop():
                self._load(step)
            case Wait():
                self.latest = 0.0
            case Add():
                self._add(step)
            case Remove():
                self._remove(step)
            case Occupy():
                self._occupy(step)
            case Ask(socket="stats") if self.configuration not in self.sockets:
                raise UserError(
                    f"{step.verb}: {self.configuration}.cfg has no stats socket in `global`."
                )
            case Ask(socket="master") if not self.has_cli:
                raise UserError(
                    f"{step.verb}: socket: a master has one by cli and systemd only; add `needs: "
                    "{methods: [cli]}`."
                )
            case Second():
                require(step.configuration, self.configurations, step.verb)
                if self.has_second:
                    raise UserError(f"{step.verb}: a second HAProxy runs already.")
                self.has_second = True
            case Break() | Drop() | StopServer():
                self._take_away(step)
            case Free() | Mend() | Pass() | StartServer():
                self._give_back(step)

    def _load(self, step: Start | Restart | Reload | Stop) -> None:
        if not isinstance(step, Stop):
            require(step.configuration, self.configurations, step.verb)
            self.configuration = step.configuration
        if isinstance(step, Start) and self.is_running and not self.may_have_failed:
            raise UserError(f"{step.verb}: HAProxy is started already.")
        if not isinstance(step, Start) and not self.is_running:
            state = "stopped" if self.is_started else "not started yet"
            raise UserError(f"{step.verb}: HAProxy is {state}.")
        self.may_have_failed = isinstance(step, Start) and step.may == "fail"
        self.is_started, self.is_running = True, not isinstance(step, Stop)
        self.is_reloading, self.latest = isinstance(step, Reload), 0.0

    def _take_away(self, step: _Taking) -> None:
        away, word = self._away(step)
        if isinstance(step, StopServer):
            require(step.what, [s for s in self.servers if not s.startswith("/")], step.verb)
        elif isinstance(step, Break):
            require(step.what, self.files, step.verb)
        if step.what in away:
            raise UserError(f"{step.verb}: {quoted(step.what)} is {word} already.")
        away.add(step.what)

    def _give_back(self, step: _Giving) -> None:
        away, word = self._away(step)
        if isinstance(step, Mend):
            require(step.what, self.files, step.verb)
        if step.what not in away:
            known = printable(", ".join(sorted(away))) or "nothing"
            raise UserError(f"{step.verb}: {quoted(step.what)} is not {word} ({word}: {known}).")
        away.remove(step.what)

    def _away(self, step: _Taking | _Giving) -> tuple[set[str], str]:
        """Return all that is away as the object of such a step is, and the word for that."""
        match step:
            case Free():
                return self.occupied, "occupied"
            case Break() | Mend():
                return self.broken, "broken"
            case Drop() | Pass():
                return self.dropped, "dropped"
            case StartServer() | StopServer():
                return self.stopped, "stopped"

    def _take_time(self, step: Step) -> None:
        if isinstance(step, Check | Wait | Upgrade | Ask) and not self.is_started:
            raise UserError(f"{step.verb}: HAProxy is not started yet.")
        if isinstance(step.after, str):
            self._take_race(step)
            return
        if step.after is None:
            is_early = isinstance(step, Wait) and step.is_early
            self.has_length |= self.is_reloading and not is_early
            self.is_reloading &= is_early
            return
        if not self.is_started:
            raise UserError(
                f"{step.verb}: after: HAProxy is not started yet; nothing can be after it."
            )
        if step.after < self.latest:
            raise UserError(
                f"{step.verb}: after: time cannot run back to {step.after:g} s from the "
                f"{self.latest:g} s of a step before."
            )
        self.latest = step.after

    def _take_race(self, step: Step) -> None:
        if not self.has_length:
            raise UserError(
                f"{step.verb}: after: how long a reload takes is not known yet: before a step that "
                "races with one, another has to be observed to its end."
            )
        if not self.is_reloading:
            raise UserError(f"{step.verb}: after: HAProxy is not reloading; nothing can race.")

    def _add(self, step: Add) -> None:
        if step.what == self.interface:
            address, added = step.what, self.away
        else:
            whole = _address(step, self.interface)
            address = str(whole.ip)
            added = {address}
            if self.interface not in self.there:
                raise UserError(f"{step.verb}: there is no {self.interface} to add {address} to.")
        if address in self.there:
            raise UserError(f"{step.verb}: {address} is there already.")
        self.there = self.there | added
        if step.what != self.interface:
            self._home(address).append(whole)

    def _remove(self, step: Remove) -> None:
        require(step.what, sorted(self.there), step.verb)
        if step.what == self.interface:
            self.away, self.there = self.there, set()
        else:
            gone = self._gone_with(step.what)
            self.there = self.there - {str(each.ip) for each in gone}
            home = self._home(step.what)
            home[:] = [each for each in home if each not in gone]

    def _home(self, address: str) -> list[InterfaceAddress]:
        """Return the addresses of the interface that has an address; else of the one of steps."""
        homes = self.prefixes.values()
        has_it = (home for home in homes if any(str(each.ip) == address for each in home))
        return next(has_it, self.prefixes.get(self.interface, []))

    def _gone_with(self, address: str) -> list[InterfaceAddress]:
        """Return an address and the secondary ones that Linux removes with it.

        Of the IPv4 addresses of one subnet, each after the first is secondary (`__inet_insert_ifa`
        and `__inet_del_ifa` of net/ipv4/devinet.c).
        """
        home = self._home(address)
        [own] = [each for each in home if str(each.ip) == address]
        if own.version == 6 or self.promotes:
            return [own]
        subnet = [each for each in home if each.network == own.network]
        return subnet if subnet[0] == own else [own]

    def _occupy(self, step: Occupy) -> None:
        bind = parse_bind(step.what)
        if not bind.is_wildcard:
            addresses = sorted(self.there - {self.interface})
            require(bind.address, addresses, step.verb)
        if step.what in self.occupied:
            raise UserError(f"{step.verb}: {step.what} is occupied already.")
        self.occupied.add(step.what)


def _address(step: Add, interface: str) -> InterfaceAddress:
    try:
        return interface_address(step.what)
    except ValueError as error:
        raise UserError(
            f"{step.verb}: {quoted(step.what)} is neither an address such as 192.168.42.43 "
            f"nor {interface}."
        ) from error
