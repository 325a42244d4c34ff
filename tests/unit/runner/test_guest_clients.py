"""The clients that a guest gets for a cell, and what it may claim of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hatester.guests.messages import GuestFault
from hatester.matrix.clients import read_clients
from hatester.matrix.scenario import load_scenario
from hatester.runner.client_verification import latest, require_clients
from hatester.runner.guest_clients import plan_clients
from hatester.util.paths import MATRIX
from provision.guest.client_records import (
    ClientRecords,
    Handshake,
    IdleEnd,
    KeptRequest,
    Probe,
    Session,
)
from provision.guest.plan import PlannedClients

V43, V44 = "192.168.42.43:80", "192.168.42.44:5432"


def planned(scenario: str, *words: str) -> dict[str, PlannedClients]:
    """Return the clients of a scenario that words add, by their kinds."""
    loaded = load_scenario(MATRIX / "scenarios" / scenario)
    return {each.kind: each for each in plan_clients(read_clients(words), loaded)}


def test_each_kind_asks_the_addresses_that_it_can_talk_with() -> None:
    found = planned("sessions-cut", "keep-alive=3", "sessions", "tls", "load=100")
    asked = {
        kind: {to.label: to.answer for to in each.destinations} for kind, each in found.items()
    }
    assert asked == {
        "keep-alive": {V43: "named"},
        "sessions": {V43: "websocket", V44: "connect"},
        "load": {V43: "named", V44: "any"},
    }
    assert found["keep-alive"].connections == 3
    # All are asked together.
    assert found["load"].interval == pytest.approx(2 / 100)


def test_tls_goes_to_binds_with_ssl_and_nothing_else_does() -> None:
    found = planned("certificate-renewed", "keep-alive", "sessions", "tls")
    secure = ["192.168.42.43:443", "192.168.42.44:443"]
    assert [each.label for each in found["tls"].destinations] == secure
    for kind in ("keep-alive", "sessions"):
        assert [each.label for each in found[kind].destinations] == [V43]


PLAN = list(planned("sessions-cut", "keep-alive", "sessions", "load").values())
RECORDS = ClientRecords(
    addresses=(V43, V44),
    requests=(KeptRequest(0, 1.0, 1.0, 1.1, "ok", None, "with", True, False),),
    idle_ends=(IdleEnd(0, 1.5, None),),
    sessions=(Session(1, 0.5, 2.5, "closed", None, 3),),
    load=(Probe(1, 2.0, 2.0, 2.1, "ok", None, None),),
)


def test_an_honest_account_is_accepted() -> None:
    require_clients(PLAN, RECORDS, 10.0)
    # Where HAProxy did not start, nobody was asked.
    require_clients(PLAN, ClientRecords(), 0.0)
    assert max(latest(RECORDS)) == 2.5


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"idle_ends": (IdleEnd(1, 1.5, None),)}, "more ends of kept connections"),
        ({"sparse": (Probe(0, 2.0, 2.0, 2.1, "ok", None, None),)}, "other addresses by sparse"),
        ({"load": (Probe(2, 2.0, 2.0, 2.1, "ok", None, None),)}, "other addresses by load"),
        ({"load": (Probe(1, 2.0, 1.9, 2.1, "ok", None, None),)}, "due at 2 s, sent at 1.9 s"),
        ({"sessions": (Session(0, 2.0, 1.0, "alive", None, 1),)}, "a session from 2 s to 1 s"),
        (
            {"handshakes": (Handshake(0, 1, 1, None, 1, "ok", None, None, None, None, None),)},
            "asked other addresses by tls",
        ),
        ({"addresses": ("elsewhere", V44)}, "clients of other addresses"),
        ({"load": ()}, "asked nobody by load"),
    ],
)
def test_an_account_of_other_clients_is_not(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(GuestFault, match=fault):
        require_clients(PLAN, dataclasses.replace(RECORDS, **changes), 10.0)
