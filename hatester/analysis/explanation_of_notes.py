"""Clauses of an explanation about the notes beside a verdict, and about those who asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hatester.analysis.notes import share_of, slowest_in, stale_in, workers_left
from hatester.analysis.reload_model import ProcessUse, ReloadResult
from hatester.util.text import counted, listed, printable
from provision.guest.runtime_api import CLI_RESULT

_QUOTE = 120


def describe_notes(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    """Return the clauses of an explanation; `names` has short names of addresses, by label."""
    return [*_stale(reloads, names), *_slow(reloads, names), *_left(reloads)]


def _stale(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.stale]
    if not hit:
        return []
    worst = max(hit, key=lambda each: stale_in(each.stale))
    others = dict.fromkeys(name for each in worst.stale.values() for name in each.answers)
    share = share_of(worst.stale[label].share for label in worst.stale)
    return [
        f"HAProxy reported success of the reload of step {worst.step}, and a second later "
        f"{listed(others)} went on to give {share} answers of {_names(worst.stale, names)}"
        + mention_others(hit)
    ]


def _slow(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.slow]
    if not hit:
        return []
    worst = max(hit, key=slowest_in)
    before = worst.latency.before
    than = f", at most {before.most:.2f} s before" if before else ""
    return [
        f"the reload of step {worst.step} slowed answers of {_names(worst.slow, names)}, "
        f"to {slowest_in(worst):.2f} s{than}{mention_others(hit)}"
    ]


def _left(reloads: Sequence[ReloadResult]) -> list[str]:
    left = workers_left(reloads)
    if not left:
        return []
    oldest = max(left, key=lambda each: each.age)
    use = f", {describe_use(oldest.use)}" if oldest.use else ""
    which = "which was" if len(left) == 1 else "the oldest"
    be = "was" if len(left) == 1 else "were"
    return [f"{counted(len(left), 'old worker')} {be} left, {which} {oldest.age:.1f} s old{use}"]


def describe_use(use: ProcessUse) -> str:
    """Return the memory, processor time and open files of a process in words."""
    return (
        f"with {use.memory / 1e6:.0f} MB, {use.cpu_seconds:.2f} s of processor time and "
        f"{counted(use.files, 'open file')}"
    )


def _names(labels: Iterable[str], names: Mapping[str, str]) -> str:
    return listed(names.get(label, label) for label in labels)


def mention_others(hit: Sequence[ReloadResult]) -> str:
    """Return that reloads beside the described one did the same; nothing where it is alone."""
    return f", and so did {counted(len(hit) - 1, 'other reload')}" if len(hit) > 1 else ""


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
        answer = CLI_RESULT.search(reload.answer or "")
        asker = f"the master CLI answered {answer[0]}" if answer else "the asker heard otherwise"
        said.append(f"{asker}, though HAProxy logged {reload.logged}")
    return said
