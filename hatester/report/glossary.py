"""The glossary of a page: the words that it uses as docs/reading-results.md explains them."""

from __future__ import annotations

from hatester.analysis.outcomes import MEANINGS, MISSING

GLOSSARY = {
    **MEANINGS,
    MISSING: "planned, and not measured (yet)",
    # How connections fail.
    "refused": "the kernel answered that no process listens",
    "reset": "the connection was made and then torn down",
    "timeout": "nothing came for 5 s",
    "unreachable": "there is no route to the address",
    "empty": "the connection was closed without a byte",
    "wrong": "the answer is not one of the scenario's",
    "should have answered": "the address is present all the while, and both configurations, the "
    "one in service and the one being loaded, bind it; only such addresses count for a verdict",
    # Notes beside a verdict.
    "stale": "HAProxy had reported success, and a second later another configuration went on to "
    "answer a share of an address's connections",
    "slow": "the reload lengthened an answer by more than 0.25 s, beyond what the prober was late",
    "left": "a worker that a newer one had replaced was still there at the end (without a master, "
    "a process)",
    "no start": "HAProxy did not start",
    "no effect": "HAProxy did not report the reload, and none of its processes began after it",
    "not taken": "nobody took the request for the reload, such as at a socket that is gone",
    "no word": "HAProxy had the time to report the result of the reload, and did not",
    "late": "(~) the prober was late, by more than one interval for one connection of a hundred; "
    "short outages and single losses can be the host's",
    "seed": "decides everything in a cell that chance would decide; the same seed gives the same "
    "result on the virtual clock",
    "clock": "the source of the guest's time: virtual (the instructions it executes) or real (the "
    "host's time)",
    "setting": "a named set of sysctls, HAProxy arguments and bind options",
    "method": "the way in which a reload is asked for",
    "check": "one connection to each address at one moment",
}
