"""Guests: virtual machines that Vagrant starts and Fabric enters."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import secrets
import shlex
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fabric
import paramiko
import psutil
import pydantic
from invoke.exceptions import CommandTimedOut, ThreadException

from hatester.artifacts.builder import Image
from hatester.artifacts.disk import Tree
from hatester.artifacts.ssh_keys import Keys
from hatester.guests import qmp
from hatester.guests.console import Console
from hatester.guests.host_capabilities import Engine
from hatester.guests.messages import GuestFault, Lines, parse
from hatester.guests.vagrant import Vagrant, declare_machines
from hatester.util import process
from hatester.util.errors import MeasurementError, tail
from hatester.util.paths import PROVISION
from provision.guest.message_bounds import Text
from provision.guest.plan import Greeting
from provision.guest.protocol import Serving, encode

CONNECT_SECONDS = 30
COMMAND_SECONDS = 120
PREPARE_SECONDS = 300
ANSWER_SECONDS = 20
"""The time in which a living guest answers the simplest request."""
OUTPUT_BYTES = 8 << 20
"""Of a command, at most."""
CUT = -1
"""The exit status of a command whose channel was closed before it ended (paramiko's)."""
RACE = 1000
"""The most seconds of an idle guest's virtual clock in a second of the host."""
PROGRAM = "/opt/hatester/guest"
"""A folder that Python runs; what it has compiled stays there and need not be compiled again."""

TALK = "/run/hatester"
"""The folder of the pipes by which the host talks with that program, and of its log."""
# A shell has what it starts in the background read nothing, unless redirected.
_RELAY = f"exec 3<&0; cat <&3 >{TALK}/requests & exec 3<&-; exec cat {TALK}/events"

_STATES = {
    "running": "QEMU runs",
    "io-error": "QEMU has stopped it, since its disk cannot be written (is the host's full?)",
}
_LOST = (CommandTimedOut, ThreadException, paramiko.SSHException, OSError, EOFError)


BUILDS = "/opt/haproxy"
"""The folder of the builds' trees in a guest."""


def build_root(name: str) -> str:
    """Return the path of a build's tree in a guest."""
    return f"{BUILDS}/{name}"


class BoundedRemote(fabric.runners.Remote):  # type: ignore[misc]
    """A command in a guest, which is cut when it writes too much."""

    _left = OUTPUT_BYTES

    def read_proc_stdout(self, num_bytes: int) -> bytes:
        return self._bounded(super().read_proc_stdout(num_bytes))

    def read_proc_stderr(self, num_bytes: int) -> bytes:
        return self._bounded(super().read_proc_stderr(num_bytes))

    def _bounded(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left >= 0:
            return data
        self.channel.close()
        return b""


@dataclass
class Guest:
    """A running guest, what it was started from, and how to enter it.

    `machine` is its name among the machines of its run.
    """

    machine: str
    image: Image
    keys: Keys
    vagrant: Vagrant
    connection: fabric.Connection = field(init=False)
    accelerator: str = field(init=False)
    """The one that QEMU uses: kvm or tcg."""
    is_lost: bool = field(init=False, default=False)
    """True if the agent may still be running a sequence that we stopped waiting for."""
    _server: paramiko.Channel | None = field(init=False, default=None)
    _awaited: int = field(init=False, default=0)
    _undo: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def __enter__(self) -> Guest:
        self._undo.callback(self.connection.close)
        self._undo.enter_context(self.console.bounded())
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection; Vagrant ends the guest."""
        self._undo.close()

    @property
    def engine(self) -> Engine:
        """Return how it runs. On the virtual clock it stands still unless it is awaited."""
        return self.vagrant.engine

    @property
    def folder(self) -> Path:
        """Return the folder of its monitor and its console on the host."""
        return self.vagrant.data(self.machine)

    def connect(self) -> None:
        """Enter it with this user's key, and only if it has the host key that we gave it."""
        port = qmp.ssh_port(self.folder)
        self.connection = fabric.Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=fabric.Config(
                overrides={"load_ssh_configs": False, "runners": {"remote": BoundedRemote}}
            ),
            connect_timeout=CONNECT_SECONDS,
            connect_kwargs={
                "key_filename": str(self.keys.private),
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": CONNECT_SECONDS,
                "auth_timeout": CONNECT_SECONDS,
                "channel_timeout": CONNECT_SECONDS,
            },
        )
        client = self.connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        _, key, *_ = self.keys.host_public.read_text().split()
        host_key = paramiko.Ed25519Key(data=base64.b64decode(key))
        client.get_host_keys().add(f"[127.0.0.1]:{port}", host_key.get_name(), host_key)
        with self.reachable("its SSH server"):
            self.connection.open()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it run while it is awaited. On the virtual clock its time would race otherwise."""
        if self.engine.is_virtual and not self._awaited:
            qmp.resume(self.folder)
        self._awaited += 1
        try:
            yield
        finally:
            self._awaited -= 1
            if self.engine.is_virtual and not self._awaited:
                # One that has ended stands still as well.
                with contextlib.suppress(MeasurementError):
                    qmp.pause(self.folder)

    @contextlib.contextmanager
    def reachable(self, what: str) -> Iterator[None]:
        """Let it run, and raise MeasurementError, with the console's end, where it is lost."""
        try:
            with self.running():
                yield
        except _LOST as error:
            raise MeasurementError(
                f"guest {self.machine}, {what}: {str(error) or 'the connection ended'}; "
                f"{self.last_words()}"
            ) from error

    def last_words(self) -> str:
        """Return the state of QEMU, and the end of the console."""
        if not self.folder.is_dir():
            qemu = "the files of its machine are gone"
        elif not self.process():
            qemu = f"QEMU has ended {tail(self._file('qemu.log'))}".rstrip()
        else:
            try:
                qemu = _STATES.get(state := qmp.status(self.folder), f"QEMU says '{state}'")
            except MeasurementError as error:
                qemu = str(error)
        return f"{qemu}; the end of its console:\n{tail(self.console.text())}"

    @functools.cached_property
    def console(self) -> Console:
        """Return the console of its kernel and its first processes."""
        return self.vagrant.console(self.machine)

    def log_command(self, command: str) -> None:
        """Log a shell command that is run in the guest."""
        process.log_command(self.vagrant.entry(self.machine, command))

    def _file(self, name: str) -> str:
        """Return the text of a file of its machine; nothing, where there is none."""
        return Console(self.folder / name).text()

    def process(self) -> psutil.Process | None:
        """Return the guest's QEMU, found by its `-uuid`.

        None if it has ended, or the file with the UUID is gone.
        """
        if uuid := self._file("id").strip():
            for each in psutil.process_iter():
                with contextlib.suppress(psutil.Error):  # it has ended
                    if uuid in each.cmdline():
                        return each
        return None

    def run(self, command: str, seconds: int = COMMAND_SECONDS) -> str:
        """Run a shell command in the guest for at most `seconds`, and return its standard output.

        Raises MeasurementError when it fails.
        """
        # The guest has the limit, since one that is only here would leave the command running.
        # On the virtual clock, minutes may pass there while the host reads a disk.
        self.log_command(command)
        there = seconds * RACE if self.engine.is_virtual else seconds
        bounded = f"timeout {there} sh -euc {shlex.quote(command)}"
        with self.reachable(f"`{command}`"):
            result = self.connection.run(
                bounded, hide=True, warn=True, in_stream=False, timeout=seconds + CONNECT_SECONDS
            )
        if result.exited == CUT:
            raise MeasurementError(
                f"guest {self.machine}, `{command}` ended without a status, or wrote more than "
                f"{OUTPUT_BYTES} bytes"
            )
        if result.failed:
            raise MeasurementError(
                f"guest {self.machine}, `{command}` failed with status {result.exited}: "
                f"{tail(result.stdout + result.stderr)}"
            )
        text: str = result.stdout
        return text

    def put(self, content: bytes, path: str) -> None:
        """Write a file in the guest. Raises MeasurementError where that cannot be done."""
        with self.reachable(f"the upload of {path}"):
            channel = self.connection.sftp().get_channel()
            assert channel
            channel.settimeout(COMMAND_SECONDS)
            self.connection.put(io.BytesIO(content), path)

    def server(self) -> paramiko.Channel:
        """Return the channel to its program, which runs sequences as long as it lives.

        A guest that continues from a checkpoint first gets the time of day. On the host's clock it
        also gets a secret of its own: all guests of a checkpoint would draw the same random numbers
        otherwise. On the virtual clock they should.
        """
        if self._server is None:
            with self.reachable("its program"):
                channel = self.connection.create_session()
                channel.settimeout(COMMAND_SECONDS)
                channel.exec_command(_RELAY)
                secret = "" if self.engine.is_virtual else secrets.token_hex(64)
                channel.sendall(encode(Greeting(time.time(), secret)).encode() + b"\n")
                if (line := Lines(channel, COMMAND_SECONDS).read()) is None:
                    raise MeasurementError(f"the guest's program has ended: {self.complaint()}")
                parse(line, pydantic.TypeAdapter(Serving))
                self._server = channel
        return self._server

    def complaint(self) -> str:
        """Return the last words of its program, or else those of the guest."""
        try:
            words = self.run(f"cat {TALK}/log", ANSWER_SECONDS).strip()
        except MeasurementError:
            words = ""
        return tail(words) or self.last_words()

    def prepare(self, trees: Mapping[str, Tree]) -> None:
        """Install what cells need, and save the guest's state for comparison.

        Raises MeasurementError when it does not run the kernel of its kit. A change of what is done
        here raises RECIPE of hatester/guests/checkpoint.py.
        """
        release = self.run("uname -r").strip()
        if release != self.image.kit.release:
            raise MeasurementError(f"the guest runs Linux {release}, not {self.image.kit.release}")
        self.run(
            f"mkdir -p /opt/hatester {TALK}; mkfifo {TALK}/requests {TALK}/events;"
            f" modprobe dummy numdummies=0"
        )
        self.put(pack_program(), f"{PROGRAM}.zip")
        installs = "".join(_install(name, tree) for name, tree in trees.items())
        self.run(
            f"{installs} python3 -m zipfile -e {PROGRAM}.zip {PROGRAM};"
            f" python3 -m compileall -q {PROGRAM}; python3 {PROGRAM} save {BUILDS};"
            f" setsid python3 {PROGRAM} serve {TALK} </dev/null >{TALK}/log 2>&1 & sync",
            PREPARE_SECONDS,
        )
        # It is loaded then, and waits for the next host once the way to this one has gone.
        self.server().close()
        self._server = None
        self.run("while pgrep -x cat >/dev/null; do sleep 0.1; done")

    def is_fit(self) -> bool:
        """Return True if it can be used again: QEMU and it answer, and no cell left a trace."""
        if self.is_lost:
            return False
        try:
            with self.running():
                return qmp.status(self.folder) == "running" and not self.traces()
        except MeasurementError:
            return False

    def traces(self) -> list[str]:
        """Return the changes since it was prepared: all that it has in addition, or lacks.

        Raises MeasurementError when it does not say.
        """
        said = self.run(f"python3 {PROGRAM} traces", ANSWER_SECONDS)
        try:
            return parse(said.encode(errors="replace"), pydantic.TypeAdapter(list[Text]))
        except GuestFault as error:
            raise MeasurementError(f"guest {self.machine}, its traces: it {error}") from error


def _install(name: str, tree: Tree) -> str:
    """Return the commands that install a build: its disk is mounted."""
    root = shlex.quote(build_root(name))
    return f"mkdir -p {root}; mount -o ro /dev/disk/by-id/virtio-{tree.serial} {root};"


@functools.cache
def pack_program() -> bytes:
    """Pack the program of `provision/guest` as it is uploaded: one zip file that Python runs.

    It depends only on the paths and contents of its files. It is packed once in each process, so
    that a saved guest has the program by which it is named (hatester/guests/checkpoint.py).
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(PROVISION.glob("**/*.py")):
            _add(archive, str(path.relative_to(PROVISION.parent)), path.read_bytes())
        _add(archive, "__main__.py", b"import provision.guest.__main__\n")
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A ZipInfo that is made by name has always the same time.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def start(machine: str, image: Image, keys: Keys, vagrant: Vagrant, **further: Any) -> Guest:
    """Start a guest and enter it; `further` is added to its declaration for the Vagrantfile.

    Raises MeasurementError when it does not boot.
    """
    engine = {"clock": vagrant.engine.clock, "cpus": vagrant.engine.cpus}
    declare_machines(vagrant.machines, {machine: {**image.machine(keys), **engine, **further}})
    vagrant.up(vm_name=machine)
    guest = Guest(machine, image, keys, vagrant)
    if qemu := guest.process():
        process.log_command(qemu.cmdline())
    guest.accelerator = "kvm" if qmp.is_accelerated(guest.folder) else "tcg"
    guest.connect()
    return guest
