"""Configurations as people publish them, taken as they are: HAProxy in a guest says what they do.

`expected.yml` has what each should come to. A few are tried each time, by chance; all with
`pytest tests/vm/test_configurations.py --configurations`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop, side_by_side
from hatester.artifacts.mirrors import find_mirrors
from hatester.artifacts.ssh_keys import find_keys
from hatester.guests.checkpoint import single_guest
from hatester.guests.guest import Guest
from hatester.guests.host_capabilities import choose_engine
from hatester.matrix.declarations import load_matrix
from hatester.runner import config_scenarios
from hatester.runner.survey import survey_configuration
from hatester.runner.user_config import load_own
from hatester.util.errors import MeasurementError
from hatester.util.paths import MATRIX
from hatester.util.progress import Progress

FOLDER = Path(__file__).parents[1] / "configurations"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "expected.yml").read_text())
BUILDS = ("2.2", "3.2")
FEW = 4
STATS_SOCKET = re.compile(r"^\s*stats\s+socket\s+(\S+)", re.MULTILINE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = sorted(name for name, each in EXPECTED.items() if builds(each))
    if not metafunc.config.getoption("--configurations"):
        # The processes of pytest-xdist have to choose the same ones.
        run = getattr(metafunc.config, "workerinput", {}).get("testrunuid")
        names = random.Random(run).sample(names, FEW)
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", names)


def builds(expected: dict[str, Any]) -> list[str]:
    """Return the builds that accept a configuration, of those that are tried."""
    accept = expected.get("builds_without", expected.get("builds", ()))
    return [build for build in BUILDS if build in accept]


def stats_sockets(text: str) -> set[str]:
    """HAProxy's own sockets, as results name addresses, which are left alone."""
    return {address.rpartition("@")[2] for address in STATS_SOCKET.findall(text)}


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    archive = Archive(find_mirrors(None, None, None))
    with side_by_side() as pool:
        shop = Workshop(archive, load_matrix(MATRIX), find_keys(), pool)
        with single_guest(
            shop, "6.1", BUILDS, "configurations", Progress(), choose_engine("auto")
        ) as guest:
            yield guest


def test_a_configuration_is_taken_as_it_is(guest: Guest, name: str) -> None:
    expected = EXPECTED[name]
    own = load_own(FOLDER / name, None, {}, expected.get("env"))
    for build in builds(expected):
        found = survey_configuration(guest, build, own)
        assert {*found.before.binds} == {*expected["binds"]} - stats_sockets(own.before)
        assert not found.describe().unwatched.keys() & {*expected["binds"]}
        assert [*found.before.failing] == expected.get("failing", [])
        groups = config_scenarios.groups(own, found.before, found.after).values()
        alone = sorted(each[0] for each in groups if len(each) == 1)
        assert alone == sorted(expected["lost"])
        assert not guest.traces()


def test_what_haproxy_refuses_everywhere_is_said_with_the_line(guest: Guest) -> None:
    with pytest.raises(MeasurementError, match=r"line \d+: PROFILE=SYSTEM may be the reason"):
        survey_configuration(guest, "3.2", load_own(FOLDER / "profile-system.cfg", None))
    with pytest.raises(MeasurementError, match=r"haproxy\.cfg:\d+\] .*(contimeout|reqadd)"):
        survey_configuration(guest, "3.2", load_own(FOLDER / "reqadd.cfg", None))
