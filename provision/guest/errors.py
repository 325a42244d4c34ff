"""The errors that end a cell in a guest."""

from __future__ import annotations


class GuestError(Exception):
    """The cell cannot be measured; the message becomes its `error`."""


class HAProxyEnded(GuestError):
    """HAProxy ended, or did not start; the message says where and why."""
