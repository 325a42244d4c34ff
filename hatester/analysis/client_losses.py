"""The effect of a reload on the clients beside the prober, by their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hatester.analysis.reload_model import (
    Certificate,
    ClientEffect,
    FreshConnections,
    Handshakes,
    KeptRequests,
    ReloadResult,
    SessionFates,
    round_seconds,
)
from hatester.analysis.timeline import Timeline
from hatester.util.text import grouped
from provision.guest.client_records import ClientRecords, Handshake, KeptRequest, Probe
from provision.guest.protocol import Reload

Request = KeptRequest | Handshake | Probe
R = TypeVar("R", KeptRequest, Handshake, Probe)


def requests(records: ClientRecords) -> Mapping[str, Sequence[Request]]:
    """Return the requests by the kind of the clients that made them."""
    return {
        "keep-alive": records.requests,
        "tls": records.handshakes,
        "load": records.load,
        "sparse": records.sparse,
    }


def with_clients(timeline: Timeline, reload: Reload, result: ReloadResult) -> ReloadResult:
    """Return the result of a reload with what it did to clients.

    A request that was lost counts as a lost connection of its address: `lossy`, if nothing worse.
    """
    effects = tuple(_effects(timeline, reload))
    harmed = {
        each.address
        for each in effects
        if each.kind != "sessions" and each.lost and result.counts(each.address)
    }
    addresses = {
        label: each.model_copy(update={"verdict": "lossy"})
        if label in harmed and each.verdict == "ok"
        else each
        for label, each in result.addresses.items()
    }
    verdict = "lossy" if harmed and result.verdict in ("ok", "unasked") else result.verdict
    return result.model_copy(
        update={"addresses": addresses, "verdict": verdict, "clients": effects}
    )


def _effects(timeline: Timeline, reload: Reload) -> Iterator[ClientEffect]:
    """Yield the effects of a reload on clients, by address and kind."""
    clients = timeline.clients
    for index, label in enumerate(clients.addresses):
        if kept := _observed(clients.requests, reload, index):
            ends = [each.at for each in clients.idle_ends if each.destination == index]
            yield KeptRequests(
                kind="keep-alive",
                **_tally(label, kept),
                closing=sum(each.is_last and each.outcome == "ok" for each in kept),
                idle_ends=sum(reload.at <= each < reload.until for each in ends),
            )
        if fates := _fates(timeline, reload, index):
            yield fates
        if shaken := _observed(clients.handshakes, reload, index):
            yield _handshakes(timeline, reload, index, shaken)
        if load := _observed(clients.load, reload, index):
            yield FreshConnections(kind="load", **_tally(label, load))
        if sparse := _observed(clients.sparse, reload, index):
            yield FreshConnections(kind="sparse", **_tally(label, sparse))


def _observed(records: Sequence[R], reload: Reload, index: int) -> list[R]:
    """Return the records that were sent to an address while a reload was observed."""
    return [
        each
        for each in records
        if each.destination == index and reload.at <= each.sent < reload.until
    ]


def _tally(label: str, sent: Sequence[Request]) -> dict[str, Any]:
    """Return the fields that all requests have."""
    answered = [each.ended - each.sent for each in sent if each.outcome == "ok"]
    return {
        "address": label,
        "requests": len(sent),
        "failures": dict(Counter(each.outcome for each in sent if each.outcome != "ok")),
        "slowest": round_seconds(max(answered)) if answered else None,
    }


def _handshakes(
    timeline: Timeline, reload: Reload, index: int, shaken: Sequence[Handshake]
) -> Handshakes:
    """Return the effect of a reload on connections by TLS that were made meanwhile."""
    secured = [each.secured - each.sent for each in shaken if each.secured is not None]
    shown = grouped(
        (each.certificate, each.sent - reload.at) for each in shaken if each.certificate
    )
    before = [
        each.certificate
        for each in timeline.clients.handshakes
        if each.destination == index and each.certificate and each.ended <= reload.at
    ]
    offers = [
        each.is_resumed
        for each in shaken
        if each.is_resumed is not None and each.since is not None and each.since < reload.at
    ]
    return Handshakes(
        kind="tls",
        **_tally(timeline.clients.addresses[index], shaken),
        handshake=round_seconds(max(secured)) if secured else None,
        before=timeline.certificates.get(before[-1], before[-1]) if before else None,
        certificates=tuple(
            Certificate(
                name=timeline.certificates.get(name, name),
                handshakes=len(moments),
                first=round_seconds(min(moments)),
                last=round_seconds(max(moments)),
            )
            for name, moments in shown.items()
        ),
        resumption=None if not offers else "kept" if all(offers) else "lost",
    )


def _fates(timeline: Timeline, reload: Reload, index: int) -> SessionFates | None:
    """Return the fates of the sessions that were older than a reload, if there were any."""
    following = [each.at for each in timeline.reloads if each.at > reload.at]
    sessions = timeline.clients.sessions
    last = max((each.ended for each in sessions), default=0.0)
    end = min(following, default=max(last, reload.until))
    older = [
        each
        for each in sessions
        if each.destination == index
        and each.end != "unopened"
        and each.opened < reload.at <= each.ended
    ]
    if not older:
        return None
    cut = [each for each in older if each.end != "alive" and each.ended < end]
    ends = [round_seconds(each.ended - reload.at) for each in cut]
    how = Counter(each.end for each in cut)
    return SessionFates(
        kind="sessions",
        address=timeline.clients.addresses[index],
        older=len(older),
        closed=how["closed"],
        reset=how["reset"],
        silent=how["silent"],
        first=min(ends, default=None),
        last=max(ends, default=None),
        watched=round_seconds(max(end - reload.at, 0.0)),
    )
