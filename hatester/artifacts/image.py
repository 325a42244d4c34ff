"""Guest images: what a guest is started from, and telling the Vagrantfile of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from hatester.artifacts.kernel import Kit
from hatester.artifacts.ssh_keys import Keys
from hatester.util.files import set_aside, usable, write_whole
from hatester.util.locks import locked

_MACHINES = pydantic.TypeAdapter(dict[str, dict[str, Any]])


@dataclass(frozen=True)
class Image:
    """A kernel kit, and the disk of the system around it."""

    kit: Kit
    system: Path

    def machine(self, keys: Keys) -> dict[str, Any]:
        """A machine of it, as the Vagrantfile takes it."""
        return {
            "release": self.kit.release,
            "vmlinuz": str(self.kit.vmlinuz),
            "initrd": str(self.kit.initrd),
            "modules": str(self.kit.modules),
            "system": str(self.system),
            "private_key": str(keys.private),
            "ssh_config": str(keys.ssh_config),
        }


def tell_vagrant(file: Path, machines: Mapping[str, Mapping[str, Any]]) -> None:
    """Write machines where the Vagrantfile looks for them, beside the ones that it has.

    A file that has something else is set aside. Raises UserError where it cannot be written.
    """
    with usable(file), locked(file.with_suffix(".lock"), "writes down machines"):
        write_whole(file, json.dumps({**_known(file), **machines}, indent=1) + "\n")


def _known(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return _MACHINES.validate_json(file.read_bytes()) if file.exists() else {}
    except (IsADirectoryError, pydantic.ValidationError):
        set_aside(file, "is damaged: it has no machines")
        return {}
