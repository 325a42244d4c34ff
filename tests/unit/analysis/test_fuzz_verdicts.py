"""Verdicts agree with those of brute force; anything that is not a timeline has none."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.findings import find
from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import SEVERITY
from hatester.analysis.reload_model import ListenerHolder
from hatester.analysis.timeline import read
from hatester.report.tables import tables
from hatester.report.timeline_svg import Drawing
from provision.guest import connections
from tests.factories.cells import ID, cell_result, run_of
from tests.factories.evidence import (
    A44,
    A45,
    AT,
    LABELS,
    MASTER,
    NEW,
    OLD,
    PROCESSES,
    STATS,
    STRANGER,
    evidence,
    held,
    judge,
    listener,
    reload,
)
from tests.factories.hostile import examples, mutated

Probe = list[Any]
FAILURES = connections.OUTCOMES[1:]
NAMES = ("with", "without", "other")
ADDRESSES = (*LABELS, "fd00::44:80")
INTERVAL = 0.1


def sent(probe: Probe) -> float:
    return float(probe[2])


def is_ok(probe: Probe) -> bool:
    return bool(probe[4] == "ok")


class Brute:
    """The facts of a timeline, found by a look at every probe for every question."""

    def __init__(self, timeline: Mapping[str, Any]) -> None:
        self.timeline = timeline
        self.addresses: list[str] = timeline["addresses"]
        self.bound: Mapping[str, list[str]] = timeline["configurations"]
        self.reloads: list[dict[str, Any]] = timeline["reloads"]

    def probes(self, label: str, start: float, end: float) -> list[Probe]:
        """Return an address's probes that were sent between two times, in order."""
        if label not in self.addresses:
            return []
        own = [p for p in self.timeline["probes"] if self.addresses[p[0]] == label]
        return sorted((p for p in own if start <= sent(p) < end), key=sent)

    def in_service(self, at: float) -> str | None:
        """Return the configuration that answered last before a time, or else was asked for last."""
        answers = [
            (sent(p), p[6])
            for p in self.timeline["probes"]
            if is_ok(p) and p[6] in self.bound and p[3] <= at and sent(p) < at
        ]
        asked = [
            (step["at"], step["what"])
            for step in self.timeline["steps"]
            if step["verb"] in ("start", "reload") and step["at"] < at
        ]
        found: list[tuple[float, str | None]] = answers or asked or [(0.0, None)]
        return max(found, key=lambda each: each[0])[1]

    def lasting(self, entry: Mapping[str, Any]) -> set[str]:
        """Return the addresses that are there, and bound before and after."""
        before = self.bound.get(self.in_service(entry["at"]) or "", [])
        return {*self.bound.get(entry["config"], [])} & {*before} & {*entry["present"]}

    def expected(self, entry: Mapping[str, Any]) -> set[str]:
        """Those as well that a reload has bound, by its word, and that are dead in the end."""
        if entry["reported"] != "success" or not entry["steady"]:
            return self.lasting(entry)
        last = {
            label: self.probes(label, entry["at"], entry["until"])[-2:]
            for label in {*self.bound.get(entry["config"], [])} & {*entry["in_the_end"]}
        }
        dead = {label for label, two in last.items() if len(two) == 2 and not any(map(is_ok, two))}
        return self.lasting(entry) | dead

    def last_watched(self, number: int) -> dict[str, Any]:
        """Return the last of the reloads in quick succession, of which none settled but that."""
        entry = self.reloads[number]
        following = self.reloads[number + 1 : number + 2]
        if entry["steady"] or not following or following[0]["at"] - entry["until"] > 1.0:
            return entry
        return self.last_watched(number + 1)

    def stretches(self, number: int, label: str) -> list[tuple[float, float, bool, float]]:
        """Return the outages of an address in a reload: with whether it was over, and its share."""
        entry = self.reloads[number]
        at, until = entry["at"], entry["until"]
        seen = self.probes(label, at, max(self.last_watched(number)["until"], until))
        lost = [place for place, probe in enumerate(seen) if not is_ok(probe)]
        partial, found = set(), []
        for place in lost:
            own = {place}
            while more := {i for i in lost if any(abs(i - j) <= 10 for j in own)} - own:
                own |= more
            if sum(i - 1 not in own for i in own) >= 5:
                partial.add((min(own), max(own)))
        found = [each for each in partial if sent(seen[each[0]]) < until]
        for first in lost:
            if first in [i for low, high in partial for i in range(low, high + 1)]:
                continue
            last = first
            while last + 1 in lost and sent(seen[last + 1]) < until:
                last += 1
            if last > first and first - 1 not in lost:
                found.append((first, last))
        settled = self.last_watched(number)["steady"]
        return sorted(self.stretch(entry, label, seen, *each, settled) for each in found)

    def stretch(
        self, entry: Mapping[str, Any], label: str, seen: Sequence[Probe], first: int, last: int,
        settled: bool,
    ) -> tuple[float, float, bool, float]:  # fmt: skip
        """Return the outage between two places; the last probe before the reload begins it."""
        earlier = [*self.probes(label, -math.inf, entry["at"])[-1:], *seen[:first]]
        start = max((sent(p) for p in earlier if is_ok(p)), default=entry["at"])
        share = sum(not is_ok(p) for p in seen[first : last + 1]) / (last + 1 - first)
        later = [sent(p) for p in seen[last + 1 :] if is_ok(p)]
        is_over = bool(later) and (share == 1 or settled or len(seen) - last > 10)
        return start, later[0] if is_over else entry["until"], is_over, share

    def address(self, number: int, label: str) -> dict[str, Any]:
        """Return the result of an address in a reload."""
        entry = self.reloads[number]
        window = self.probes(label, entry["at"], entry["until"])
        lost = [p for p in window if not is_ok(p)]
        is_expected = label in self.expected(entry)
        found = self.stretches(number, label) if is_expected else []
        verdict = "lossy" if lost else "ok"
        if found:
            verdict = "outage" if found[-1][2] else "down"
        return {
            "expected": is_expected,
            "verdict": verdict if is_expected else None,
            "outage_seconds": about(sum(end - start for start, end, *_ in found)),
            "first_failure": about(sent(lost[0]) - entry["at"]) if lost else None,
            "last_failure": about(sent(lost[-1]) - entry["at"]) if lost else None,
            "probes": len(window),
            "failures": dict(Counter(p[4] for p in lost)),
            "outages": [
                {
                    "from": about(start - entry["at"]),
                    "to": about(end - entry["at"]),
                    "share": about(share),
                }
                for start, end, _, share in found
            ],
            "answers": dict(Counter(p[6] for p in window if is_ok(p) and p[6])),
        }

    def reload(self, number: int) -> dict[str, Any]:
        """Return the result of a reload, with its addresses."""
        entry = self.reloads[number]
        addresses = {
            label: self.address(number, label) for label in {*self.addresses, *self.expected(entry)}
        }
        expected = [each for each in addresses.values() if each["expected"]]
        worst = max((each["verdict"] for each in expected), key=SEVERITY.index, default="unasked")
        is_silent = entry["reported"] == "success" and worst == "down"
        return {"verdict": worst, "silent": is_silent, "addresses": addresses}

    def is_true(self, number: int) -> bool | None:
        """Return True if the end confirms HAProxy's report; None where nothing shows it."""
        entry = self.reloads[number]
        expected = self.expected(entry)
        if self.stale(entry):
            return False
        if entry["reported"] is None or not expected:
            return None
        success = entry["reported"] == "success"
        if success and any(self.address(number, each)["verdict"] == "down" for each in expected):
            return False
        windows = (self.probes(label, entry["at"], entry["until"]) for label in expected)
        answered = ([p for p in window if is_ok(p)] for window in windows)
        last = {probes[-1][6] for probes in answered if probes} - {None}
        right = entry["config"] if success else self.in_service(entry["at"])
        return last == {right} if last else None

    def stale(self, entry: Mapping[str, Any]) -> dict[str, float]:
        """Return the share of answers that others gave, a second after the report of success."""
        found: dict[str, float] = {}
        if entry["reported"] == "success":
            for label in self.bound.get(entry["config"], []):
                probes = self.probes(label, entry["reported_at"] + 1.0, entry["until"])
                names = [p[6] for p in probes if is_ok(p) and p[6]]
                wrong = [name for name in names if name != entry["config"]]
                if len(wrong) > 1:
                    found[label] = len(wrong) / len(names)
        return found

    def quality(self) -> str:
        late = [p[2] - p[1] for p in self.timeline["probes"]]
        rare = len(late) // 100
        p99 = sorted(late)[-1 - rare] if late else 0.0
        probing, sampling = self.timeline["probing"], self.timeline["sampling"]
        used = probing["cpu_seconds"] + sampling["cpu_seconds"]
        if p99 > 0.5:
            return "starved"
        if used > 0.7 * probing["seconds"] * probing["processors"]:
            return "heavy"
        return "late" if p99 > self.timeline["interval"] else "good"

    def can_be_judged(self) -> bool:
        if self.quality() in ("starved", "heavy") or not self.reloads:
            return False
        first = self.reloads[0]
        for label in self.lasting(first):
            if not all(map(is_ok, self.probes(label, first["at"] - 1.0, first["at"]))):
                return False
        return all(
            self.probes(label, entry["at"], entry["until"])
            for entry in self.reloads
            if entry["until"] - entry["at"] >= 2 * self.timeline["interval"]
            for label in self.expected(entry)
        )


