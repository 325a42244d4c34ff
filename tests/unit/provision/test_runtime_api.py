"""HAProxy's servers and sockets, as its runtime API lists them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from provision.guest.runtime_api import RuntimeAPI
from tests.factories.guest import MadeUpClock

HEADING = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_check_result "
    "srv_check_state srv_port srv_check_addr srv_check_port srv_agent_addr srv_agent_port"
)
UNKNOWN, FAILED, PASSED = 0, 2, 3
CHECKED, UNCHECKED = 6, 0


def line(
    name: str, address: str = "10.0.0.5", port: int = 80, *, result: int = PASSED,
    check: str = "- 0", agent: str = "- 0", state: int = CHECKED, up: int = 2, admin: int = 0,
) -> str:  # fmt: skip
    return f"1 app 1 {name} {address} {up} {admin} {result} {state} {port} {check} {agent}"


def asked(clock: MadeUpClock, *lines: str, after_3_s: Sequence[str] = ()) -> RuntimeAPI:
    """Return the API of a HAProxy with these servers, which may become others."""

    def ask(command: str) -> str:
        assert command == "show servers state"
        found = after_3_s if after_3_s and clock.now() >= 3.0 else lines
        return "\n".join(["1", HEADING, *found, ""])

    return RuntimeAPI(ask, clock)


@pytest.fixture
def clock() -> MadeUpClock:
    return MadeUpClock()


@pytest.mark.parametrize(
    ("server", "places"),
    [
        (line("a"), ["10.0.0.5:80"]),
        (line("a", "-", 8080), ["*:8080"]),
        (line("a", "0.0.0.0", 8080), ["*:8080"]),
        (line("a", "2001:db8::5"), ["2001:db8::5:80"]),
        (line("a", port=0), []),
        (line("a", check="10.0.0.6 81"), ["10.0.0.5:80", "10.0.0.6:81"]),
        (line("a", check="- 81", agent="- 99"), ["10.0.0.5:80", "10.0.0.5:81", "10.0.0.5:99"]),
    ],
)
def test_places_of_servers(clock: MadeUpClock, server: str, places: list[str]) -> None:
    assert asked(clock, server, server).servers() == places


def test_no_servers(clock: MadeUpClock) -> None:
    assert RuntimeAPI(lambda _: "\n", clock).servers() == []


def test_failing_checks_are_named(clock: MadeUpClock) -> None:
    servers = [
        line("good"), line("bad", result=FAILED), line("off", result=UNKNOWN, admin=1),
        line("unchecked", result=UNKNOWN, state=UNCHECKED),
    ]  # fmt: skip
    assert asked(clock, *servers).wait_for_checks(10) == ["app/bad"]
    assert clock.now() == 0.0


def test_checks_are_awaited(clock: MadeUpClock) -> None:
    api = asked(clock, line("a", result=UNKNOWN), after_3_s=[line("a")])
    assert api.wait_for_checks(10) == []
    assert clock.now() == pytest.approx(3.0, abs=0.2)


def test_unknown_checks_fail_in_the_end(clock: MadeUpClock) -> None:
    assert asked(clock, line("a", result=UNKNOWN)).wait_for_checks(10) == ["app/a"]
    assert clock.now() == pytest.approx(10.0, abs=0.2)


def test_servers_that_go_down_are_awaited(clock: MadeUpClock) -> None:
    down = line("a", up=0)
    asked(clock, line("a"), after_3_s=[down]).wait_until_down(["app/a"], 10)
    assert clock.now() == pytest.approx(3.0, abs=0.2)
    asked(clock, line("a"), line("b")).wait_until_down(["app/a"], 2)
    assert clock.now() == pytest.approx(5.0, abs=0.4)


def test_cli_sockets(clock: MadeUpClock) -> None:
    listed = (
        "# socket lvl processes\n/run/admin.sock admin all\nunix@/run/x.sock user all\n"
        "ipv4@127.0.0.1:9999 operator all\nipv6@[::1]:9998 user all\nabns@name user all\n"
    )
    assert RuntimeAPI(lambda _: listed, clock).cli_sockets() == {
        ("/run/admin.sock", 0), ("/run/x.sock", 0), ("127.0.0.1", 9999), ("::1", 9998),
    }  # fmt: skip
