"""The names of what is made of a configuration of the user's own: its scenarios, their settings."""

from __future__ import annotations

BEFORE, AFTER = "before", "after"
"""The names of the configurations in the scenarios that are made."""

RELOAD, RELOAD_SAME = "reload", "reload-same"
"""Nothing is lost: the next configuration is loaded, or the same again."""
LOST, BACK, ABSENT = "lost", "back", "absent"
"""An address is lost before a reload; comes back while HAProxy reloads; is not there at the start.
"""
ALL = "all"

PLAIN = "plain"
ADVISED = (PLAIN, "nonlocal-bind", "transparent")
"""Settings by which HAProxy binds what is not there, beside none."""
