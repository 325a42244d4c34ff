"""Where the project keeps what, from its top level."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MATRIX = PROJECT / "matrix"
HOSTS = MATRIX / "hosts"
"""What `invoke capture` brings from production hosts, which is the user's alone."""
PROVISION = PROJECT / "provision"
RESULTS = PROJECT / "results"
MACHINES = PROJECT / ".hatester/machines.json"
"""What `invoke images` tells the Vagrantfile: the files of each guest."""
RUN_SCHEMA = PROJECT / "docs" / "run.schema.json"
"""What a `run.json` has, as JSON Schema has it."""
