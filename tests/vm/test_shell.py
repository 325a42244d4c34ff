"""A guest at a step of a cell, and cells for `git bisect run`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.factories.live_run import machines_of, newest
from tests.factories.project import INVOKE, invoke

CELL = "6.1/2.2/plain/lost-address/signal"
LOOK = """
ip -brief -4 address show dummy0
cat /opt/haproxy/2.2/etc/haproxy/haproxy.cfg
pgrep -a haproxy
exit 7
"""


def test_a_shell_is_in_a_guest_that_has_taken_just_the_steps_that_were_asked_for(
    checkout: Path,
) -> None:
    done = subprocess.run(
        [*INVOKE, "shell", CELL, "--step", "3", "--verbose"],
        check=False, capture_output=True, text=True, input=LOOK, cwd=checkout, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "192.168.42.44/32 192.168.42.45/32" in done.stdout
    assert "192.168.42.43/32" not in done.stdout
    # It is missing, and still bound: the next reload is step 4.
    assert "bind 192.168.42.43:80" in done.stdout
    assert "-W" in done.stdout
    assert "ip address delete 192.168.42.43/32 dev dummy0" in done.stderr
    assert f"as {CELL} has it after step 3 (remove 192.168.42.43)" in done.stderr
    assert not machines_of(checkout)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--kernel", "6.1", "--setting", "plain", "--bad", "down"), 0),
        (("--kernel", "6.1", "--setting", "plain"), 1),
        (("--kernel", "gone", "--setting", "plain"), 125),
        (("--kernel", "6.1", "--setting", "none"), 129),
    ],
)
def test_a_bisection_is_reported_good_bad_skip_or_stop(
    checkout: Path, words: tuple[str, ...], code: int
) -> None:
    kernels = checkout / "matrix/kernels.yml"
    if "gone" not in kernels.read_text():
        with kernels.open("a") as file:
            file.write('  "gone": {suite: nosuch}\n')
    selection = ("--haproxy", "3.0", "--scenario", "lost-address", *words)
    done = invoke("bisect", *selection, folder=checkout, seconds=600)
    assert done.returncode == code, done.stdout + done.stderr
    if code in (0, 1):
        [cell] = newest(checkout)["cells"]
        assert cell["verdict"] == "outage"
    assert not machines_of(checkout)
