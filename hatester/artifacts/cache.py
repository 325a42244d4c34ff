"""The cache: a folder for each entry, which is made once.

An entry is named by its ingredients, and by the RECIPE of the module that makes it (see `digest`).
It is made beside its place and renamed into it, with a manifest of its content. Cache entries are
verified when used (manifest.py says which damage is noticed); a damaged or foreign entry is
quarantined, reported and rebuilt. The folder's time of modification is that of its last use.

A lock for each entry keeps two processes from making the same one, or from quarantining what the
other has just made. The next process that makes an entry removes what a killed one left of it.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from hatester.artifacts.manifest import Manifest
from hatester.util import process
from hatester.util.errors import UserError
from hatester.util.files import UNFINISHED, quarantine, remove, usable
from hatester.util.jsonfile import Damaged
from hatester.util.locks import locked

FAULT_LOG, USE_LOCK = "faults.log", "use.lock"
_MANIFEST = ".manifest.json"
_NO_SPACE = re.compile(r".*(?:no space left on device|disk quota exceeded).*", re.IGNORECASE)
"""The message of tools, Debian's and those written in Go, when the disk is full."""

M = TypeVar("M", bound=pydantic.BaseModel)


def root() -> Path:
    """Return `$XDG_CACHE_HOME/hatester` (XDG Base Directory Specification), private to its user.

    A mode that lets others in is mended. Raises UserError where it cannot be made, or is another
    user's.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    folder = parent / "hatester"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"The cache folder {folder} cannot be made: {reason}.") from error
    with usable(folder):
        state = folder.stat()
        if state.st_uid != os.geteuid():
            raise UserError(f"The cache folder {folder} is another user's (uid {state.st_uid}).")
        if stat.S_IMODE(state.st_mode) & 0o077:
            folder.chmod(0o700)
    return folder


def use_lock() -> Path:
    """Return the lock that users of the cache share and garbage collection holds alone."""
    return root() / USE_LOCK


def use(path: Path) -> Path:
    """Mark `path` as used now, and return it: `invoke clean` goes by the time of modification."""
    os.utime(path)
    return path


def subfolder(*names: str) -> Path:
    """Return a folder of the cache, making it if needed; anything else there is quarantined.

    Raises UserError where it cannot be made.
    """
    path = root()
    for name in names:
        path /= name
        if not path.is_dir():
            with usable(path), locked(root() / ".lock", "makes folders in the cache"):
                if os.path.lexists(path) and not path.is_dir():
                    quarantine(path, "is damaged: it is not a folder")
                path.mkdir(exist_ok=True)
    return path


def digest(recipe: int, ingredients: Any) -> str:
    """Return the name of an entry that is made of `ingredients` (JSON) by `recipe`.

    Ingredients are all data that goes into the entry, of files their contents. `recipe` is the
    constant RECIPE of the module that makes it, and stands for the code. It is raised when the code
    makes something else of the same ingredients, and not when code is only moved or rewritten.
    """
    return _fingerprint([recipe, ingredients])


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of the entry `kind`/`name`; `make` fills a new one if none is whole.

    Raises UserError when a command or the disk fails it, and what else `make` raises.
    """
    folder = subfolder(kind) / name
    with usable(folder):
        if not _is_untouched(folder):
            with _lock_entry(folder):
                if not _is_whole(folder):
                    _make(folder, make)
    return folder


def entries(kind: str, beginning: str) -> Iterator[Path]:
    """Yield the folders of all whole entries whose names begin so.

    Raises UserError for one that cannot be read.
    """
    for folder in sorted(subfolder(kind).glob(f"{glob.escape(beginning)}*")):
        with usable(folder):
            is_there = _is_untouched(folder)
            if not is_there:
                with _lock_entry(folder):
                    is_there = _is_whole(folder)
        if is_there:
            yield folder


def renew(kind: str, name: str, make: Callable[[Path], None]) -> None:
    """Make an entry anew; only a new one that is whole replaces the old one."""
    folder = subfolder(kind) / name
    with usable(folder), _lock_entry(folder):
        _make(folder, make)


def reject(folder: Path, inode: int, reason: str) -> None:
    """Quarantine an entry that turned out to be useless, unless it is another one by now.

    `inode` is the one that its folder had.
    """
    with usable(folder), _lock_entry(folder):
        if folder.exists() and folder.stat().st_ino == inode:
            quarantine(folder, reason)


def read_description(folder: Path, name: str, model: type[M]) -> M:
    """Return an entry's own description, from one of its files.

    A file that does not fit `model` is damage: the entry is quarantined, and UserError is raised.
    """
    with usable(folder):
        inode = folder.stat().st_ino
        try:
            return model.model_validate_json((folder / name).read_bytes())
        except (FileNotFoundError, pydantic.ValidationError) as error:
            reject(folder, inode, f"is damaged: there is no {name}, or it has another form")
            raise UserError(f"{folder} could not be used; try again.") from error


def identity(folder: Path) -> str:
    """Return which entry it is, by its content.

    One that is made again under the same name differs in what mke2fs(8) and others decide by chance
    or by the clock.
    """
    with usable(folder):
        return _fingerprint(_manifest(folder).contents())


def _lock_entry(folder: Path) -> AbstractContextManager[None]:
    return locked(
        folder.with_name(f".{folder.name}.lock"), f"makes {folder.parent.name}/{folder.name}"
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _manifest(folder: Path) -> Manifest:
    return Manifest(folder / _MANIFEST, folder)


def _is_untouched(folder: Path) -> bool:
    """Return True if an entry exists and nothing points to a change; mark it as used then."""
    try:
        is_untouched = _is_folder(folder) and _manifest(folder).is_untouched()
        if is_untouched:
            use(folder)
    except FileNotFoundError:  # another process just takes it away
        return False
    return is_untouched


def _is_whole(folder: Path) -> bool:
    """Return True if an entry exists and is verified; mark it as used then, or quarantine it.

    To be called with its lock.
    """
    if not os.path.lexists(folder):
        return False
    try:
        if not _is_folder(folder):
            raise Damaged("it is not a folder")
        _manifest(folder).verify()
    except Damaged as error:
        quarantine(folder, f"is damaged: {error}")
        return False
    use(folder)
    return True


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    unfinished = folder.with_name(f".{folder.name}.{UNFINISHED}")
    remove(unfinished)
    unfinished.mkdir()
    try:
        make(unfinished)
        _manifest(unfinished).write()
        remove(folder)
        unfinished.rename(folder)
    except Exception as error:
        if reason := _want_of_space(error):
            raise UserError(f"{folder} cannot be made: the disk is full ({reason}).") from error
        if isinstance(error, OSError):
            raise UserError(f"{folder} cannot be made: {error.strerror or error}.") from error
        if isinstance(error, process.CommandError):
            raise UserError(f"{folder} cannot be made: {error}") from error
        raise
    finally:
        remove(unfinished)


def _want_of_space(error: BaseException | None) -> str | None:
    """Return the message about a full disk, if one led to an error."""
    while error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return str(error)
        said = error.output if isinstance(error, process.CommandError) else ""
        if found := _NO_SPACE.search(said):
            return found[0].strip()
        error = error.__cause__ or error.__context__
    return None
