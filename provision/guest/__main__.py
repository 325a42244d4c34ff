"""`python3 guest.pyz COMMAND`: the programs that the host runs in a guest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provision.guest import server, state


def main() -> None:
    """`save` the guest's state, list the `traces` left since, or `serve FOLDER` with its pipes."""
    command = sys.argv[1]
    if command == "save":
        state.save()
    elif command == "traces":
        print(json.dumps(state.traces()))
    elif command == "serve":
        server.run(Path(sys.argv[2]))
    else:
        sys.exit(f"{command} is not one of save, traces, serve")


main()
