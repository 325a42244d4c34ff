"""Garbage collection: removes cache entries and results that were not used for long.

Cache entries can be made again. Results cannot: they are removed only where the user says so, and
never the newest run. An item that is in use stays: see Roots.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from hatester.util import files, locks
from hatester.util.errors import UserError
from hatester.util.files import DAMAGED, UNFINISHED
from hatester.util.paths import LATEST
from hatester.util.validation import require

log = logging.getLogger(__name__)

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
"""The folders of the cache that have removable entries, with the form of the entries' names. Saved
guests come first, since they need others."""
CACHED = (*_ENTRIES, LEFTOVERS)
PARTS = (*CACHED, RESULTS)
_ORDER = (*PARTS, FOREIGN)
_STAYING = ("keys", ".lock", cache.FAULT_LOG, f"{cache.FAULT_LOG}.1", cache.USE_LOCK)
"""What is in the cache and is not garbage, ever; a log that is full gets the suffix `.1`."""
_HIDDEN = re.compile(rf"\.(?P<name>.+)\.(?P<state>lock|partial|{UNFINISHED}|{DAMAGED})")
_BENCH = re.compile(r"[0-9]{8}-[0-9]{6}\.json")


@dataclass(frozen=True)
class Roots:
    """The items that are in use, beside the entries that saved guests need.

    An entry that is made again under the same name has other bytes. A guest that continued on
    another disk than it began with would read nonsense.
    """

    files: Collection[Path]
    """Real paths of files that machines use, or would use when they are started again."""
    runs: Mapping[Path, bool]
    """The folders of runs in the cache; True for one whose machines are still needed."""
    end: Callable[[Path], None]
    """Ends the machines of such a folder. Raises UserError for one that does not end."""


@dataclass(frozen=True)
class Item:
    """One thing on the disk.

    Its user holds `lock`; `used` is the time of the last use in seconds since the epoch; `size` is
    in bytes of the disk.
    """

    part: str
    what: str
    path: Path
    lock: Path
    used: float
    size: int
    is_useless: bool = False
    """True if it cannot be of use any more, however young it is."""
    stays: str = ""
    """The reason why it stays, however old it is."""


@dataclass(frozen=True)
class Fate:
    """The outcome for an item: it is removed, kept for a reason, or could not be removed."""

    item: Item
    kept: str = ""
    failure: str = ""

    @property
    def is_gone(self) -> bool:
        return not (self.kept or self.failure)


@dataclass(frozen=True)
class Swept:
    """The fates of all items at the time `now`; where it `is_dry`, nothing was removed."""

    fates: Sequence[Fate]
    now: float
    is_dry: bool

    def require_all_gone(self) -> None:
        """Raise UserError where something could not be removed."""
        failed = [fate for fate in self.fates if fate.failure]
        if failed:
            raise UserError(
                f"{len(failed)} could not be removed, of which the first is {failed[0].item.path}: "
                f"{failed[0].failure}."
            )


def clean(
    results: Path, parts: Sequence[str], seconds: float, find_roots: Callable[[], Roots],
    *, is_dry: bool,
) -> Swept:  # fmt: skip
    """Remove what was not used for `seconds` from some parts, by default from all of the cache.

    Where `is_dry`, nothing is removed. Raises UserError for an unknown part, and for a cache that
    is in use.
    """
    for name in parts:
        require(name, PARTS, "--part")
    chosen = parts or (*CACHED, FOREIGN)
    with contextlib.ExitStack() as held:
        if is_dry:
            if locks.is_held(cache.use_lock()):
                log.info("the cache is in use: it can be cleaned when that has ended")
        elif set(chosen) != {RESULTS}:
            sentence = "The cache is in use, by a run or the like; clean it when that has ended."
            held.enter_context(locks.taken(cache.use_lock(), sentence))
        roots = find_roots()
        items = [*_cache_items(roots), *(_result_items(results) if RESULTS in chosen else ())]
        broom = _Broom(chosen, seconds, time.time(), roots, is_dry)
        return Swept(list(broom.sweep(items)), broom.now, is_dry)


@dataclass(frozen=True)
class _Broom:
    """Removes from the chosen parts what was not used for `seconds` before `now`."""

    chosen: Collection[str]
    seconds: float
    now: float
    roots: Roots
    is_dry: bool

    def sweep(self, items: Iterable[Item]) -> Iterator[Fate]:
        """Yield the fate of each item of the chosen parts, by part, the oldest first."""
        used = {parent for file in self.roots.files for parent in file.parents}
        needed: set[str] = set()
        for item in sorted(items, key=lambda each: (_ORDER.index(each.part), each.used)):
            fate = self._fate(item, self._reason(item, used, needed))
            if item.part == SAVED and not fate.is_gone:
                needed.update(_needs(item.path))
            if item.part in self.chosen:
                yield fate

    def _reason(self, item: Item, used: Collection[Path], needed: Collection[str]) -> str:
        """Return why an item stays; an empty text if it is to be removed."""
        if item.part not in self.chosen:
            return "not chosen"
        if item.stays:
            return item.stays
        if locks.is_held(item.lock) or item.path.resolve() in used:
            return "in use"
        if f"{item.part}/{item.path.name}" in needed:
            return "a saved guest needs it"
        is_young = max(0.0, self.now - item.used) < self.seconds
        return "too young" if is_young and not item.is_useless else ""

    def _fate(self, item: Item, reason: str) -> Fate:
        if not reason and not self.is_dry:
            try:
                self._remove(item)
            except UserError as error:
                return Fate(item, failure=str(error).removesuffix("."))
            except OSError as error:
                return Fate(item, failure=error.strerror or str(error))
        return Fate(item, kept=reason)

    def _remove(self, item: Item) -> None:
        """Remove an item; at no moment can a rest of it be mistaken for a whole entry.

        Raises UserError where somebody uses it, and OSError where it cannot be removed.
        """
        path = item.path
        unfinished = path.with_name(f".{path.name}.{UNFINISHED}")
        with locks.taken(item.lock, "somebody has begun to use it"):
            if path in self.roots.runs:
                self.roots.end(path)
            if path.is_dir():
                if not path.name.startswith("."):
                    files.remove(unfinished)
                    path = path.rename(unfinished)
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            item.lock.unlink(missing_ok=True)


def _cache_items(roots: Roots) -> Iterator[Item]:
    """Find everything in the cache except the keys and the log of faults, which stay."""
    root = cache.root()
    for path in _inside(root):
        if path.name in _ENTRIES:
            for each in _inside(path):
                yield from _entry(path.name, each)
        elif path.name == "runs":
            for folder, is_needed in roots.runs.items():
                yield from _item(
                    LEFTOVERS, f"runs/{folder.name}", folder, folder / "lock",
                    is_useless=True, stays="in use" if is_needed else "",
                )  # fmt: skip
        elif path.name not in _STAYING:
            yield from _other(path)


def _entry(part: str, path: Path) -> list[Item]:
    """Return the item at a path in a folder of entries; none, if it has vanished."""
    if re.fullmatch(_ENTRIES[part], path.name) and not path.is_symlink():
        lock = path / "lock" if part == "apt" else _lock(path)
        return _item(part, _describe_entry(part, path), path, lock)
    return _other(path)


def _other(path: Path) -> list[Item]:
    """Return the item at a path that is not an entry: a leftover, or not hatester's."""
    what = str(path.relative_to(cache.root()))
    hidden = _HIDDEN.fullmatch(path.name)
    if not hidden or hidden["state"] == "partial":
        return _item(FOREIGN, what, path, path, stays="not hatester's")
    if hidden["state"] == "lock" and path.with_name(hidden["name"]).exists():
        return []
    return _item(LEFTOVERS, what, path, _lock(path), is_useless=hidden["state"] != DAMAGED)


