"""Guest images: what a guest is started from, and telling the Vagrantfile of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatester.files import write_whole
from hatester.keys import Keys
from hatester.kits import Kit
from hatester.locks import locked


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
    """Write machines where the Vagrantfile looks for them, beside the ones that it has."""
    with locked(file.with_suffix(".lock"), "writes down machines"):
        known = json.loads(file.read_text()) if file.exists() else {}
        write_whole(file, json.dumps({**known, **machines}, indent=1) + "\n")
