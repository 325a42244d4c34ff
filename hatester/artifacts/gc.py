"""The cache and the results, bounded: what was not used for long is removed, unless something needs
it.

What is in the cache can be made again. Results cannot: they go only where the user says so, and
never the newest run.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from hatester.artifacts import cache, usage
from hatester.artifacts.usage import CACHED, FOREIGN, LEFTOVERS, PARTS, RESULTS, SAVED, Item
from hatester.guests import gc_roots
from hatester.guests import machines as runs
from hatester.util import files, locks
from hatester.util.duration import duration
from hatester.util.errors import UserError
from hatester.util.text import printable
from hatester.util.validation import require

log = logging.getLogger(__name__)

HEADERS = ("part", "what", "size", "unused for", "")
_ALIGNED = ("left", "left", "right", "right", "left")
_ORDER = (*PARTS, FOREIGN)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Fate:
    """What becomes of an item: it goes, or is kept for a reason, or could not be removed."""

    item: Item
    kept: str = ""
    failure: str = ""

    @property
    def is_gone(self) -> bool:
        return not (self.kept or self.failure)


@dataclass(frozen=True)
class Broom:
    """Removes what was not used for `seconds` before `now` from the parts that were chosen; where
    `is_dry`, it only says so."""

    chosen: Collection[str]
    seconds: float
    now: float
    is_dry: bool

    def sweep(self, items: Iterable[Item]) -> Iterator[Fate]:
        """What becomes of each item of the chosen parts, by part, the oldest first."""
        machines, saved = gc_roots.by_machines(), ""  # texts that name what is needed
        for item in sorted(items, key=lambda each: (_ORDER.index(each.part), each.used)):
            fate = self._fate(item, self._reason(item, machines, saved))
            # These come before all that they need.
            if item.part == SAVED and not fate.is_gone:
                saved += f"{gc_roots.by_saved(item.path)}\n"
            if item.part in self.chosen:
                yield fate

    def _reason(self, item: Item, machines: str, saved: str) -> str:
        """Why an item stays; nothing, if it goes."""
        if item.part not in self.chosen:
            return "not chosen"
        if item.stays:
            return item.stays
        if locks.is_held(item.lock) or gc_roots.is_named(item.path, machines):
            return "in use"
        if gc_roots.is_named(item.path, saved):
            return "a saved guest needs it"
        is_young = max(0.0, self.now - item.used) < self.seconds
        return "too young" if is_young and not item.is_useless else ""

    def _fate(self, item: Item, reason: str) -> Fate:
        if not reason and not self.is_dry:
            try:
                _remove(item)
            except UserError as error:
                return Fate(item, failure=str(error).removesuffix("."))
            except OSError as error:
                return Fate(item, failure=error.strerror or str(error))
        return Fate(item, kept=reason)


@dataclass(frozen=True)
class Swept:
    """What became of all that there was at the time `now`, or would, where it `is_dry`."""

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


def clean(results: Path, parts: Sequence[str], older_than: str, *, is_dry: bool) -> Swept:
    """Remove what was not used for a time, such as `30d`, from some parts, or from all of the
    cache; where `is_dry`, only tell what would be.

    Raises UserError for flags that are none, and for a cache that is in use.
    """
    for name in parts:
        require(name, PARTS, "--part")
    seconds = duration("--older-than", older_than)
    if seconds is None:
        raise UserError("--older-than: it needs a time, such as 30d.")
    chosen = parts or (*CACHED, FOREIGN)
    with contextlib.ExitStack() as held:
        if is_dry:
            if locks.is_held(cache.use_lock()):
                log.info("the cache is in use: it can be cleaned when that has ended")
        elif set(chosen) != {RESULTS}:
            sentence = "The cache is in use, by a run or the like; clean it when that has ended."
            held.enter_context(locks.taken(cache.use_lock(), sentence))
        items = [*usage.cached(), *(usage.measured(results) if RESULTS in chosen else ())]
        broom = Broom(chosen, seconds, time.time(), is_dry)
        return Swept(list(broom.sweep(items)), broom.now, is_dry)


def _remove(item: Item) -> None:
    """Remove an item, so that what is left of it at any moment is not taken for whole.

    Raises UserError where somebody uses it, and OSError where it cannot be removed.
    """
    path = item.path
    unfinished = path.with_name(f".{path.name}.{files.UNFINISHED}")
    with locks.taken(item.lock, "somebody has begun to use it"):
        if item.part == LEFTOVERS:
            runs.end(path)
        if path.is_dir():
            if not path.name.startswith("."):
                files.remove(unfinished)
                path = path.rename(unfinished)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        item.lock.unlink(missing_ok=True)


def text(swept: Swept) -> str:
    """A table of all that there was, what each part took of the disk, and what was freed."""
    gone = "would be removed" if swept.is_dry else "removed"
    rows = [(*_row(fate.item, swept.now), _told(fate, gone)) for fate in swept.fates]
    parts = list(dict.fromkeys(fate.item.part for fate in swept.fates))
    sums = [_sums(fate for fate in swept.fates if fate.item.part == part) for part in parts]
    totals = [
        (part, size(there), size(freed)) for part, (there, freed) in zip(parts, sums, strict=True)
    ]
    there, freed = _sums(swept.fates)
    ways = "would free {}; {} would stay" if swept.is_dry else "freed {}; {} stay"
    return "\n\n".join(
        (
            tabulate(rows, HEADERS, "plain", colalign=_ALIGNED, disable_numparse=True),
            tabulate(totals, ("part", "size", gone), "plain", colalign=_ALIGNED[1:4]),
            ways.format(size(freed), size(there - freed)),
        )[0 if rows else 2 :]
    )


def _row(item: Item, now: float) -> tuple[str, ...]:
    return item.part, printable(item.what), size(item.size), age(now - item.used)


def _told(fate: Fate, gone: str) -> str:
    if fate.failure:
        return f"failed: {fate.failure}"
    return f"kept: {fate.kept}" if fate.kept else gone


def _sums(fates: Iterable[Fate]) -> tuple[int, int]:
    """How many bytes there were, and how many of them went."""
    sizes = [(fate.item.size, fate.is_gone) for fate in fates]
    return sum(each for each, _ in sizes), sum(each for each, is_gone in sizes if is_gone)


def size(count: int) -> str:
    """Bytes, as people read them: `162 MiB`, `8.1 GiB`."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.{1 if unit > 2 else 0}f} {_UNITS[unit]}"


def age(seconds: float) -> str:
    """Seconds, in the largest unit of which there is one: `45 s`, `12 min`, `3 h`, `31 d`."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "0 s"
