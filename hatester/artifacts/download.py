"""Files by URL: bounded, verified, and gone on with where a transfer broke off."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from hatester.artifacts import cache
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError
from hatester.util.files import checksum, quarantine, usable
from hatester.util.locks import locked
from hatester.util.progress import CONSOLE

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
"""Until something comes, and between two pieces of it."""
SECONDS = 800.0
"""For one file: less than another process waits for it (locks.LOCK_SECONDS)."""
TRIES = 3
"""Of an answer, and of its transfer; each transfer continues where the one before broke off."""
PAUSE_SECONDS = 1.0
MOST_BYTES = 2 << 30
_PIECE = 1 << 18
_QUOTE = 120
_ALGORITHMS = {40: "sha1", 64: "sha256"}
_PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses of a server that may answer well the next time."""
_WRONG = (requests.RequestException, HTTPError, UnicodeError)
"""Exceptions of requests, also those for odd URLs."""

LINE_SECONDS = 5.0
"""Without a terminal, progress is a line of the log so often."""

T = TypeVar("T")
Arrived = Callable[[int], None]
"""Takes how many bytes of a file have arrived."""


class NotThere(MeasurementError):
    """The server answers that it does not have the thing."""


class _Broken(Exception):
    """A transfer failed, and another one may not."""


class _Useless(_Broken):
    """The partial file is not a beginning of the file."""


@dataclass(frozen=True)
class _Transfer:
    """A file on its way: its first byte's number, and its full length if that is known."""

    start: int
    total: int | None
    pieces: Iterable[bytes]


def fetch(url: str, wanted: str) -> Path:
    """Return the file at an http, https or file URL, from then on in the cache.

    `wanted` is its SHA-256 or its SHA-1, in hexadecimal digits; what has another by now is set
    aside. Raises MeasurementError when it cannot be had within SECONDS, or is another; what came of
    it is gone on with the next time.
    """
    target = cache.subfolder("downloads") / wanted
    with usable(target):
        if not _is_there(target, wanted):
            with locked(target.with_name(f".{wanted}.lock"), f"fetches {url}"):
                if not _is_there(target, wanted):
                    _fetch(url, wanted, target)
        return cache.use(target)


def _is_there(target: Path, wanted: str) -> bool:
    return target.is_file() and checksum(target, _ALGORITHMS[len(wanted)]) == wanted


def _fetch(url: str, wanted: str, target: Path) -> None:
    partial = target.with_name(f".{wanted}.partial")
    if os.path.lexists(target):
        quarantine(target, "is damaged: it has another checksum than its name")
    if os.path.lexists(partial) and not partial.is_file():
        quarantine(partial, "is damaged: it is not a file")
    deadline = time.monotonic() + SECONDS
    _retry(url, lambda: _complete(url, wanted, partial, deadline))
    partial.rename(target)


def fetch_json(url: str) -> Any:
    """Return a server's answer, as JSON. Raises MeasurementError when it answers otherwise."""
    deadline = time.monotonic() + SECONDS

    def attempt() -> Any:
        with _open(url, 0) as transfer:
            try:
                return json.loads(b"".join(_read_bounded(url, transfer, deadline)))
            except _WRONG as error:
                raise _Broken(_reason(error)) from error
            except ValueError as error:
                raise MeasurementError(f"{url} is not JSON") from error

    return _retry(url, attempt)


def _retry(url: str, attempt: Callable[[], T]) -> T:
    reason = ""
    for number in range(TRIES):
        time.sleep(PAUSE_SECONDS if number else 0)
        try:
            return attempt()
        except _Broken as error:
            reason = str(error)
    raise MeasurementError(f"{url} cannot be fetched: {reason}")


def _complete(url: str, wanted: str, partial: Path, deadline: float) -> None:
    """Complete a partial file, which need not exist yet, and verify it."""
    algorithm = _ALGORITHMS[len(wanted)]
    begun = partial.stat().st_size if partial.exists() else 0
    if begun and checksum(partial, algorithm) == wanted:
        return
    try:
        _receive(url, partial, begun, deadline)
    except _Useless:
        partial.unlink()
        raise
    if (found := checksum(partial, algorithm)) != wanted:
        partial.unlink()
        reason = f"its {algorithm} is {found}, not {wanted}"
        if begun:  # it may be two halves of different files
            raise _Broken(reason)
        raise MeasurementError(f"{url} is another file than was wanted: {reason}")


