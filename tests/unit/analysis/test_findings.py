"""Findings: what cells say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hatester.analysis import findings
from hatester.analysis.findings import Finding
from hatester.analysis.model import CellResult, CheckResult
from hatester.analysis.reload_model import Latency, OldWorker, ReloadLatency, StaleAnswers
from tests.factories.cells import cell, error, run_of
from tests.factories.evidence import A43, A44, A45, LABELS, OLD, STATS, Failures, everywhere

KERNELS = ("5.10", "6.1", "6.12")
REFUSED = everywhere((1.22, 3.22, "refused"))
RESET = everywhere((1.22, 3.52, "reset"))
DEAD = everywhere((1.22, 9.0, "refused"))
LOSSY: Failures = {A44: [(2.0, 2.019, "reset")]}


def cells(build: str, failures: Failures, **how: Any) -> list[CellResult]:
    """Return the same cell on every kernel."""
    return [cell(kernel, build, failures, **how) for kernel in KERNELS]


def find(found: Sequence[CellResult], planned: Sequence[str] = ()) -> list[Finding]:
    """Return the findings of a run of these cells."""
    return findings.find(run_of(*found, planned=planned))


def sentences(found: list[Finding], about: str) -> tuple[str, ...]:
    return next((each.sentences for each in found if each.about == about), ())


def test_builds_that_do_the_same_are_reported_together() -> None:
    found = find(
        [*cells("3.0", REFUSED), *cells("2.2", RESET), *cells("2.10", REFUSED), error("7.3", "2.2")]
    )
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 resets every address for 2.3 s, on 3 of 4 kernels",
        "HAProxy 2.10 and later refuse every address for 2.0 s, on all three kernels",
    )
    assert sentences(found, "kernels") == ("with 3 of 4, the same becomes of the addresses",)


def test_silence_and_what_stays_down_are_reported_apart() -> None:
    found = find([*cells("2.2", DEAD), *cells("3.0", DEAD, reported="success")])
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 refuses every address to the end of the observation, on all three kernels",
        "HAProxy 3.0 reports success and refuses every address from then on, on all three kernels",
    )


def test_settings_and_methods_are_reported_by_what_they_change() -> None:
    found = find(
        [
            *cells("2.2", REFUSED), *cells("3.0", REFUSED),
            *cells("2.2", {}, setting="nonlocal-bind"), *cells("3.0", {}, setting="nonlocal-bind"),
            *cells("2.2", {}, setting="migrate-req"), *cells("3.0", REFUSED, setting="migrate-req"),
            *cells("3.0", RESET, method="cli"),
            *cells("3.0", DEAD, setting="expose-fd", reported="success"),
        ]
    )  # fmt: skip
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 to 3.0 refuse every address for 2.0 s, on all three kernels",
        "nonlocal-bind removes it",
        "migrate-req removes it, with HAProxy 2.2",
        "migrate-req and reloading by cli change nothing, with HAProxy 3.0",
        "expose-fd: HAProxy 3.0 reports success and refuses every address from then on, "
        "on all three kernels",
    )


def test_without_the_baseline_the_first_way_is_what_others_are_reported_against() -> None:
    found = find([*cells("2.2", REFUSED, method="cli"), *cells("2.2", {}, method="systemd")])
    assert sentences(found, "lost-address by cli") == (
        "HAProxy 2.2 refuses every address for 2.0 s, on all three kernels",
        "reloading by systemd removes it",
    )


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ([{}, {}, {}], "HAProxy 2.2 loses nothing, on all three kernels"),
        ([LOSSY, {}, {}], "HAProxy 2.2 loses single connections, in 1 of 3 cells (one each)"),
    ],
)
def test_single_lost_connections_are_counted(lost: list[Failures], expected: str) -> None:
    measured = [cell(kernel, "2.2", each) for kernel, each in zip(KERNELS, lost, strict=True)]
    assert sentences(find(measured), "lost-address by signal") == (expected,)


def test_a_kernel_unlike_the_others_is_pointed_out() -> None:
    found = find([*cells("2.2", {})[:2], cell("6.12", "2.2", REFUSED), cell("7.2", "2.2", LOSSY)])
    assert sentences(found, "kernels") == (
        "Linux 6.12 is unlike the others in lost-address by signal, plain, with HAProxy 2.2 "
        "(outage 2.0 s refused, not ok)",
        "a single measurement may be chance; measure more with --repeat",
    )
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 loses single connections, in 1 of 3 cells (one each)",
    )


def test_of_two_kernels_one_is_unlike_the_other() -> None:
    found = find([cell("5.10", "2.2", {}), cell("6.1", "2.2", REFUSED)])
    assert sentences(found, "kernels")[0].startswith("Linux 6.1 is unlike Linux 5.10 in ")


def test_what_varies_from_one_repetition_to_the_next_is_no_trait_of_a_kernel() -> None:
    varying = [
        cell("6.12", "2.2", failures, repetition=number)
        for number, failures in enumerate([REFUSED, {}, REFUSED], start=1)
    ]
    found = find([*cells("2.2", {})[:2], *varying])
    assert sentences(found, "kernels") == ("with all three, the same becomes of the addresses",)
    assert sentences(found, "not the same with each seed") == (
        "6.12/2.2/plain/lost-address/signal: outage 2.0 s refused 2/3, ok 1/3 (with seeds 0 and 2)",
    )


def seeded(*fates: Failures, kernel: str = "6.1", **how: Any) -> list[CellResult]:
    """Return a cell with several seeds, from 0 on."""
    return [
        cell(kernel, "2.2", failures, repetition=number, **how)
        for number, failures in enumerate(fates, start=1)
    ]


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ([{}, {}], ()),
        ([REFUSED, REFUSED], ()),
        ([{}, {}, LOSSY], ("ok 2/3, lossy 1 reset .44 1/3 (with seed 2)",)),
        ([RESET, REFUSED], ()),
        ([DEAD, REFUSED], ("down refused 1/2, outage 2.0 s refused 1/2 (with seeds 0 and 1)",)),
    ],
)
def test_seeds_that_do_not_do_the_same_are_named(
    fates: list[Failures], expected: tuple[str, ...]
) -> None:
    found = sentences(find(seeded(*fates)), "not the same with each seed")
    assert found == tuple(f"6.1/2.2/plain/lost-address/signal: {each}" for each in expected)


def checked(entry: CellResult, *dead: str, reload: int | None = 6) -> CellResult:
    """Return a cell with a check before a reload, and one after it with dead addresses."""
    well = dict.fromkeys(LABELS, "ok")
    outcomes = {**well, A43: "unreachable", **dict.fromkeys(dead, "refused")}
    checks = [
        {"step": 2, "reload": None, "outcomes": dict.fromkeys(LABELS, "refused")},
        {"step": 7, "reload": reload, "outcomes": outcomes},
    ]
    found = (CheckResult.model_validate({"at": 2.0, "outside": {}, **check}) for check in checks)
    return entry.model_copy(update={"checks": tuple(found)})


ALONE = "what the last check alone would have shown of an outage"


def test_what_the_last_check_would_have_shown_is_counted_over_the_seeds() -> None:
    outages = seeded(REFUSED, REFUSED, REFUSED, REFUSED)
    dead = [(), (A44, A45, STATS), (A44,), ()]
    found = find([checked(each, *labels) for each, labels in zip(outages, dead, strict=True)])
    assert sentences(found, ALONE) == (
        "lost-address, HAProxy 2.2: all well in 2 of 4, all dead in 1 of 4, .44 dead in 1 of 4",
    )


def test_where_the_last_check_shows_the_same_of_each_outage_nothing_is_said() -> None:
    outages = [checked(each, A44) for each in seeded(REFUSED, REFUSED)]
    # A cell that is well, and one that was never checked after its reload, do not count.
    others = [checked(cell("5.10", "2.2", {})), checked(cell("7.2", "2.2", RESET), reload=None)]
    assert sentences(find([*outages, *others]), ALONE) == ()


def test_nothing_is_found_where_nothing_was_measured() -> None:
    assert find([]) == find([error("6.1", "2.2")]) == []


def test_an_interrupted_run_does_not_claim_all_kernels() -> None:
    ids = [f"{kernel}/2.2/plain/lost-address/signal" for kernel in (*KERNELS, "7.2", "7.3")]
    found = find(cells("2.2", REFUSED)[:2], planned=ids)
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 refuses every address for 2.0 s, on 2 of 5 kernels",
    )
    assert sentences(found, "kernels") == ("with 2 of 5, the same becomes of the addresses",)
    [sentence] = sentences(find(cells("2.2", {})[:1], planned=ids), "lost-address by signal")
    assert sentence.endswith("on Linux 5.10 (1 of 5 kernels were measured)")


def test_notes_beside_a_verdict_are_findings() -> None:
    """They are not hidden where nothing is lost."""
    slow = {
        "slow": (A44,),
        "latency": ReloadLatency(after=Latency(answers=9, p50=0, p99=1, most=1.07)),
    }
    stale = {"stale": {A44: StaleAnswers(share=0.5, answers={"stray": 9})}}
    worker = OldWorker(pid=OLD, age=9.0, ended_at=None, is_left=True, use=None)
    noted = [
        each.model_copy(update={"reloads": (each.reloads[0].model_copy(update=update),)})
        for build, update in (("2.2", slow), ("2.6", stale), ("3.0", {"old_workers": (worker,)}))
        for each in cells(build, {})
    ]
    found = find([*noted, *cells("3.2", {}), *cells("2.2", {}, setting="threads")])
    assert sentences(found, "lost-address by signal") == (
        "HAProxy 2.2 loses nothing, and slows answers to 1.1 s, on all three kernels",
        "HAProxy 2.6 loses nothing, and leaves half of the answers to another configuration, on "
        "all three kernels",
        "HAProxy 3.0 loses nothing, and leaves 1 old worker, on all three kernels",
        "HAProxy 3.2 loses nothing, on all three kernels",
        "threads removes it, with HAProxy 2.2",
    )


def test_a_kernel_with_another_note_is_unlike_the_others() -> None:
    worker = OldWorker(pid=OLD, age=9.0, ended_at=None, is_left=True, use=None)
    found = cells("2.2", {})
    left: dict[str, Any] = {"old_workers": (worker,)}
    slow: dict[str, Any] = {"slow": (A44,)}
    for place, update in enumerate((left, slow, slow)):
        [reload] = found[place].reloads
        changed = (reload.model_copy(update=update),)
        found[place] = found[place].model_copy(update={"reloads": changed})
    [unlike, _] = sentences(find(found), "kernels")
    assert unlike.startswith("Linux 5.10 is unlike the others in lost-address by signal, plain")
    [sentence] = sentences(find(found), "lost-address by signal")
    assert sentence.startswith("HAProxy 2.2 loses nothing, and slows answers")
    assert sentence.endswith("on Linux 6.1 and 6.12")


def test_seeds_of_notes_are_named() -> None:
    [reload] = cell("6.1", "2.2", {}).reloads
    noted = {"reloads": (reload.model_copy(update={"slow": (A44,)}),)}
    both = [cell("6.1", "2.2", {}), cell("6.1", "2.2", {}, repetition=2).model_copy(update=noted)]
    [sentence] = sentences(find(both), "not the same with each seed")
    assert sentence.endswith(f"(with seed {both[1].seed})")


def test_the_share_of_an_outage_is_reported() -> None:
    windows = [(at / 100, at / 100 + 0.019, "wrong") for at in range(150, 250, 4)]
    assert sentences(find(cells("2.2", everywhere(*windows))), "lost-address by signal") == (
        "HAProxy 2.2 answers wrongly on every address (half of the connections) for 1.0 s, on all "
        "three kernels",
    )
