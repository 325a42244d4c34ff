"""Who asked for a reload, and what they were given: beside HAProxy's log, and the truth."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hatester.analysis.model import ReloadResult
from hatester.analysis.timeline import Timeline
from hatester.util.text import listed, printable
from provision.guest.protocol import Reload

_ANSWER = re.compile(r"^Success=(?P<is_success>[01])", re.MULTILINE)
_QUOTE = 120


def has_no_effect(timeline: Timeline, reload: Reload) -> bool:
    """Return whether a reload had no effect at all.

    HAProxy did not report it, though it had the time, and no process of HAProxy's began meanwhile.
    """
    own = [each for each in timeline.processes if each.kind != "stranger"]
    is_unsaid = reload.reported is None and reload.refusal is None and reload.steady
    has_begun = any(reload.at < each.start <= reload.until for each in own)
    return is_unsaid and bool(own) and not has_begun


def describe_askers(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return in which reloads those who asked were refused or misled, or had no effect."""
    steps: dict[str, list[int]] = {}
    for reload in reloads:
        for said in _complaints(reload):
            steps.setdefault(said, []).append(reload.step)
    return [f"{said} ({_steps(numbers)})" for said, numbers in steps.items()]


def _steps(numbers: Sequence[int]) -> str:
    return f"step{'s' * (len(numbers) > 1)} {listed(map(str, numbers))}"


def _complaints(reload: ReloadResult) -> list[str]:
    said = []
    if reload.has_no_effect:
        said.append(f"the {reload.verb} had no effect: no process of HAProxy's began")
    if reload.refusal is not None:
        reason = printable(reload.refusal[:_QUOTE])
        said.append(f'nobody took the request for the {reload.verb}: "{reason}"')
    elif reload.exit_code == 0 and reload.reported == "failure":
        said.append(
            f"the command that asked for the {reload.verb} exited with status 0 all the same"
        )
    elif reload.reported is None and reload.answer and reload.answer.strip():
        said.append(f'the master CLI answered "{printable(reload.answer.strip()[:_QUOTE])}"')
    if reload.logged:
        answer = _ANSWER.search(reload.answer or "")
        asker = f"the master CLI answered {answer[0]}" if answer else "the asker heard otherwise"
        said.append(f"{asker}, though HAProxy logged {reload.logged}")
    return said