def _receive(url: str, partial: Path, begun: int, deadline: float) -> None:
    """Append what a partial file lacks."""
    name = urlsplit(url).path.rpartition("/")[2] or url
    with _open(url, begun) as transfer, _shown(name, transfer.total) as arrived:
        try:
            with partial.open("ab" if transfer.start else "wb") as file:
                for piece in _read_bounded(url, transfer, deadline):
                    file.write(piece)
                    arrived(file.tell())
                size = file.tell()
        except _WRONG as error:
            raise _Broken(_reason(error)) from error
        except OSError as error:
            raise UserError(f"{partial} cannot be written: {error.strerror}.") from error
    if transfer.total is not None and size < transfer.total:
        raise _Broken(f"it broke off after {size} of {transfer.total} bytes")


def _read_bounded(url: str, transfer: _Transfer, deadline: float) -> Iterator[bytes]:
    """Yield the pieces of a transfer, as long as they are neither too many nor too late."""
    size = transfer.start
    for piece in transfer.pieces:
        process.require_going_on()
        yield piece
        size += len(piece)
        if size > MOST_BYTES:
            raise MeasurementError(f"{url} cannot be fetched: it has more than {MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise MeasurementError(
                f"{url} cannot be fetched: it did not come within {SECONDS:.0f} s, but "
                f"{size / 1e6:.1f} MB of it"
            )


@contextmanager
def _open(url: str, begun: int) -> Iterator[_Transfer]:
    """Open a file from its byte number `begun` on; from its first, where that is not possible."""
    if urlsplit(url).scheme == "file":
        path = _local(url)
        with path.open("rb") as file:
            yield _Transfer(0, path.stat().st_size, iter(lambda: file.read(_PIECE), b""))
        return
    with _answer(url, {"Range": f"bytes={begun}-"} if begun else {}) as response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
        start = begun if response.status_code == HTTPStatus.PARTIAL_CONTENT and goes_on else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if re.fullmatch("[0-9]{1,15}", length) else None
        # As it comes: what waits for a whole piece would not see the time pass.
        yield _Transfer(start, total, iter(lambda: response.raw.read1(_PIECE), b""))


def _local(url: str) -> Path:
    try:
        path = Path(url2pathname(urlsplit(url).path))
        # A pipe would have it wait for ever.
        if path.is_file():
            path.open("rb").close()
            return path
        reason = "there is no such file"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise MeasurementError(f"{url} cannot be fetched: {reason}")


@contextmanager
def _answer(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """Return a server's answer, if it has what is asked for."""
    retry = Retry(
        TRIES - 1,
        backoff_factor=PAUSE_SECONDS,
        status_forcelist=_PASSING,
        raise_on_status=False,
        respect_retry_after_header=False,  # it may be hours
    )
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            response = session.get(
                url,
                headers={"Accept-Encoding": "identity", **headers},
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        except _WRONG as error:
            raise MeasurementError(f"{url} cannot be fetched: {_reason(error)}") from error
        with response:
            status = response.status_code
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _Useless(f"the server answers {status}")
            if not response.ok:
                is_gone = status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
                raise (NotThere if is_gone else MeasurementError)(
                    f"{url} cannot be fetched: the server answers {status}"
                )
            yield response


def _reason(error: Exception) -> str:
    """Return in few words what requests and urllib3 say at length."""
    text = " ".join(str(error).split())
    if found := re.search(r"\[Errno -?[0-9]+\] ([A-Za-z, ]+)", text):
        return found[1]
    if "timed out" in text:
        return f"nothing came for {READ_SECONDS:.0f} s"
    return text[:_QUOTE]


class Bars:
    """The bars of all threads: one display, which is shown while there is a bar."""

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self.progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), console=console, transient=True,
        )  # fmt: skip

    @contextmanager
    def shown(self, name: str, total: int | None) -> Iterator[Arrived]:
        with self._lock:
            self._count += 1
            self.progress.start()
        bar = self.progress.add_task(name, total=total)
        try:
            yield lambda arrived: self.progress.update(bar, completed=arrived)
        finally:
            self.progress.remove_task(bar)
            with self._lock:
                self._count -= 1
                if not self._count:
                    self.progress.stop()


_BARS = Bars(CONSOLE)


@contextmanager
def _shown(name: str, total: int | None) -> Iterator[Arrived]:
    """Show the progress of a transfer: bars at a terminal, else lines. `total` is in bytes."""
    if CONSOLE.is_terminal and not CONSOLE.is_dumb_terminal:
        with _BARS.shown(name, total) as arrived:
            yield arrived
    else:
        yield _lines(name, total)


def _lines(name: str, total: int | None) -> Arrived:
    next_at = time.monotonic() + LINE_SECONDS

    def arrived(size: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + LINE_SECONDS
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info(f"fetching {name}: {size / 1e6:.1f}{of} MB")

    return arrived
