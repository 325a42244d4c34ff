"""The effect of reloads on clients beside the prober, and the words for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.findings import find
from hatester.analysis.model import Judgement
from hatester.analysis.notes import predicates
from hatester.analysis.reload_model import ReloadResult
from tests.factories.cells import cell_result, run_of, table_line
from tests.factories.evidence import A43, A44, A45, AT, UNTIL, everywhere, evidence, judge, reload

SECURE = "192.168.42.44:443"
GOOD = reload(reported="success", reported_at=AT + 0.1)
ANSWERS = ((0.0, "without"), (AT + 0.1, "with"))
ID = "6.1/2.2/plain/lost-address/signal"
MOMENTS = st.floats(0.0, 6.0).map(lambda at: round(at, 3))


def judged(failures: Any = None, reloads: Any = (GOOD,), **clients: Any) -> Judgement:
    """Return the judgement on evidence with records of clients; a mark names a certificate."""
    content = evidence(failures, reloads=reloads, answers=ANSWERS)
    records = {"addresses": [A43, A44, A45, SECURE], **clients}
    return judge({**content, "clients": records, "certificates": {"aa": "site.pem"}})


def request(
    sent: float, outcome: str = "ok", place: int = 1, is_last: bool = False, takes: float = 0.01
) -> list[Any]:
    """Return a request of a client that keeps its connection, to .44."""
    return [place, sent, sent, sent + takes, outcome, None, None, False, is_last]


def probe(sent: float, outcome: str = "ok", place: int = 1, takes: float = 0.01) -> list[Any]:
    return [place, sent, sent, sent + takes, outcome, None, None]


def effects(judgement: Judgement) -> list[Any]:
    [reload] = judgement.reloads
    return list(reload.clients)


def test_cells_without_clients_say_nothing_of_them() -> None:
    judgement = judge(evidence(reloads=[GOOD], answers=ANSWERS))
    assert '"clients"' not in judgement.to_json()
    assert table_line(judgement) == "ok"


def test_a_lost_request_counts_as_a_lost_connection_of_its_address() -> None:
    judgement = judged(
        requests=[request(1.0, "empty"), request(2.0), request(2.1, "empty"), request(5.5, "reset")]
    )
    assert judgement.verdict == "lossy"
    assert judgement.reloads[0].addresses[A44].verdict == "lossy"
    assert judgement.reloads[0].addresses[A45].verdict == "ok"
    assert table_line(judgement) == "lossy 1 empty .44, keep-alive 1"
    assert (
        "1 of 2 requests on kept connections was lost (1 empty) to .44, in 1 of 1 reload"
        in judgement.explanation
    )
    assert predicates([cell_result(ID, judgement)])["keep-alive"] == (
        "loses 1 request on kept connections", "lose 1 request on kept connections",
    )  # fmt: skip


def test_findings_distinguish_fresh_connections_from_kept_ones() -> None:
    cell = cell_result(ID, judged(requests=[request(2.1, "empty"), request(2.2, "empty")]))
    [finding] = [each for each in find(run_of(cell)) if each.about == "lost-address by signal"]
    assert finding.sentences[0] == (
        "HAProxy 2.2 loses no fresh connection, and loses 2 requests on kept connections"
    )


def test_idle_ends_and_last_answers_are_harmless() -> None:
    judgement = judged(
        requests=[request(2.0, is_last=True), request(2.1)],
        idle_ends=[[1, 2.5, None], [1, 2.6, "ECONNRESET"], [1, 0.5, None], [2, 2.5, None]],
    )
    assert (judgement.verdict, table_line(judgement)) == ("ok", "ok")
    [kept] = effects(judgement)
    assert (kept.address, kept.requests, kept.closing, kept.idle_ends) == (A44, 2, 1, 2)
    assert "2 requests on kept connections were answered, and 2 idle ones were closed" in (
        judgement.explanation
    )


def test_a_request_to_an_address_that_is_not_expected_does_not_count() -> None:
    judgement = judged(requests=[request(2.0, "unreachable", place=0)])
    assert (judgement.verdict, table_line(judgement)) == ("ok", "ok")
    assert effects(judgement)[0].failures == {"unreachable": 1}
    assert "kept connections" not in judgement.explanation


def test_a_lost_connection_to_an_address_that_the_prober_does_not_ask_counts() -> None:
    judgement = judged(load=[probe(2.0, "reset", place=3), probe(2.1, place=3)])
    assert judgement.verdict == "lossy"
    assert SECURE not in judgement.reloads[0].addresses
    assert table_line(judgement) == "lossy 1 reset, load 1"


def test_what_is_worse_stays() -> None:
    judgement = judged(everywhere((AT, AT + 1, "refused")), requests=[request(2.0, "empty")])
    assert judgement.verdict == "outage"
    assert table_line(judgement).startswith("outage 1.0 s refused")
    assert table_line(judgement).endswith("keep-alive 1")


def test_a_sparse_answer_that_took_long_is_noted() -> None:
    judgement = judged(sparse=[probe(2.0, takes=3.25, place=3)])
    assert (judgement.verdict, table_line(judgement)) == ("ok", "ok, sparse answer 3.2 s")
    assert "a sparse connection waited 3.25 s" in judgement.explanation
    assert predicates([cell_result(ID, judgement)])["late"][0] == (
        "lets a sparse connection wait 3.2 s"
    )


def handshake(sent: float, mark: str | None, since: float | None = None) -> list[Any]:
    """Return a handshake that showed a certificate, or resumed what was agreed upon `since`."""
    is_resumed = None if since is None else mark is None
    return [3, sent, sent, sent + 0.02, sent + 0.03, "ok", None, None, mark, is_resumed, since]


def test_certificates_have_names_and_times_and_sessions_may_be_lost() -> None:
    judgement = judged(
        handshakes=[
            handshake(1.0, "bb"), handshake(1.3, "bb"), handshake(1.35, None, 1.0),
            handshake(1.5, "aa"), handshake(1.6, "aa", 1.0), handshake(4.0, "aa"),
        ]
    )  # fmt: skip
    [secured] = effects(judgement)
    assert [(each.name, each.first, each.last) for each in secured.certificates] == [
        ("bb", pytest.approx(0.1), pytest.approx(0.1)),
        ("site.pem", pytest.approx(0.3), pytest.approx(2.8)),
    ]
    assert (secured.before, secured.resumption) == ("bb", "lost")
    assert "after the reload of step 6, site.pem was shown from 0.30 s on" in judgement.explanation
    assert "TLS sessions from before a reload were not resumed" in judgement.explanation


@pytest.mark.parametrize(
    ("handshakes", "resumption"),
    [
        ([handshake(1.5, None, 1.0), handshake(1.6, None, 1.0)], "kept"),
        # A session of the new process says nothing.
        ([handshake(1.5, "aa", 1.4)], None),
        ([handshake(1.5, "aa")], None),
    ],
)
def test_only_sessions_from_before_a_reload_can_be_kept(
    handshakes: list[Any], resumption: str | None
) -> None:
    assert effects(judged(handshakes=handshakes))[0].resumption == resumption


ENDS = st.sampled_from(["alive", "closed", "reset", "silent", "unopened"])


@given(st.lists(st.tuples(MOMENTS, MOMENTS, ENDS), max_size=12))
def test_sessions_are_counted_as_one_by_one(found: list[tuple[float, float, str]]) -> None:
    sessions: list[list[Any]] = [
        [1, min(one, other), 6.0 if end == "alive" else max(one, other), end, None, 1]
        for one, other, end in found
    ]
    judgement = judged(sessions=sessions)
    older = [each for each in sessions if each[3] != "unopened" and each[1] < AT <= each[2]]
    assert judgement.verdict == "ok"
    if not older:
        assert not effects(judgement)
        return
    [fates] = effects(judgement)
    last = max(UNTIL, *(float(each[2]) for each in sessions))
    cut = [each for each in older if each[3] != "alive" and each[2] < last]
    assert fates.older == len(older)
    how = Counter(each[3] for each in cut)
    assert (fates.closed, fates.reset, fates.silent) == (
        how["closed"], how["reset"], how["silent"],
    )  # fmt: skip
    assert (fates.first is None) is not bool(cut)
    if cut:
        assert fates.first == pytest.approx(min(each[2] for each in cut) - AT)
        assert fates.last == pytest.approx(max(each[2] for each in cut) - AT)


def test_sessions_that_were_cut_stand_beside_the_verdict() -> None:
    sessions = [[1, 0.1, 3.2, "closed", None, 9]] * 2 + [[2, 0.1, 3.25, "reset", "ECONNRESET", 9]]
    judgement = judged(sessions=[*sessions, [2, 0.1, 6.0, "alive", None, 9]])
    assert table_line(judgement) == "ok, 3 of 4 sessions cut after 2.0 s"
    assert "the reload of step 6 cut 3 of 4 sessions after 2.0 s" in judgement.explanation
    cut = cell_result(ID, judgement)
    assert predicates([cut]) == {
        "cut": ("cuts 3 of 4 sessions after 2.0 s", "cut 3 of 4 sessions after 2.0 s")
    }
    judgement = judged(sessions=[[2, 0.1, 6.0, "alive", None, 9]])
    assert table_line(judgement) == "ok"
    assert "all 1 session survived" in judgement.explanation


@given(st.lists(st.tuples(MOMENTS, st.sampled_from(["ok", "reset", "empty"])), max_size=30))
def test_losses_are_those_that_were_sent_while_a_reload_was_observed(
    sent: list[tuple[float, str]],
) -> None:
    judgement = judged(load=[probe(at, how) for at, how in sorted(sent)])
    inside = [how for at, how in sent if AT <= at < UNTIL]
    [result] = judgement.reloads
    assert isinstance(result, ReloadResult)
    assert [each.requests for each in effects(judgement)] == ([len(inside)] if inside else [])
    lost = [how for how in inside if how != "ok"]
    assert judgement.verdict == ("lossy" if lost else "ok")
    assert {k: v for each in effects(judgement) for k, v in each.failures.items()} == Counter(lost)
