"""The way in which a sequence fails in a guest."""

from __future__ import annotations


class GuestError(Exception):
    """The cell cannot be measured; the message becomes its `error`."""


class HAProxyEnded(GuestError):
    """HAProxy is not there any more, or did not come up; the message says where and why."""
