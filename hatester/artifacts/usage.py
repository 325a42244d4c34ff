"""What hatester keeps on this host: entries of the cache, and results; what each is, how much of
the disk it takes, and when it was used last."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from hatester.guests import machines
from hatester.util.files import DAMAGED, UNFINISHED
from hatester.util.paths import LATEST

SAVED, LEFTOVERS, RESULTS, FOREIGN = "ready", "leftovers", "results", "foreign"
_DIGEST = "[0-9a-f]{16}"
_CHECKSUM = "(?:[0-9a-f]{40}|[0-9a-f]{64})"
_ENTRIES = {
    SAVED: f"{_DIGEST}-{_DIGEST}",
    "kernels": _DIGEST,
    "systems": _DIGEST,
    "builds": _DIGEST,
    "images": _DIGEST,
    "downloads": rf"{_CHECKSUM}|\.{_CHECKSUM}\.partial",
    "apt": _DIGEST,
    "snapshot": rf"{_DIGEST}\.json",
}
"""The folders of the cache from which entries may go, and how those are named. Saved guests come
first, and so go first: they need others (see hatester/guests/gc_roots.py)."""
CACHED = (*_ENTRIES, LEFTOVERS)
PARTS = (*CACHED, RESULTS)
_HIDDEN = re.compile(rf"\.(?P<name>.+)\.(?P<state>lock|partial|{UNFINISHED}|{DAMAGED})")
_BENCH = re.compile(r"[0-9]{8}-[0-9]{6}\.json")


@dataclass(frozen=True)
class Item:
    """One thing that is kept. `lock` is held by who makes or uses it, `used` is the time of that in
    seconds since the epoch, and `size` is in bytes of the disk."""

    part: str
    what: str
    path: Path
    lock: Path
    used: float
    size: int
    is_useless: bool = False
    """Whether nobody can have a use for it any more, however young it is."""
    stays: str = ""
    """Why it stays, however old it is."""


def cached() -> Iterator[Item]:
    """All that is in the cache, but for the keys, which stay what they are."""
    root = cache.root()
    for path in _inside(root):
        if path.name in _ENTRIES:
            for each in _inside(path):
                yield from _entry(path.name, each)
        elif path.name == "runs":
            yield from _runs()
        elif path.name not in ("keys", ".lock", cache.use_lock().name):
            yield from _other(path)


def _entry(part: str, path: Path) -> list[Item]:
    """What a path in a folder of entries is; nothing, if it has vanished."""
    if re.fullmatch(_ENTRIES[part], path.name) and not path.is_symlink():
        lock = path / "lock" if part == "apt" else _lock(path)
        return _item(part, _told(part, path), path, lock)
    return _other(path)


def _other(path: Path) -> list[Item]:
    """What a path is that is no entry: of an entry once, of one that is made, or not ours."""
    what = str(path.relative_to(cache.root()))
    hidden = _HIDDEN.fullmatch(path.name)
    if not hidden or hidden["state"] == "partial":
        return _item(FOREIGN, what, path, path, stays="not hatester's")
    if hidden["state"] == "lock" and path.with_name(hidden["name"]).exists():
        return []
    return _item(LEFTOVERS, what, path, _lock(path), is_useless=hidden["state"] != DAMAGED)


def _lock(path: Path) -> Path:
    """The lock of an entry, also for what is left of it."""
    hidden = _HIDDEN.fullmatch(path.name)
    return path.with_name(f".{hidden['name'] if hidden else path.name}.lock")


def _runs() -> Iterator[Item]:
    """The folders of machines: those of runs that were killed are leftovers."""
    for folder, is_needed in machines.folders().items():
        stays = "in use" if is_needed else ""
        yield from _item(
            LEFTOVERS, f"runs/{folder.name}", folder, folder / "lock", is_useless=True, stays=stays
        )


def measured(results: Path) -> Iterator[Item]:
    """All that is in the folder of results: runs, and what `invoke bench` has measured.

    The newest run stays, since `latest` means it; so does what is no result.
    """
    newest = (results / LATEST).resolve()
    for path in _inside(results):
        hidden = _HIDDEN.fullmatch(path.name)
        if hidden and hidden["state"] == UNFINISHED:
            yield from _item(RESULTS, path.name, path, path / "lock", is_useless=True)
        elif path.name == "bench":
            for file in filter(lambda each: _BENCH.fullmatch(each.name), _inside(path)):
                yield from _item(RESULTS, f"bench/{file.stem}", file, _lock(file))
        elif (path / "run.json").exists() and not path.is_symlink():
            stays = LATEST if path.resolve() == newest else ""
            what = _told(RESULTS, path)
            yield from _item(RESULTS, what, path, path / "lock", path / "run.json", stays=stays)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _item(
    part: str, what: str, path: Path, lock: Path, dated: Path | None = None,
    *, is_useless: bool = False, stays: str = "",
) -> list[Item]:  # fmt: skip
    """`dated` is what was modified when it was used last, where that is not the path itself."""
    try:
        used = (dated or path).lstat().st_mtime
    except FileNotFoundError:
        return []
    return [Item(part, what, path, lock, used, disk_bytes(path), is_useless, stays)]


def disk_bytes(path: Path) -> int:
    """Bytes that a file, or a folder with all that is in it, takes on the disk (stat(2))."""
    inside = (Path(top, name) for top, *names in os.walk(path) for name in (*names[0], *names[1]))
    total = 0
    for each in (path, *inside):
        with contextlib.suppress(OSError):  # it has vanished meanwhile
            total += each.lstat().st_blocks * 512
    return total


def _told(part: str, path: Path) -> str:
    """An entry in words, where it says what it is; else its name."""
    try:
        return _TOLD[part](path)
    except (KeyError, TypeError, OSError, ValueError):
        return path.name


def _kernel(path: Path) -> str:
    known = _json(path / "kit.json")
    return f"Linux {known['release']} ({known['version']})"


def _ready(path: Path) -> str:
    known = _json(path / "ready.json")
    return f"Linux {known['release']} with HAProxy {', '.join(known['builds'])}"


def _lists(path: Path) -> str:
    suites = sorted(each.stem for each in path.glob("*.fetched"))
    return f"package lists of {', '.join(suites) or 'no suite'}"


def _run(path: Path) -> str:
    known = _json(path / "run.json")
    planned = len(known["planned"]) * known["repeat"]
    end = "" if known["finished"] else ", unfinished"
    return f"{path.name}: {len(known['cells'])} of {planned} cells{end}"


_TOLD: dict[str, Callable[[Path], str]] = {
    SAVED: _ready,
    "kernels": _kernel,
    "builds": lambda path: f"HAProxy {_json(path / 'build.json')['version']}",
    "downloads": lambda path: f"{path.name[:16]}…{path.suffix}",
    "apt": _lists,
    RESULTS: _run,
}


def _json(file: Path) -> Any:
    return json.loads(file.read_text())
