"""What a configuration binds and talks to, as HAProxy itself has it when it is asked in a guest."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from hatester.errors import MeasurementError
from hatester.guests import PROGRAM, TALK, Guest, build_root
from hatester.sequence import laid

_FILE = f"{TALK}/survey.json"


@dataclass(frozen=True)
class Survey:
    """By its label, how each address answers, as `provision/guest/answers.py` has it; None where
    what it does cannot be told from a failure. And the servers, such as 10.0.0.5:8080."""

    binds: Mapping[str, str | None]
    servers: tuple[str, ...]


def survey(guest: Guest, build: str, text: str, files: Mapping[str, str]) -> Survey:
    """Ask a build about a configuration, with the files that it names, as a scenario has them.

    Raises MeasurementError when HAProxy does not start with it, with its last words.
    """
    plan = {"tree": build_root(build), "text": text, **laid(files)}
    with guest.reachable("the survey"):
        guest.connection.put(io.BytesIO(json.dumps(plan).encode()), _FILE)
    try:
        found = json.loads(guest.run(f"python3 {PROGRAM} survey {shlex.quote(_FILE)}"))
    finally:
        guest.run(f"rm -f {shlex.quote(_FILE)}")
    if not any(found["binds"].values()):
        raise MeasurementError(
            f"HAProxy {build} binds no address that answers with this configuration; it binds "
            f"{', '.join(found['binds']) or 'none'}"
        )
    return Survey(found["binds"], tuple(found["servers"]))
