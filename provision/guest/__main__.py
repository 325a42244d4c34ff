"""`python3 guest.pyz COMMAND`: the programs that the host runs in a guest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provision.guest import agent, cleanliness, haproxy, protocol, rehearsal, survey
from provision.guest.errors import GuestError
from provision.guest.plan import Question
from provision.guest.protocol import Answer, Refusal, cut


def main() -> None:
    """Run a command.

    `save FOLDER` saves the guest's state and rehearses with each HAProxy in the folder. `traces`
    lists what was left since. `serve FOLDER` serves hosts at the folder's pipes. `survey FILE`
    answers a question about a configuration (`survey.py`).
    """
    command = sys.argv[1]
    if command == "save":
        trees = sorted(Path(sys.argv[2]).iterdir())
        haproxy.save_words(trees)
        cleanliness.save()
        rehearsal.run(trees)
    elif command == "traces":
        print(json.dumps(cleanliness.traces()))
    elif command == "serve":
        agent.run(Path(sys.argv[2]))
    elif command == "survey":
        print(protocol.encode(_survey(Path(sys.argv[2]))))
    else:
        sys.exit(f"{command} is not one of save, traces, serve, survey")


def _survey(question: Path) -> Answer | Refusal:
    try:
        return survey.run(Question.of(question.read_text(encoding="utf-8")))
    except GuestError as error:
        return Refusal(cut(str(error)))


main()
