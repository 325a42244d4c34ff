"""Vagrant, by python-vagrant, with bounds and with the reason when it fails.

python-vagrant 1.0.0 gives its calls no time limit and drops Vagrant's standard error. So the two
methods by which it runs everything are replaced here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import vagrant

from hatester.guests.console import Console
from hatester.guests.host_capabilities import Engine
from hatester.util import process
from hatester.util.errors import MeasurementError, tail
from hatester.util.files import quarantine, usable, write_whole
from hatester.util.locks import locked
from hatester.util.paths import IS_INSTALLED, PROJECT

SECONDS = 300.0
"""Of one call; the provider bounds a boot on its own, by less."""


_MACHINES = pydantic.TypeAdapter(dict[str, dict[str, Any]])


class Vagrant(vagrant.Vagrant):
    """The machines of the Vagrantfile in `root`, declared and with their state in `folder`."""

    def __init__(self, root: Path, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        self.machines = folder / "machines.json"
        # The user's own plugins take time to load and have no part in this; nor has HashiCorp, whom
        # its own package of Vagrant asks for newer versions.
        aside = {"VAGRANT_NO_PLUGINS": "1", "VAGRANT_CHECKPOINT_DISABLE": "1"}
        env = {**self.where, "HATESTER_ACCEL": engine.accelerator, **aside}
        super().__init__(root=str(root), env=env)

    @property
    def where(self) -> dict[str, str]:
        """Return the environment in which Vagrant finds these machines."""
        return {
            "VAGRANT_DOTFILE_PATH": str(self.folder),
            "HATESTER_MACHINES": str(self.machines),
            **({"VAGRANT_CWD": str(PROJECT)} if IS_INSTALLED else {}),
        }

    def entry(self, machine: str, command: str | None = None) -> list[str]:
        """Return the command that enters a machine, or runs a command in it; it needs `where`."""
        return ["vagrant", "ssh", machine, *(["-c", command] if command else [])]

    def data(self, machine: str) -> Path:
        """Return the folder of a machine's disk, console and sockets."""
        return self.folder / "machines" / machine / "qemu"

    def console(self, machine: str) -> Console:
        """Return the console of a guest's kernel and its first processes."""
        return Console(self.data(machine) / "console.log")

    def destroy(self, vm_name: str | None = None) -> None:
        """End a machine, or all, and remove it.

        A Vagrant that was killed meanwhile is started once more. Raises MeasurementError when it
        fails again.
        """
        try:
            super().destroy(vm_name=vm_name)
        except MeasurementError:
            process.require_going_on()
            super().destroy(vm_name=vm_name)

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        words = ["vagrant", *(word for word in args if word is not None)]
        try:
            return process.run(words, seconds=SECONDS, env=self.env, cwd=Path(self.root))
        except process.CommandError as error:
            raise MeasurementError(
                f"`{' '.join(words)}` failed: {tail(error.output, 25)}"
            ) from error


def declare_machines(file: Path, machines: Mapping[str, Mapping[str, Any]]) -> None:
    """Write machines to the file in which the Vagrantfile looks for them, beside those in it.

    A damaged file is quarantined. Raises UserError where it cannot be written.
    """
    with usable(file), locked(file.with_suffix(".lock"), "declares machines"):
        write_whole(file, json.dumps({**_known(file), **machines}, indent=1) + "\n")


def _known(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return _MACHINES.validate_json(file.read_bytes()) if file.exists() else {}
    except (IsADirectoryError, pydantic.ValidationError):
        quarantine(file, "is damaged: it has no machines")
        return {}
