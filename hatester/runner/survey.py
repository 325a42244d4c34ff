"""What a configuration binds and talks to, as HAProxy itself has it when it is asked in a guest."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatester.guests.guest import PROGRAM, TALK, Guest, build_root
from hatester.util.errors import MeasurementError

_FILE = f"{TALK}/survey.json"
SECONDS = 600
"""For a survey in which every wait in the guest takes as long as it may."""


@dataclass(frozen=True)
class Survey:
    """What a configuration does.

    `binds` has how each address answers by its label (`provision/guest/connections.py`); None where
    it does not take connections. `servers` are those that it talks to, such as 10.0.0.5:8080,
    `failing` the names of those whose checks fail, and `made` the paths of files that the build
    does not have.
    """

    binds: Mapping[str, str | None]
    servers: tuple[str, ...]
    failing: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


def survey(guest: Guest, build: str, plan: Mapping[str, Any]) -> Survey:
    """Ask a build about a configuration: `plan` is as the guest's survey takes it, without `tree`.

    Raises MeasurementError when HAProxy does not start with it, with its first alert, and when
    there is nobody to be asked.
    """
    with guest.reachable("the survey"):
        text = json.dumps({"tree": build_root(build), **plan})
        guest.connection.put(io.BytesIO(text.encode()), _FILE)
    try:
        found = json.loads(guest.run(f"python3 {PROGRAM} survey {shlex.quote(_FILE)}", SECONDS))
    finally:
        guest.run(f"rm -f {shlex.quote(_FILE)}")
    if reason := found.get("refused"):
        raise MeasurementError(f"HAProxy {build}: {reason}")
    if not any(found["binds"].values()):
        raise MeasurementError(
            f"HAProxy {build} binds nothing by TCP that takes connections with this configuration; "
            f"it binds {', '.join(found['binds']) or 'nothing'}"
        )
    lists = (tuple(found[name]) for name in ("servers", "failing", "made"))
    return Survey(found["binds"], *lists)