def about(seconds: float) -> Any:
    """Return the same number except for rounding."""
    return pytest.approx(seconds, abs=1e-5)


def made_up(seed: int) -> dict[str, Any]:
    """Return up to four reloads of up to four addresses, with failures by chance."""
    chance = random.Random(seed)
    labels = chance.sample(ADDRESSES, chance.randint(1, 4))
    most = [*labels] * 20 + [*ADDRESSES]
    bound = {name: [*{*chance.choices(most, k=12)}] for name in NAMES}
    reloads = _reloads(chance, chance.choice([0] + [1, 2, 3, 4] * 6))
    begin = reloads[0]["at"] if reloads else 1.0
    end = max([2.0, *(each["until"] + 0.5 for each in reloads)])
    hits = []
    for label in chance.choices(labels, k=chance.randint(0, 4)):
        start = chance.uniform(begin - (1.2 if chance.random() < 0.1 else 0.05), end)
        hits.append((label, start, start + chance.choice([0.1, 0.3, 0.9, 9.0])))
    singly = {label: chance.choice([0.0, 0.0, 0.03, 0.3]) for label in labels}
    answers = [(chance.uniform(begin, end), chance.choice([*NAMES, None, "?"])) for _ in range(2)]
    answers += [(each["at"] - chance.random() / 2, chance.choice(NAMES)) for each in reloads]
    answers.append((0.0, chance.choice([*NAMES, None])))
    late = chance.choice([0.0] * 9 + [0.15, 0.6])
    probes = []
    for (index, label), number in itertools.product(enumerate(labels), range(int(end / INTERVAL))):
        due = round(number * INTERVAL + index * INTERVAL / 4, 6)
        at = round(due + late * (chance.random() < 0.5), 6)
        is_lost = at >= begin and chance.random() < singly[label]
        is_lost |= any(each == label and start <= at < stop for each, start, stop in hits)
        name = max((each for each in answers if each[0] <= at), key=lambda each: each[0])[1]
        outcome = chance.choice(FAILURES) if is_lost else "ok"
        ended = round(at + chance.choice([0.001] * 4 + [0.4]), 6)
        probes.append([index, due, at, ended, outcome, None, None if is_lost else name])
    chance.shuffle(probes)
    steps = [{"step": 1, "verb": "start", "what": chance.choice(NAMES), "at": 0.0}]
    steps += [
        {"step": each["step"], "verb": "reload", "what": each["config"], "at": each["at"]}
        for each in reloads
    ]
    burden = chance.choice([0.1] * 19 + [0.8])
    return {
        **evidence(reloads=reloads, labels=labels, interval=INTERVAL, burden=burden),
        "configurations": bound, "probes": probes, "steps": steps,
    }  # fmt: skip


