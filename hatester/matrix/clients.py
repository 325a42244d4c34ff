"""The clients that a scenario has beside the prober, and the addresses that each kind asks."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Annotated

import pydantic

from hatester.matrix.binds import Configuration, Place, parse_bind, parse_binds
from hatester.matrix.haproxy_config import parse
from hatester.matrix.surroundings.environment_variables import expand, values_of
from hatester.util.errors import UserError
from hatester.util.text import choices, counted, quoted
from hatester.util.validation import Declaration, require, sentence

MOST_PER_ADDRESS = 400.0
"""Fresh connections a second to an address: those of a minute, which Linux remembers, have to fit
into a client's 28232 ports (net.ipv4.ip_local_port_range), with the prober's."""
Connections = Annotated[int, pydantic.Field(ge=1, le=1000)]
Interval = Annotated[float, pydantic.Field(ge=0.01, le=60, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(gt=0, le=5000, allow_inf_nan=False)]


class KeepAlive(Declaration):
    """Connections per address that are kept; on each, a request every `interval` seconds.

    `latency` is the seconds after which a client notices that a connection was closed: those of the
    way to HAProxy and back.
    """

    connections: Connections = 2
    interval: Interval = 0.1
    latency: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.02


class Sessions(Declaration):
    """Connections per address that are held, with a byte every `interval` seconds.

    `every` so many seconds, as many are opened in addition.
    """

    connections: Connections = 2
    interval: Interval = 0.5
    every: Annotated[float, pydantic.Field(ge=0.5, le=600)] | None = None


class Tls(Declaration):
    """A fresh connection by TLS to each address with `ssl` every `interval` seconds."""

    interval: Interval = 0.1


class Load(Declaration):
    """So many fresh connections a second to all addresses together."""

    rate: Rate = 500.0


class Sparse(Declaration):
    """A fresh connection every `interval` seconds to addresses that the prober does not ask."""

    interval: Interval = 5.0
    addresses: Annotated[tuple[Place, ...], pydantic.Field(min_length=1)]

    @property
    def labels(self) -> set[str]:
        """Return the addresses as in results."""
        return {parse_bind(each).label for each in self.addresses}


class Clients(Declaration):
    """The clients beside the prober; those of a kind that is not declared are not there."""

    keep_alive: KeepAlive | None = pydantic.Field(default=None, alias="keep-alive")
    sessions: Sessions | None = None
    tls: Tls | None = None
    load: Load | None = None
    sparse: Sparse | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_bare_names(cls, content: object) -> object:
        is_list = isinstance(content, list) and all(isinstance(each, str) for each in content)
        return dict.fromkeys(content, "") if is_list else content  # type: ignore[call-overload]

    @property
    def unwatched(self) -> set[str]:
        """Return the addresses that the prober must not ask."""
        return self.sparse.labels if self.sparse else set()

    def with_more(self, more: Clients) -> Clients:
        """Return the clients with others of some kinds."""
        return self.model_copy(update={name: getattr(more, name) for name in more.model_fields_set})


NUMBERS = {"keep-alive": "connections", "sessions": "connections", "tls": None, "load": "rate"}
"""The kinds that can be asked for by a word, and what a number after it means: `sessions=4`."""


def read_clients(words: Iterable[str]) -> Clients:
    """Return the clients of words such as `keep-alive` and `sessions=4`.

    Raises ValueError for anything else.
    """
    content: dict[str, object] = {}
    for word in words:
        kind, sign, number = word.partition("=")
        if kind not in NUMBERS or (sign and not NUMBERS[kind]):
            raise ValueError(f"there is no {quoted(word)}{choices(kind, [*NUMBERS])}")
        content[kind] = {NUMBERS[kind]: number} if sign else ""
    try:
        return Clients.model_validate(content)
    except pydantic.ValidationError as error:
        raise ValueError(sentence(error)) from error


def modes(configuration: Configuration) -> dict[str, str]:
    """Return the mode, such as `http`, of each address that a configuration binds, by its label.

    A section has the mode of the last `defaults` before it, or of those that it names with `from`
    (HAProxy's configuration manual, section 4), and else `tcp`.
    """
    found = {}
    inherited = "tcp"
    named: dict[str, str] = {}
    lines = parse(configuration.text)
    values = values_of(lines, configuration.env)
    for _, section in itertools.groupby(lines, key=lambda line: line.start):
        every = [texts for line in section if (texts := expand(line, values).texts)]
        head = every[0] if every else [""]
        mode = "tcp" if head[0] == "defaults" else inherited
        if "from" in head[:-1]:
            mode = named.get(head[head.index("from") + 1], mode)
        mode = next((each[1] for each in every if each[0] == "mode" and each[1:]), mode)
        if head[0] == "defaults":
            inherited = mode
            named.update(dict.fromkeys(head[1:2], mode))
        for texts in every:
            if texts[0] == "bind" and texts[1:]:
                found.update(dict.fromkeys(_labels(texts[1]), mode))
    return found


def _labels(addresses: str) -> Iterator[str]:
    for each in addresses.split(","):
        with contextlib.suppress(ValueError):
            yield from (bind.label for bind in parse_binds(each))


def require_sense(clients: Clients, configurations: Iterable[Configuration], where: str) -> None:
    """Raise UserError, which begins with `where`, for clients that these addresses cannot have."""
    bound = {bind.label for configuration in configurations for bind in configuration.binds}
    for label in sorted(clients.unwatched):
        require(label, bound, f"{where}: sparse: addresses")
    watched = len(bound - clients.unwatched)
    if clients.load and clients.load.rate > watched * MOST_PER_ADDRESS:
        raise UserError(
            f"{where}: load: {clients.load.rate:g} connections a second are too many for "
            f"{counted(watched, 'address')} (at most {MOST_PER_ADDRESS:g} for each)."
        )
