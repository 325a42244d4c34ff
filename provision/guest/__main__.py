"""`python3 guest.pyz COMMAND`: the programs that the host runs in a guest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provision.guest import server, state, survey
from provision.guest.errors import GuestError


def main() -> None:
    """`save` the guest's state, list the `traces` left since, `serve FOLDER` with its pipes, or
    `survey FILE`, a configuration as `survey.py` takes it."""
    command = sys.argv[1]
    if command == "save":
        state.save()
    elif command == "traces":
        print(json.dumps(state.traces()))
    elif command == "serve":
        server.run(Path(sys.argv[2]))
    elif command == "survey":
        try:
            print(json.dumps(survey.run(json.loads(Path(sys.argv[2]).read_text()))))
        except GuestError as error:
            sys.exit(str(error))
    else:
        sys.exit(f"{command} is not one of save, traces, serve, survey")


main()