timelines = st.builds(made_up, st.integers(0, 2**64))


def _reloads(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """One after another, in quick succession or not."""
    at, found = 1.05 + chance.random(), []
    for number in range(count):
        until = at + chance.choice([0.0, 0.05, 0.15, 0.4, 1.0, 2.0, 2.0])
        reported = chance.choice(["success", "success", "failure", None])
        found.append(
            reload(
                step=2 * number + 2, config=chance.choice(NAMES), at=round(at, 6),
                until=round(until, 6), present=[a for a in ADDRESSES if chance.random() < 0.95],
                reported=reported, reported_at=reported and round(at + 0.05, 6),
                steady=chance.random() < 0.5,
            )
        )  # fmt: skip
        at = until + chance.choice([0.0, 0.01, 0.3, 0.9, 1.1])
    return found


@examples(3)
@given(timelines)
def test_a_verdict_is_what_brute_force_makes_of_the_same_probes(timeline: dict[str, Any]) -> None:
    brute, found = Brute(timeline), judge(timeline)
    assert found.quality
    assert found.quality.verdict == brute.quality()
    assert (found.verdict != "error") == brute.can_be_judged()
    if found.verdict == "error":
        assert found.reloads == ()
        return
    expected = [brute.reload(number) for number in range(len(brute.reloads))]
    for number, (reload_, wanted) in enumerate(zip(found.reloads, expected, strict=True)):
        assert (reload_.verdict, reload_.silent) == (wanted["verdict"], wanted["silent"])
        assert reload_.addresses.keys() == wanted["addresses"].keys()
        for label, address in wanted["addresses"].items():
            judged_so = json.loads(reload_.addresses[label].model_dump_json(by_alias=True))
            assert {name: judged_so[name] for name in address} == address
        assert reload_.is_true == brute.is_true(number)
        shares = {label: each.share for label, each in reload_.stale.items()}
        assert shares == pytest.approx(brute.stale(brute.reloads[number]))
    assert found.verdict == max((each["verdict"] for each in expected), key=SEVERITY.index)
    assert found.silent == any(each["silent"] for each in expected)
    assert found.explanation


@examples(0.3)
@given(st.lists(st.sets(st.sampled_from([MASTER, OLD, NEW, STRANGER, 9])), min_size=2, max_size=60))
def test_who_held_an_address_is_who_was_seen_to_in_each_sample(samples: list[set[int]]) -> None:
    moments = [(number + 20) / 20 for number in range(len(samples))]
    listeners = [listener(STATS, 0.0, moments[-1] + 0.1, MASTER)]
    for moment, pids in zip(moments, samples, strict=True):
        if pids and listeners[-1]["pids"] == sorted(pids) and listeners[-1]["address"] == A44:
            listeners[-1]["end"] = moment
        elif pids:
            listeners.append(listener(A44, moment, moment, *sorted(pids)))
        else:  # another socket, if one is there again
            listeners.append(listener(STATS, moment, moment, MASTER))
    reloads = [reload(at=1.21, until=2.41), reload(step=8, at=2.51, until=3.91)]
    judgement = judge(evidence(reloads=reloads, listeners=listeners))
    for entry, source in zip(judgement.reloads, reloads, strict=True):
        newest = "new worker" if source["step"] == 6 else "old worker"
        owners = {MASTER: "master", OLD: "old worker", NEW: newest}
        for moment, pids in zip(moments, samples, strict=True):
            if source["at"] < moment < source["until"]:
                holders: list[tuple[str | None, int | None]]
                holders = [(owners.get(pid, "stranger"), pid) for pid in pids] or [(None, None)]
                assert _holders_at(entry.listeners, moment - source["at"]) == {*holders}


def _holders_at(
    listeners: Sequence[ListenerHolder], at: float
) -> set[tuple[str | None, int | None]]:
    """Return the holders of .44 at the moment of a sample that saw something."""
    return {
        (each.owner, each.pid)
        for each in listeners
        if each.address == A44
        for margin in [1e-5 if each.owner else -1e-5]
        if each.start - margin <= at <= each.end + margin
    }


SMALL = evidence(
    {A44: [(2.0, 2.9, "reset")]}, interval=0.5, end=4.0,
    reloads=[reload(until=2.5, steady=False), reload(step=8, at=2.6, until=3.9)],
    listeners=held((0.0, 1.2, (OLD,)), labels=[A44, A45]), processes=PROCESSES[:2],
    log=[(AT, "[ALERT] 1/1 (1) : cannot bind socket [192.168.42.43:80]")],
)  # fmt: skip


@given(mutated(SMALL).filter(lambda timeline: isinstance(timeline, dict)))
def test_of_any_timeline_there_is_a_verdict_or_a_reason_why_there_is_none(
    timeline: dict[str, Any],
) -> None:
    # As it comes from a file.
    timeline = json.loads(json.dumps(timeline, default=str, skipkeys=True))
    try:
        found = judge(timeline)
    except ValueError:
        return
    cell = cell_result(ID, found)
    assert CellResult.model_validate_json(cell.to_json()) == cell
    assert Drawing(read(timeline), cell).draw().startswith("<svg")
    assert tables(run_of(cell))
    find(run_of(cell))
