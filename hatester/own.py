"""Scenarios for a configuration of the user's own: each of its addresses is lost in turn.

They are ordinary scenarios, written into the run's folder: to be read, to be run again, and to be
copied to `matrix/scenarios` by whoever wants to go on from there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hatester.certificates import BEGIN, LookAlikes
from hatester.configurations import parse_bind
from hatester.declarations import text_of
from hatester.errors import UserError
from hatester.paths import is_there
from hatester.survey import Survey

BEFORE, AFTER = "before", "after"
RELOAD = "reload"
"""The scenario in which nothing is lost."""
PROBE_INTERVAL = 0.1
"""Seconds: a connection that is encrypted, passed on and logged costs HAProxy more than one of our
scenarios, and an emulated guest has no time for fifty of them a second."""
_MOST_FILES, _MOST_BYTES = 500, 5_000_000


@dataclass(frozen=True)
class Own:
    """The configuration in service, the one that is loaded then, and the files that they name.

    All go to /etc/haproxy, files by their names there; but those in `root/` to HAProxy's root.
    `addresses`, with their prefix lengths, are there beside those that are bound.
    """

    before: str
    after: str
    files: Mapping[str, str]
    addresses: tuple[str, ...] = ()


def load_own(config: Path, after: Path | None) -> Own:
    """Read a configuration, and what lies beside it and is named in it.

    Keys and certificates are replaced, since a run keeps its scenarios. Raises UserError for what
    cannot be read, or is too much.
    """
    look_alikes = LookAlikes()
    before = text_of(config)
    loaded = text_of(after) if after else before
    files: dict[str, str] = {}
    for file in _beside(config, before + loaded):
        text = text_of(file)
        if BEGIN in text:
            text = look_alikes.pem(text, lambda line, what: None)
        files[file.relative_to(config.resolve().parent).as_posix()] = text
        _require_few(files, config)
    return Own(before, loaded, files)


def _beside(config: Path, texts: str) -> Iterator[Path]:
    """The files beside a configuration whose names, or those of their folders, stand in texts."""
    folder = config.resolve().parent
    try:
        named = [each for each in sorted(folder.iterdir()) if each.name in texts]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from error
    for each in named:
        files = sorted(each.rglob("*")) if is_there(each, Path.is_dir) else [each]
        for file in files:
            if is_there(file, Path.is_file) and not file.samefile(config):
                yield file


def _require_few(files: Mapping[str, str], config: Path) -> None:
    if len(files) > _MOST_FILES or sum(map(len, files.values())) > _MOST_BYTES:
        raise UserError(
            f"{config.parent} has too much that {config.name} seems to name: more than "
            f"{_MOST_FILES} files or {_MOST_BYTES // 10**6} MB."
        )


def scenarios(own: Own, before: Survey, after: Survey) -> dict[str, dict[str, Any]]:
    """For each address that can be lost, and for none, the content of a scenario.yml, by name."""
    bound = {*_addresses(before), *_addresses(after)}
    further = [each for each in own.addresses if each.partition("/")[0] not in bound]
    lost = [address for address in _addresses(before) if address in _addresses(after)]
    stories = {RELOAD: _story(None), **{_name(each): _story(each) for each in lost}}
    common = {
        "probe_interval": PROBE_INTERVAL,
        "addresses": [*sorted(bound), *further],
        "binds": {BEFORE: _answering(before), AFTER: _answering(after)},
        "servers": list(dict.fromkeys((*before.servers, *after.servers))),
    }
    return {name: {**story, **common} for name, story in stories.items()}


def write(folder: Path, own: Own, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """Write scenarios, each into a folder of its own."""
    for name, content in contents.items():
        _write(folder / name, own, content)


def _story(lost: str | None) -> dict[str, Any]:
    gone = [{"remove": lost}] if lost else []
    what = f"while {lost} is missing" if lost else "with nothing in the way"
    return {
        "description": f"HAProxy is reloaded {what}",
        "steps": [{"start": BEFORE}, "check", *gone, {"reload": AFTER}, {"check": {"after": 2}}],
    }


def _write(folder: Path, own: Own, content: Mapping[str, Any]) -> None:
    # What lies beside a configuration may have one of our names.
    files = {**own.files, f"{BEFORE}.cfg": own.before, f"{AFTER}.cfg": own.after}
    files["scenario.yml"] = yaml.safe_dump(dict(content), sort_keys=False)
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())


def _addresses(survey: Survey) -> list[str]:
    """Those that have to be on an interface: neither everywhere nor of the loopback."""
    binds = (parse_bind(label) for label in survey.binds)
    found = (bind.address for bind in binds if not bind.is_wildcard)
    return list(dict.fromkeys(each for each in found if not ipaddress.ip_address(each).is_loopback))


def _answering(survey: Survey) -> dict[str, str]:
    return {label: answer for label, answer in survey.binds.items() if answer}


def _name(address: str) -> str:
    """A name as cell ids have them."""
    return f"lost-{address.replace(':', '-')}"
