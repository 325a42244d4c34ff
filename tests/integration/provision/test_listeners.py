"""Owners of listening sockets: this very process, as HAProxy or as a stranger by its root."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.guest.connections import Target
from provision.guest.kernel import counter_growth, read_counters
from provision.guest.listeners import Sampler
from tests.factories.servers import closed_port

INTERVAL = 0.02
DATAGRAM = "datagram"
SECONDS = 1.0
"""Long enough for strangers to be found among all the processes of a busy machine."""


@contextlib.contextmanager
def sampled(tree: Path, *targets: Target) -> Iterator[dict[str, Any]]:
    """Sample while the block runs; what was seen is there when it has ended."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    streams = [each for each in targets if each.answer != DATAGRAM]
    datagrams = [each for each in targets if each.answer == DATAGRAM]
    sampler = Sampler(streams, datagrams, tree, INTERVAL, time.monotonic())
    process = context.Process(target=sampler.run, args=(there,), daemon=True)
    process.start()
    there.close()
    seen: dict[str, Any] = {}
    try:
        yield seen
        here.send("stop")
        seen |= here.recv()
        process.join(10)
        assert process.exitcode == 0
    finally:
        process.kill()


def target(port: int, address: str = "127.0.0.1") -> Target:
    return Target(f"{address}:{port}", address, port, None)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Make the tree of a build whose program is on the same disk as this process's."""
    program = tmp_path / "usr/sbin/haproxy"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    return tmp_path


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", ["haproxy", "stranger"])
def test_listener_has_owner_queue_and_gaps(build: Path, kind: str, address: str) -> None:
    if kind == "stranger":
        (build / "usr/sbin/haproxy").unlink()
    port = closed_port()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with sampled(build, target(port, address)) as seen:
        time.sleep(0.2)
        with socket.create_server((address, port), family=family) as listener:
            clients = [socket.create_connection((address, port)) for _ in range(3)]
            time.sleep(SECONDS)
            for client in clients:
                client.close()
            listener.close()
        time.sleep(0.2)
    stretches = [each for each in seen["listeners"] if os.getpid() in each["pids"]]
    assert {each["address"] for each in stretches} == {f"{address}:{port}"}
    assert max(each["queue"] for each in stretches) == 3
    first, last = stretches[0]["start"], stretches[-1]["end"]
    assert 0 < first < last < seen["sampling"]["seconds"]
    [owner] = [each for each in seen["processes"] if each["pid"] == os.getpid()]
    assert owner["kind"] == kind
    assert 0 < seen["sampling"]["cpu_seconds"] < seen["sampling"]["seconds"]
    assert seen["sampling"]["samples"] > 5


def test_wildcard_socket_is_every_address() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as wildcard,
        sampled(Path("/"), target(wildcard.getsockname()[1]), target(closed_port())) as seen,
    ):
        time.sleep(0.3)
        expected = f"127.0.0.1:{wildcard.getsockname()[1]}"
    assert {each["address"] for each in seen["listeners"]} == {expected}


def test_socket_that_has_left_listen_is_dormant(build: Path) -> None:
    port = closed_port()
    with (
        sampled(build, target(port)) as seen,
        socket.create_server(("127.0.0.1", port)) as listener,
    ):
        time.sleep(0.3)
        # connect(2) with AF_UNSPEC, as HAProxy suspends a listener.
        assert ctypes.CDLL(None).connect(listener.fileno(), bytes(16), 16) == 0
        time.sleep(0.3)
    [listening], [dormant] = (
        [each for each in seen[name] if os.getpid() in each["pids"]]
        for name in ("listeners", "dormant")
    )
    assert listening["end"] < dormant["start"] < dormant["end"]
    assert {each[1] for each in seen["usage"]} >= {os.getpid()}


def test_process_lasts_from_start_to_end(build: Path) -> None:
    with sampled(build, target(closed_port())) as seen:
        time.sleep(0.3)
        with subprocess.Popen(["sleep", "60"]) as process:
            time.sleep(SECONDS)
            process.kill()
        time.sleep(SECONDS)
    [entry] = [each for each in seen["processes"] if each["pid"] == process.pid]
    assert 0.2 < entry["start"] < entry["end"]
    assert entry["end"] < seen["sampling"]["seconds"] - SECONDS / 2
    [ours] = [each for each in seen["processes"] if each["pid"] == os.getpid()]
    assert ours["start"] < entry["start"]
    assert ours["end"] > entry["end"]


def test_kernel_counts_resets() -> None:
    before = read_counters()
    for _ in range(5):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", closed_port()))
    assert counter_growth(before)["Tcp.OutRsts"] >= 5


def test_sockets_of_udp_have_holders_too(build: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        quic = Target("quic4@here", "127.0.0.1", port, None, DATAGRAM)
        with sampled(build, quic, target(closed_port())) as seen:
            time.sleep(SECONDS)
    assert {each["address"] for each in seen["listeners"]} == {"quic4@here"}
    assert os.getpid() in seen["listeners"][-1]["pids"]
