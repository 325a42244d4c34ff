"""Scenarios for a configuration of the user's own: how reloads can lose its addresses.

They are ordinary scenarios in the run's folder. Users can read them, run them again, and copy them
to `matrix/scenarios` to change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hatester.matrix.binds import parse_bind
from hatester.matrix.scenario import (
    ABSENT,
    AFTER,
    ALL,
    BACK,
    BEFORE,
    LOST,
    MADE,
    RELOAD,
    RELOAD_SAME,
)
from hatester.runner.user_config import Own
from provision.guest.protocol import Answer

PROBE_INTERVAL = 0.1
"""Seconds: a connection that is encrypted, passed on and logged costs HAProxy more than one of our
scenarios, and an emulated guest has no time for fifty of them a second."""
_BACK_SECONDS = 1.0
"""Seconds from a reload to the return of an address. HAProxy tries to bind it for two seconds."""
_CHECK_SECONDS = 2.0
_PLACE = "198.19.253.{}/32"
"""An address for an interface, at which what is bound to every address is asked (RFC 2544)."""
Steps = list[Any]


def interfaces(own: Own) -> dict[str, list[str]]:
    """Return the interfaces that binds are restricted to, each with an address of its own."""
    names = sorted(set(own.interfaces.values()) - {"lo", "dummy0"})
    return {name: [_PLACE.format(number)] for number, name in enumerate(names, start=1)}


def groups(own: Own, before: Answer, after: Answer) -> dict[str, list[str]]:
    """Return the addresses that can be lost together, by a name for cell ids.

    That is each address alone, those of each interface, and all.
    """
    both = [each for each in _addresses(before) if each in _addresses(after)]
    found = {each.replace(":", "-"): [each] for each in both}
    for interface in interfaces(own):
        of_it = [each for each in both if _interface(own, each) == interface]
        if 1 < len(of_it) < len(both):
            found[interface] = of_it
    return {**found, ALL: both} if len(both) > 1 else found


def scenarios(own: Own, before: Answer, after: Answer) -> dict[str, dict[str, Any]]:
    """Return the content of a scenario.yml for each thing that can happen, by its name."""
    stories = {RELOAD: _lose_nothing(AFTER)}
    if own.is_changed:
        stories[RELOAD_SAME] = _lose_nothing(BEFORE)
    for name, addresses in groups(own, before, after).items():
        stories[f"{LOST}-{name}"] = _lost(addresses)
        stories[f"{BACK}-{name}"] = _back(addresses)
        stories[f"{ABSENT}-{name}"] = _absent(addresses)
    common = _common(own, before, after)
    return {name: {**story, **common} for name, story in stories.items()}


def _lose_nothing(configuration: str) -> dict[str, Any]:
    steps = [{"start": BEFORE}, "check", {"reload": configuration}, _check()]
    return _story("HAProxy is reloaded with nothing missing", steps)


def _lost(addresses: Sequence[str]) -> dict[str, Any]:
    steps = [
        {"start": BEFORE}, "check", *_remove(addresses), {"reload": AFTER}, _check(),
        *({"add": each} for each in addresses), "check", {"reload": AFTER}, _check(),
    ]  # fmt: skip
    what = "HAProxy is reloaded while {} missing, and once more when {} back"
    return _story(_sentence(what, addresses), steps)


def _back(addresses: Sequence[str]) -> dict[str, Any]:
    steps = [
        {"start": BEFORE}, "check", *_remove(addresses), {"reload": AFTER},
        *({"add": {"what": each, "after": _BACK_SECONDS}} for each in addresses),
        _check(_BACK_SECONDS + _CHECK_SECONDS),
    ]  # fmt: skip
    what = "HAProxy is reloaded while {} missing, and during the reload {} back"
    return _story(_sentence(what, addresses), steps)


def _absent(addresses: Sequence[str]) -> dict[str, Any]:
    steps = [
        *_remove(addresses), {"start": BEFORE}, "check",
        *({"add": each} for each in addresses), "check", {"reload": AFTER}, _check(),
    ]  # fmt: skip
    what = "HAProxy is started while {} missing, and reloaded when {} there"
    return _story(_sentence(what, addresses), steps)


def _remove(addresses: Sequence[str]) -> Steps:
    return [{"remove": each} for each in addresses]


def _check(after: float = _CHECK_SECONDS) -> dict[str, Any]:
    return {"check": {"after": after}}


def _sentence(what: str, addresses: Sequence[str]) -> str:
    if len(addresses) == 1:
        return what.format(f"{addresses[0]} is", "it is")
    return what.format(f"{', '.join(addresses)} are", "they are")


def _story(description: str, steps: Steps) -> dict[str, Any]:
    return {"description": description, "steps": steps}


def _common(own: Own, before: Answer, after: Answer) -> dict[str, Any]:
    """Return the keys that all scenarios share: the guest's addresses, HAProxy's surroundings."""
    bound = list(dict.fromkeys((*_addresses(before), *_addresses(after))))
    further = [each for each in own.addresses if each.partition("/")[0] not in bound]
    through = {
        name: [*places, *(each for each in bound if _interface(own, each) == name)]
        for name, places in interfaces(own).items()
    }
    elsewhere = {each for addresses in through.values() for each in addresses}
    return {
        "probe_interval": PROBE_INTERVAL,
        "addresses": [*(each for each in bound if each not in elsewhere), *further],
        "interfaces": through,
        "binds": {BEFORE: _answers(before), AFTER: _answers(after)},
        "servers": list(dict.fromkeys((*before.servers, *after.servers))),
        "checks": own.played,
        "site": own.site,
        "peer": own.peer,
        "env": dict(own.env),
        "root": own.root,
    }


def write(folder: Path, own: Own, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """Write scenarios, each into a folder of its own."""
    for name, content in contents.items():
        # A file beside a configuration may have one of our names.
        files = {**own.files, **{f"{each}.cfg": text for each, text in own.texts.items()}}
        files |= {MADE + path.lstrip("/"): text for path, text in own.around.made.items()}
        files["scenario.yml"] = yaml.safe_dump(dict(content), sort_keys=False)
        for each, text in files.items():
            file = folder / name / each
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())


def _addresses(survey: Answer) -> list[str]:
    """Return those that have to be on an interface."""
    binds = (parse_bind(label) for label in survey.binds)
    return list(dict.fromkeys(bind.address for bind in binds if bind.can_be_missing))


def _interface(own: Own, address: str) -> str | None:
    """Return the interface to which a bind of an address is restricted: it has to be there."""
    there = (i for label, i in own.interfaces.items() if parse_bind(label).address == address)
    return next(there, None)


def _answers(survey: Answer) -> dict[str, str]:
    return {label: answer for label, answer in survey.binds.items() if answer}
