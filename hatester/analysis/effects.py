"""The model of what a reload does: outages, latency, stale answers and old workers."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from hatester.analysis.parts import Count, Length, Model, Span


class Outage(Span):
    """A stretch of time in which an address did not answer, or a share of its connections did not.

    See hatester/analysis/shares.py.
    """

    share: float = Field(
        default=1.0, gt=0, le=1, description="The share of its connections that failed."
    )


class Latency(Model):
    """The seconds that answers took, from when their connections were due."""

    answers: Count
    p50: Length
    p99: Length
    most: Length


class ReloadLatency(Model):
    """The latency of all addresses that should have answered all the while.

    A part without an answer is null.
    """

    before: Latency | None = Field(
        default=None, description="From the end of the observation before to the reload."
    )
    during: Latency | None = Field(
        default=None, description="Until HAProxy reported; to the end where it did not."
    )
    after: Latency | None = Field(default=None, description="From then on.")


class StaleAnswers(Model):
    """The answers of configurations that should not answer any more."""

    share: float = Field(gt=0, le=1, description="Of all answers then.")
    answers: Mapping[str, Count] = Field(description="How many each configuration gave.")


class ProcessUse(Model):
    """The use that a process made of the guest, as it was last seen."""

    memory: Count = Field(description="Bytes that it had in memory.")
    cpu_seconds: Length = Field(description="Of a processor, since it was started.")
    files: Count = Field(description="That it had open.")


class OldWorker(Model):
    """A worker that was there when a reload was asked for."""

    pid: Count
    age: Length = Field(description="Seconds from when it was first seen to when it was last.")
    ended_at: float | None = Field(description="Null: it was there at the end of the observation.")
    is_left: bool = Field(
        alias="left", description="Whether it was there at the end although a newer one was."
    )
    use: ProcessUse | None = Field(description="Null where it was not looked at.")
