"""Guests: virtual machines that Vagrant starts and Fabric enters."""

from __future__ import annotations

import base64
import contextlib
import io
import shlex
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut, ThreadException

from hatester import monitor
from hatester.builds import Tree
from hatester.errors import MeasurementError, tail
from hatester.keys import Keys
from hatester.kits import Kit
from hatester.paths import PROVISION
from hatester.vagrant import Vagrant

CONNECT_SECONDS = 30
COMMAND_SECONDS = 120
PROGRAM = "/opt/hatester/guest"
"""A folder that Python runs; what it has compiled stays there and need not be compiled again."""
CLEAN = "clean"
"""The snapshot of a guest before its first cell."""

_LOST = (CommandTimedOut, ThreadException, paramiko.SSHException, OSError, EOFError)


def build_root(name: str) -> str:
    """Where the tree of a build is in a guest."""
    return f"/opt/haproxy/{name}"


@dataclass
class Guest:
    """A running guest, its kernel's kit, and how to enter it."""

    name: str
    kit: Kit
    keys: Keys
    vagrant: Vagrant
    connection: fabric.Connection = field(init=False)
    accelerator: str = field(init=False)
    """What QEMU runs it with: kvm or tcg."""

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it; it is Vagrant that ends it."""
        self.connection.close()

    @property
    def folder(self) -> Path:
        """Where its monitor and its console are on the host."""
        return self.vagrant.data(self.name)

    def connect(self) -> None:
        """Enter it with this user's key, and only if it has the host key that we gave it."""
        ssh_config = self.vagrant.ssh_config(vm_name=self.name)
        port = int(self.vagrant.conf(ssh_config)["Port"])
        self.connection = fabric.Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=fabric.Config(overrides={"load_ssh_configs": False}),
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
    def reachable(self, what: str) -> Iterator[None]:
        """Raise MeasurementError, with the console's end, where the connection is lost."""
        try:
            yield
        except _LOST as error:
            console = tail(self.vagrant.console(self.name))
            raise MeasurementError(
                f"guest {self.name}, {what}: {error or type(error).__name__}; "
                f"the end of its console:\n{console}"
            ) from error

    def run(self, command: str) -> str:
        """Standard output of a shell command in the guest, which may take COMMAND_SECONDS.

        Raises MeasurementError when it fails.
        """
        # What ends only the wait here would leave the command running there.
        bounded = f"timeout {COMMAND_SECONDS} sh -euc {shlex.quote(command)}"
        with self.reachable(f"`{command}`"):
            result = self.connection.run(
                bounded,
                hide=True,
                warn=True,
                in_stream=False,
                timeout=COMMAND_SECONDS + CONNECT_SECONDS,
            )
        if result.failed:
            raise MeasurementError(
                f"guest {self.name}, `{command}` failed with status {result.exited}: "
                f"{tail(result.stdout + result.stderr)}"
            )
        text: str = result.stdout
        return text

    def converse(self, command: str, seconds: float) -> paramiko.Channel:
        """A command of the guest with its standard input and output, silent `seconds` at most."""
        with self.reachable(f"`{command}`"):
            channel: paramiko.Channel = self.connection.create_session()
            channel.settimeout(seconds)
            channel.exec_command(command)
            return channel

    def prepare(self, trees: Mapping[str, Tree]) -> None:
        """Install what the cells need, and remember the guest as it is then.

        Raises MeasurementError when it does not run the kernel of its kit.
        """
        release = self.run("uname -r").strip()
        if release != self.kit.release:
            raise MeasurementError(f"the guest runs Linux {release}, not {self.kit.release}")
        self.run("mkdir -p /opt/hatester /run/hatester && modprobe dummy numdummies=0")
        self._put(_guest_program(), f"{PROGRAM}.zip")
        self.run(f"python3 -m zipfile -e {PROGRAM}.zip {PROGRAM}")
        for name, tree in trees.items():
            self._install(name, tree)
        self.run(f"python3 -m compileall -q {PROGRAM}; python3 {PROGRAM} save")
        self._snapshot()

    def _install(self, name: str, tree: Tree) -> None:
        """Unpack a build; with the kernel's file systems, as its users' HAProxy has them."""
        root = build_root(name)
        self._put(tree.archive.open("rb"), "/opt/hatester/tree.tar.gz")
        self.run(
            f"mkdir -p {root}; tar -xzf /opt/hatester/tree.tar.gz -C {root};"
            f" rm /opt/hatester/tree.tar.gz;"
            f" mount -t proc proc {root}/proc; mount -t sysfs sysfs {root}/sys;"
            f" mount --bind /dev {root}/dev"
        )

    def _put(self, content: io.BufferedIOBase, path: str) -> None:
        with content, self.reachable(f"the upload of {path}"):
            self.connection.put(content, path)

    def is_alive(self) -> bool:
        """Whether it can still be used."""
        try:
            self.run("true")
        except MeasurementError:
            return False
        return True

    def _snapshot(self) -> None:
        """Connections that a snapshot holds would be dead after its return."""
        self.connection.close()
        self.vagrant.save(self.name, CLEAN)
        self.connect()

    def restore(self) -> None:
        """Take it back to how it was before its first cell, but for the time of day."""
        self.connection.close()
        self.vagrant.restore(self.name, CLEAN)
        self.connect()
        self.run(f"date --set=@{time.time():.3f}")


def _guest_program() -> io.BytesIO:
    """The programs of `provision/guest`, as one file that Python runs."""
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(PROVISION.glob("**/*.py")):
            archive.write(path, path.relative_to(PROVISION.parent))
        archive.writestr("__main__.py", "import provision.guest.__main__\n")
    program.seek(0)
    return program


def start(name: str, kit: Kit, keys: Keys, vagrant: Vagrant) -> Guest:
    """A guest that runs and has been entered. Raises MeasurementError when it does not boot."""
    vagrant.up(vm_name=name)
    guest = Guest(name, kit, keys, vagrant)
    guest.accelerator = "kvm" if monitor.is_accelerated(guest.folder) else "tcg"
    guest.connect()
    return guest