def _lock(path: Path) -> Path:
    """Return the lock of an entry, also for a leftover of it."""
    hidden = _HIDDEN.fullmatch(path.name)
    return path.with_name(f".{hidden['name'] if hidden else path.name}.lock")


def _result_items(results: Path) -> Iterator[Item]:
    """Find all runs and the figures of `invoke bench` in the folder of results.

    The newest run stays, since `latest` points at it; other files are ignored.
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
            what = _describe_entry(RESULTS, path)
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
    """Return the item; its last use is the time of modification of `dated`, by default `path`."""
    try:
        used = (dated or path).lstat().st_mtime
    except FileNotFoundError:
        return []
    return [Item(part, what, path, lock, used, disk_bytes(path), is_useless, stays)]


def disk_bytes(path: Path) -> int:
    """Return the bytes that a file, or a folder with its content, takes on the disk (stat(2))."""
    inside = (Path(top, name) for top, *names in os.walk(path) for name in (*names[0], *names[1]))
    total = 0
    for each in (path, *inside):
        with contextlib.suppress(OSError):  # it has vanished meanwhile
            total += each.lstat().st_blocks * 512
    return total


def _needs(saved: Path) -> list[str]:
    """Return the entries that a saved guest needs, as `kernels/NAME`; none if it is damaged."""
    with contextlib.suppress(KeyError, TypeError, OSError, ValueError):
        return list(_json(saved / "ready.json")["needs"])
    return []


def _describe_entry(part: str, path: Path) -> str:
    """Return an entry's own description; its name, where it has none."""
    with contextlib.suppress(KeyError, TypeError, OSError, ValueError):
        match part:
            case "ready":
                known = _json(path / "ready.json")
                return f"Linux {known['release']} with HAProxy {', '.join(known['builds'])}"
            case "kernels":
                known = _json(path / "kit.json")
                return f"Linux {known['release']} ({known['version']})"
            case "builds":
                return f"HAProxy {_json(path / 'build.json')['version']}"
            case "downloads":
                return f"{path.name[:16]}…{path.suffix}"
            case "apt":
                suites = sorted(each.stem for each in path.glob("*.fetched"))
                return f"package lists of {', '.join(suites) or 'no suite'}"
            case "results":
                known = _json(path / "run.json")
                planned = len(known["planned"]) * known["repeat"]
                end = f", shard {known['shard']}" if known.get("shard") else ""
                end += "" if known["finished"] else ", unfinished"
                return f"{path.name}: {len(known['cells'])} of {planned} cells{end}"
    return path.name


def _json(file: Path) -> Any:
    if not file.is_file():  # reading a pipe would never end
        raise FileNotFoundError(file)
    return json.loads(file.read_text())
