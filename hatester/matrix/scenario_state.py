"""The state of a guest from step to step of a scenario."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hatester.matrix.binds import interface_address, parse_bind
from hatester.matrix.steps import (
    Add,
    Break,
    Check,
    Free,
    Mend,
    Occupy,
    Reload,
    Remove,
    Start,
    Step,
    Wait,
)
from hatester.util.errors import UserError
from hatester.util.text import printable, quoted
from hatester.util.validation import require


@dataclass
class World:
    """The state of the guest after some steps of a scenario.

    `there` has the addresses, without prefix lengths, and the interface by its name.
    """

    interface: str
    configurations: Sequence[str]
    files: Sequence[str]
    there: set[str]
    away: set[str] = field(default_factory=set)
    """The addresses that the interface took along, and itself."""
    occupied: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    is_started: bool = False
    has_length: bool = False
    """True if a reload was observed to its end: its length is known."""
    is_reloading: bool = False
    latest: float = 0.0
    """Seconds from the last start, reload or wait to the last step that has an `after`."""

    def take(self, step: Step) -> None:
        """Let a step happen. Raises UserError, which begins with its verb, when it cannot be."""
        self._take_time(step)
        match step:
            case Start() | Reload():
                require(step.configuration, self.configurations, step.verb)
                self.is_started, self.latest = True, 0.0
                self.is_reloading = isinstance(step, Reload)
            case Wait():
                self.latest = 0.0
            case Add():
                self._add(step)
            case Remove():
                self._remove(step)
            case Occupy():
                self._occupy(step)
            case Free():
                _require_among(self.occupied, step, "occupied")
                self.occupied.remove(step.what)
            case Break():
                require(step.what, self.files, step.verb)
                if step.what in self.broken:
                    raise UserError(f"{step.verb}: {quoted(step.what)} is broken already.")
                self.broken.add(step.what)
            case Mend():
                require(step.what, self.files, step.verb)
                _require_among(self.broken, step, "broken")
                self.broken.remove(step.what)

    def _take_time(self, step: Step) -> None:
        if isinstance(step, Start) and self.is_started:
            raise UserError(f"{step.verb}: HAProxy is started already.")
        if isinstance(step, Reload | Check | Wait) and not self.is_started:
            raise UserError(f"{step.verb}: HAProxy is not started yet.")
        if isinstance(step.after, str):
            self._take_race(step)
            return
        if step.after is None:
            is_early = isinstance(step, Wait) and step.until != "steady"
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
            address = _address(step, self.interface)
            added = {address}
            if self.interface not in self.there:
                raise UserError(f"{step.verb}: there is no {self.interface} to add {address} to.")
        if address in self.there:
            raise UserError(f"{step.verb}: {address} is there already.")
        self.there = self.there | added

    def _remove(self, step: Remove) -> None:
        require(step.what, sorted(self.there), step.verb)
        if step.what == self.interface:
            self.away, self.there = self.there, set()
        else:
            self.there.remove(step.what)

    def _occupy(self, step: Occupy) -> None:
        bind = parse_bind(step.what)
        if not bind.is_wildcard:
            addresses = sorted(self.there - {self.interface})
            require(bind.address, addresses, step.verb)
        if step.what in self.occupied:
            raise UserError(f"{step.verb}: {step.what} is occupied already.")
        self.occupied.add(step.what)


def _address(step: Add, interface: str) -> str:
    try:
        return str(interface_address(step.what).ip)
    except ValueError as error:
        raise UserError(
            f"{step.verb}: {quoted(step.what)} is neither an address such as 192.168.42.43 "
            f"nor {interface}."
        ) from error


def _require_among(state: Iterable[str], step: Free | Mend, word: str) -> None:
    if step.what not in state:
        known = printable(", ".join(sorted(state))) or "nothing"
        raise UserError(f"{step.verb}: {quoted(step.what)} is not {word} ({word}: {known}).")
