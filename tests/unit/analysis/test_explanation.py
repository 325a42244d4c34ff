"""Explanations: the sentence that a cell's evidence makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.cells import table_line
from tests.factories.evidence import (
    A43,
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
    UNTIL,
    everywhere,
    evidence,
    held,
    judge,
    reload,
    workers,
)

SHORT = "303/161815 (12) : Starting frontend main: cannot bind socket [192.168.42.43:80]"
LONG = (
    "(431) : Binding [/etc/haproxy/haproxy.cfg:12] for frontend main: "
    "cannot bind socket (Cannot assign requested address) for [192.168.42.43:80]"
)
DURING = "after the reload of step 6, .44, .45 and :81 did not answer for 2.02 s (from the last "
OUT = f"{DURING}success before to the first after): "
WORD = "; HAProxy reported failure at +2.05 s"


SEED = " (seed 7)"


def explain(*arguments: Any, **keywords: Any) -> str:
    """Return the explanation of made-up evidence, without the seed at its end."""
    text = judge(evidence(*arguments, seed=7, **keywords)).explanation
    assert text.endswith(SEED)
    return text.removesuffix(SEED)


@pytest.mark.parametrize(
    ("pid", "owner"), [(NEW, "the new worker"), (MASTER, "the master")]
)  # fmt: skip
def test_a_new_process_held_the_listeners_and_accepted_nothing(pid: int, owner: str) -> None:
    listeners = held((0.0, 1.2, (OLD,)), (1.25, 3.2, (pid,), 43), (3.25, 6.0, (OLD,)))
    assert explain(everywhere((1.22, 3.22, "reset")), listeners=listeners) == (
        f"{OUT}{owner} held the listeners of .44, .45 and :81 from +0.05 s to +2.00 s "
        f"and accepted nothing, its queue grew to 43, and 300 connections were reset{WORD}"
    )


def test_nobody_listened() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (3.25, 6.0, (NEW,)))
    assert explain(everywhere((1.22, 3.22, "refused")), listeners=listeners) == (
        f"{OUT}nobody listened on .44, .45 and :81 from +0.01 s to +2.04 s (the old worker did "
        f"before and the new worker did after), and 300 connections were refused{WORD}"
    )


def test_the_same_worker_listened_before_and_after() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (3.25, 6.0, (OLD,)))
    text = explain(everywhere((1.22, 3.22, "refused")), listeners=listeners)
    assert "(the old worker did before and after)" in text


def test_the_master_held_the_listeners_and_then_nobody_listened() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (1.25, 1.6, (MASTER,), 5), (3.25, 6.0, (OLD,)))
    failures = everywhere((1.22, 1.6, "reset"), (1.6, 3.22, "refused"))
    assert explain(failures, listeners=listeners) == (
        f"{OUT}the master held the listeners of .44, .45 and :81 from +0.05 s to +0.40 s and "
        "accepted nothing, its queue grew to 5, then nobody listened from +0.40 s to +2.04 s "
        f"(the old worker did after), and 243 connections were refused and 57 were reset{WORD}"
    )


def test_a_stranger_held_the_listener() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (1.25, 3.2, (STRANGER,)), (3.25, 6.0, (OLD,)))
    text = explain({A44: [(1.22, 3.22, "wrong")]}, listeners=listeners)
    assert "another process held the listener of .44 from +0.05 s to +2.00 s, and" in text
    assert "100 connections got a wrong answer" in text


def test_the_old_worker_held_the_listener_and_yet_it_failed() -> None:
    text = explain({A44: [(2.0, 3.0, "timeout")]}, listeners=held((0.0, 6.0, (OLD,))))
    assert (
        "the old worker held the listener of .44 from +0.79 s to +1.80 s and yet did not answer, "
        "and 50 connections timed out"
    ) in text


def test_several_processes_held_a_listener_that_accepted_nothing() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (1.25, 6.0, (OLD, NEW)))
    text = explain({A44: [(2.0, 3.0, "timeout")]}, listeners=listeners)
    assert "the new worker and the old worker held the listener of .44" in text


def test_nothing_is_made_up_of_listeners_that_were_not_observed() -> None:
    assert explain(everywhere((1.22, 3.22, "reset"))) == (
        f"{OUT}who held the listeners of .44, .45 and :81 was not observed, "
        f"and 300 connections were reset{WORD}"
    )


def test_addresses_of_different_fates_are_reported_one_after_the_other() -> None:
    listeners = held((0.0, 6.0, (OLD,)), labels=[A45, STATS]) + held((0.0, 1.2, (OLD,)))[:1]
    text = explain({A44: [(1.22, 9.0, "refused")], A45: [(2.0, 2.5, "reset")]}, listeners=listeners)
    assert text == (
        "after the reload of step 6, .44 did not answer from +0.01 s to the end of the "
        "observation at +4.00 s and .45 did not answer for 0.52 s (from the last success before "
        "to the first after): nobody listened on .44 from +0.01 s to +4.00 s (the old worker did "
        "before), and 199 connections were refused; the old worker held the listener of .45 from "
        f"+0.79 s to +1.31 s and yet did not answer, and 25 connections were reset{WORD}"
    )


def test_lengths_that_differ_are_reported_as_a_range_and_stretches_as_several() -> None:
    text = explain({A44: [(2.0, 2.5, "reset"), (3.0, 3.5, "reset")], A45: [(2.0, 2.2, "reset")]})
    assert ".44 and .45 did not answer for 0.22 to 1.04 s" in text
    assert "(from the last success before to the first after, in several stretches)" in text


def test_without_a_master_there_are_processes_and_no_workers() -> None:
    listeners = held((0.0, 1.2, (OLD,)), (1.25, 3.2, (NEW,)), (3.25, 6.0, (OLD,)))
    failures = everywhere((1.22, 3.22, "reset"))
    text = explain(failures, listeners=listeners, processes=PROCESSES[1:])
    assert "the new process held the listeners" in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"[ALERT] {SHORT}", "could not bind 192.168.42.43:80"),
        (f"[ALERT]    {LONG}", "could not bind 192.168.42.43:80 (Cannot assign requested address)"),
        (
            "[ALERT]    (431) : Starting proxy x: cannot bind socket (Address already in use) "
            "[fd00:42::43:80]",
            "could not bind fd00:42::43:80 (Address already in use)",
        ),
        (
            "[ALERT] 303/161815 (12) : parsing [/etc/haproxy/haproxy.cfg:3] : unknown keyword 'x'",
            "said \"parsing [/etc/haproxy/haproxy.cfg:3] : unknown keyword 'x'\"",
        ),
        (f"[ALERT]    (431) : {'long ' * 50}", f'said "{("long " * 24).rstrip()}…"'),
        ("[ALERT]    (431) : no \x1b[2Jscreen", 'said "no ?[2Jscreen"'),
    ],
)
def test_the_cause_is_from_haproxys_log(line: str, said: str) -> None:
    log = [(0.5, "[ALERT] 1/2 (3) : earlier"), (3.1, "[WARNING] (1) : x"), (3.2, line)]
    log.append((3.2, "[ALERT]    (431) : Some protocols failed to start their listeners!"))
    text = explain(everywhere((1.22, 3.22, "reset")), log=log)
    assert text.endswith(f"; HAProxy {said} and reported failure at +2.05 s")
    assert explain(log=log).endswith(
        f", though HAProxy {said} and reported that the reload of step 6 failed"
    )


def test_a_silent_failure_begins_with_what_haproxy_reported() -> None:
    found = explain(
        everywhere((1.22, 9.0, "refused")),
        listeners=held((0.0, 1.2, (OLD,))),
        reloads=[reload(reported="success", reported_at=AT + 1.31)],
    )
    assert found == (
        "HAProxy reported success at +1.31 s after the reload of step 6, and from then on nobody "
        "listened on .44, .45 and :81: nobody did from +0.01 s to +4.00 s, the end of the "
        "observation (the old worker did before), and 597 connections were refused"
    )


def test_a_silent_failure_may_begin_after_the_report_and_have_a_listener() -> None:
    found = explain(
        {A44: [(3.0, 9.0, "timeout")], A45: [(2.0, 2.5, "reset")]},
        listeners=held((0.0, 6.0, (OLD,))),
        reloads=[reload(reported="success", reported_at=AT + 0.5)],
    )
    assert found.startswith(
        "HAProxy reported success at +0.50 s after the reload of step 6, and from +1.78 s on .44 "
        "did not answer, and .45 did not answer for 0.52 s"
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (
            {"reported": "success"},
            "HAProxy reported success at +2.05 s, which was not true; HAProxy reported success of "
            "the reload of step 6, and a second later without went on to give all answers of .44, "
            ".45 and :81",
        ),
        ({"reported": "failure"}, "HAProxy reported failure at +2.05 s"),
        ({"reported": None, "reported_at": None}, "HAProxy did not say what became of the reload"),
    ],
)
def test_what_haproxy_reported_and_whether_that_was_true(
    changes: dict[str, Any], word: str
) -> None:
    text = explain({A44: [(2.0, 2.5, "reset")]}, reloads=[reload(**changes)])
    assert text.endswith(f"; {word}")


def test_when_all_is_well_it_is_said_what_was_asked_and_answered() -> None:
    answers = [(0.0, "without"), (2.0, "with")]
    well = explain(reloads=[reload(reported="success")], answers=answers)
    assert well == "all 600 connections to 3 addresses were answered"


def test_where_nothing_was_lost_what_haproxy_reported_is_reported_all_the_same() -> None:
    reloads = [reload(step=4, until=2.0), reload(step=5, at=2.1), reload(step=7, at=5.3, until=5.6)]
    reloads[2]["reported"] = "success"
    assert explain(reloads=reloads).endswith(
        ", though HAProxy reported that the reloads of steps 4 and 5 failed and HAProxy reported "
        "that the reload of step 7 succeeded, which was not true"
    )


def test_single_lost_connections_are_counted_over_all_reloads() -> None:
    reloads = [
        reload(step=4, until=2.2, config="without", reported="success"),
        reload(step=5, at=2.2, until=3.2, config="without", reported="success"),
        reload(step=6, at=3.2, until=4.2, config="without", reported="success"),
    ]
    singles = [(at, at + 0.019, "reset") for at in (2.0, 2.5, 2.6)]
    failures = {A44: singles, STATS: [(2.0, 2.019, "refused")]}
    assert explain(failures, reloads=reloads) == (
        "4 of 450 connections were lost one at a time, in 2 of 3 reloads: "
        "3 to .44 were reset and 1 to :81 was refused"
    )


def test_other_reloads_that_were_hit_are_counted() -> None:
    reloads = [reload(step=4, until=2.5), reload(step=6, at=2.6, until=4.0), reload(step=8, at=4.1)]
    failures = {A44: [(2.7, 3.0, "reset"), (4.5, 4.6, "reset")], A45: [(1.5, 1.519, "reset")]}
    text = explain(failures, reloads=reloads)
    assert text.startswith("after the reload of step 6, ")
    assert text.endswith("; 2 other reloads were hit too")


def test_single_losses_beside_an_outage_are_reported() -> None:
    text = explain({A44: [(2.0, 3.0, "reset")], A45: [(1.5, 1.519, "reset")]})
    assert "; single connections to .45 were lost as well" in text


def test_slow_answers_and_addresses_that_had_not_settled_are_reported() -> None:
    reloads = [reload(reported="success", config="without", steady=False)]
    assert explain(takes=0.75, reloads=reloads) == (
        "all 600 connections to 3 addresses were answered; the slowest answer took 0.75 s; "
        "the addresses had not settled when the observation ended"
    )


def test_a_reload_that_was_overtaken_is_not_said_to_be_unsettled() -> None:
    first = reload(step=4, until=2.0, steady=False, reported=None, reported_at=None)
    text = explain({A44: [(1.5, 1.8, "reset")]}, reloads=[first, reload(step=5, at=2.0)])
    assert text.endswith("; HAProxy did not say what became of the reload before the next")


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ((None, None), ""),
        ((None, 0.0374), "; racing reloads came 0.037 s after the ones before them"),
        ((0.25, 0.0374), "; racing reloads came 0.037 to 0.250 s after the ones before them"),
    ],
)
def test_how_soon_racing_reloads_came(gaps: tuple[float | None, ...], said: str) -> None:
    reloads = [
        reload(step=step, at=at, until=at + 1, config="without", reported="success", gap=gap)
        for step, at, gap in zip((4, 5), (1.2, 2.2), gaps, strict=True)
    ]
    text = explain(reloads=reloads, processes=PROCESSES[:2])
    assert text == f"all 300 connections to 3 addresses were answered{said}"


def test_where_nothing_could_be_lost_that_is_said() -> None:
    text = explain(reloads=[reload(present=[], reported=None)])
    assert text == (
        "nothing was left to ask, though HAProxy did not say what became of the reload of step 6"
    )


@given(
    start=st.floats(AT, UNTIL),
    length=st.floats(0.0, 4.0),
    spans=st.lists(
        st.tuples(
            st.floats(0.0, 6.0),
            st.floats(0.0, 3.0),
            st.lists(st.sampled_from([OLD, NEW, MASTER, STRANGER, 9999]), max_size=2),
        ),
        max_size=5,
    ),
    reported=st.sampled_from(["success", "failure", None]),
)
def test_whoever_held_the_listeners_it_is_one_sentence(
    start: float, length: float, spans: list[Any], reported: str | None
) -> None:
    listeners = held(*((begin, begin + long, pids) for begin, long, pids in spans))
    text = explain(
        everywhere((start, start + length, "refused")),
        listeners=listeners,
        reloads=[reload(reported=reported)],
        interval=0.05,
    )
    assert text
    assert "\n" not in text
    assert "None" not in text
    assert "-0.00" not in text


def test_a_reload_of_which_haproxy_says_nothing_is_reported_though_nothing_was_lost() -> None:
    assert explain(reloads=[reload(reported=None, reported_at=None)]).endswith(
        "were answered, though HAProxy did not say what became of the reload of step 6"
    )


def test_socket_that_is_held_out_of_listen_is_reported() -> None:
    labels = [A44, A45, STATS]
    source = evidence(
        {label: [(AT, 9.0, "refused")] for label in labels},
        listeners=held((0.0, AT, (OLD,)), labels=labels),
        reloads=[reload(reported="success", reported_at=AT + 0.1)],
        processes=workers((OLD, 0.0, AT + 2.0), (NEW, AT + 0.1, 6.0)),
    )
    source["dormant"] = held((AT + 0.05, AT + 2.0, (OLD,)), (AT + 0.1, 6.0, (NEW,)), labels=labels)
    found = judge(source)
    assert [each.dormant for each in found.causes if each.what == "listener"] == [("new worker",)]
    assert (
        "(the old worker did before), although the new worker held the sockets, which had all left "
        "LISTEN, and "
    ) in found.explanation
    source["dormant"] = source["dormant"][:2]
    assert "LISTEN" not in judge(source).explanation


def test_address_that_was_bound_anew_and_never_answers_is_reported() -> None:
    success = reload(reported="success", in_the_end=[*LABELS])
    found = judge(evidence({A43: [(0.0, 9.0, "refused")]}, reloads=[success]))
    assert table_line(found) == "down refused .43, stale, silent"
    assert found.reloads[0].addresses[A43].is_new
    assert found.explanation.startswith(
        "HAProxy reported success at +2.05 s after the reload of step 6, and .43, which it had "
        "bound anew, never answered: "
    )
