"""Folders of results: one for each run, and `latest`, which points at the newest.

Each has `SHA256SUMS`, by which its files are believed: `sha256sum --check SHA256SUMS` verifies it
without hatester. A file that is not listed there, or has another checksum, is damaged or foreign.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pydantic

from hatester.util import files
from hatester.util.errors import UserError
from hatester.util.files import remove, write_whole
from hatester.util.jsonfile import Damaged
from hatester.util.paths import LATEST
from hatester.util.validation import require, sentence

log = logging.getLogger(__name__)

SUMS, RUN, PLAN = "SHA256SUMS", "run.json", "plan.json"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^/\s]+)")
_TRIES = 3
"""To read a file that another process may be replacing."""
M = TypeVar("M", bound=pydantic.BaseModel)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise UserError with the reason where a file cannot be written or removed."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def keep(path: Path, text: str | None) -> None:
    """Write a file, or remove it if there is no text. Raises UserError if that is not possible."""
    with writing(path):
        if text is None:
            remove(path)
        else:
            write_whole(path, text)


def store(folder: Path, contents: Mapping[str, str | None]) -> None:
    """Write files of a folder, or remove those without a text, and update its checksums.

    The last file describes the others and is always believable: whenever the process is killed, it
    has its old or its new content. The others are not believed until all are there. Raises
    UserError where something cannot be written.
    """
    # Logs may have anything, also what UTF-8 does not have.
    texts = {
        name: None if text is None else text.encode(errors="replace").decode()
        for name, text in contents.items()
    }
    old = _sums(folder)
    new = {name: {_checksum(text.encode())} for name, text in texts.items() if text is not None}
    *_, last = contents
    if last in old and last in new:
        _write_sums(folder, {**old, last: old[last] | new[last]})
    for name, text in texts.items():
        keep(folder / name, text)
    others = {name: sums for name, sums in old.items() if name not in texts}
    _write_sums(folder, {**others, **new})


def _write_sums(folder: Path, sums: Mapping[str, set[str]]) -> None:
    lines = (f"{each}  {name}\n" for name in sums for each in sorted(sums[name]))
    keep(folder / SUMS, "".join(lines))


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sums(folder: Path) -> dict[str, set[str]]:
    """Return the checksums that a folder lists, by the names of its files.

    Raises UserError for a list that cannot be read: files are not damaged because it is not.
    """
    found: dict[str, set[str]] = {}
    with contextlib.suppress(Damaged):
        for line in _content(folder / SUMS).decode(errors="replace").splitlines():
            if match := _LINE.fullmatch(line):
                found.setdefault(match["name"], set()).add(match["sum"])
    return found


def is_listed(path: Path) -> bool:
    """Return whether a file is listed in its folder's checksums, whether it is there or not."""
    return path.name in _sums(path.parent)


def is_stored(path: Path, text: str) -> bool:
    """Return whether a text is what a file has by its folder's checksums."""
    return _sums(path.parent).get(path.name) == {_checksum(text.encode())}


def read(path: Path) -> bytes:
    """Return the content of a file. Raises Damaged if it is not as it was written.

    Raises UserError if it cannot be read: another time it can be, so it is not damaged.
    """
    for _ in range(_TRIES):
        data = _content(path)
        if _checksum(data) in _sums(path.parent).get(path.name, ()):
            return data
    raise Damaged("is not as it was written")


def _content(path: Path) -> bytes:
    try:
        # A link of a foreign run may lead anywhere, and reading a pipe would never end.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise Damaged("is not a file")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged("is missing") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def parse(path: Path, model: type[M]) -> M:
    """Return a JSON file as an object. Raises Damaged if it is not as it was written.

    Raises Damaged as well if it does not fit the model, whoever wrote it.
    """
    try:
        return model.model_validate_json(read(path))
    except pydantic.ValidationError as error:
        raise Damaged(f"has an unknown form ({sentence(error).rstrip('.')})") from error


def quarantine(path: Path, reason: str) -> None:
    """Rename a damaged or foreign file, and report it, also if it is missing."""
    with writing(path):
        if path.exists():
            files.quarantine(path, reason)
        else:
            log.warning(f"{path} {reason}")


def require_place(parent: Path) -> None:
    """Raise UserError where a new run could not be stored, or `latest` could not point at it."""
    latest = parent / LATEST
    if parent.exists() and not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise UserError(f"{parent} cannot hold results: it is not a folder that can be written to.")
    if latest.exists() and not latest.is_symlink():
        raise UserError(
            f"{latest} is in the way of the symbolic link to the newest run: give it another name."
        )


def make_run_folder(parent: Path, name: str) -> Path:
    """Return a new folder; two runs that start in the same second get two."""
    with writing(parent / name):
        files.make_folder(parent)
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            with contextlib.suppress(FileExistsError):
                folder = parent / f"{name}{suffix}"
                folder.mkdir()
                files.sync_folder(parent)
                return folder
    raise UserError(f"{parent} holds a hundred runs of this very second.")


def point_latest(parent: Path, name: str) -> None:
    """Let `latest` point at a run; there is no moment in which it points at none."""
    latest = parent / LATEST
    unfinished = parent / f".{LATEST}.{os.getpid()}"
    with writing(latest):
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(name)
        unfinished.replace(latest)
        files.sync_folder(parent)


def locate_run(parent: Path, run: str) -> Path:
    """Return the folder of a run by its name, such as `latest`, or by its path.

    Raises UserError where there is none.
    """
    try:
        return _located(parent, run).resolve()
    except OSError as error:
        raise UserError(f"{run} is not a run that can be read: {error.strerror}.") from error


def run_names(parent: Path) -> list[str]:
    """Return the names of all runs, the oldest first, and `latest` after them."""
    found = (file.parent.name for name in (RUN, PLAN) for file in parent.glob(f"[!.]*/{name}"))
    return sorted(set(found))


def _located(parent: Path, run: str) -> Path:
    name = str(Path(run).parent) if Path(run).name == RUN else run
    places = (parent / name, Path(name))
    for place in places:
        if (place / RUN).exists() or (place / PLAN).exists():
            return place
    runs = run_names(parent)
    choices = f"there are: {', '.join(runs) or 'none'}"
    for place in places:
        if place.is_symlink() and not place.exists():
            raise UserError(
                f"{place} points at {place.readlink()}, which is not there ({choices})."
            )
        if place.exists():
            raise UserError(f"{place} is not a run: it has neither {RUN} nor {PLAN} ({choices}).")
    require(run, runs, str(parent))
    return places[0]
