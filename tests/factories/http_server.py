"""A web server on 127.0.0.1 that answers well, in parts, wrongly, late or not at all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Web:
    """The content of the server, its behaviour, and the requests that it got."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    kind: str = "application/octet-stream"
    """The media type of all files."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Paths, with the range that was asked for."""
    statuses: list[int] = field(default_factory=list)
    """What the next requests get instead of an answer."""
    breaks_after: int | None = None
    """Bytes of an answer after which the connection is closed."""
    stalls_after: int | None = None
    """Bytes of an answer after which nothing comes any more."""
    has_ranges: bool = True
    is_over: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, wanted := self.headers.get("Range")))
            content = state.files.get(unquote(self.path))
            if state.statuses:
                self.send_error(state.statuses.pop(0))
            elif content is None:
                self.send_error(404)
            else:
                self._answer(content, wanted if state.has_ranges else None)

        def _answer(self, content: bytes, wanted: str | None) -> None:
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if wanted and begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Type", state.kind)
            self.send_header("Content-Length", str(len(content) - begin))
            if wanted:
                stretch = f"{begin}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", f"bytes {stretch}")
            self.end_headers()
            ends = [each for each in (state.breaks_after, state.stalls_after) if each is not None]
            self.wfile.write(content[begin:][: min(ends, default=None)])
            if state.stalls_after is not None:
                state.is_over.wait(30)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: tests look at `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        state.is_over.set()
        server.shutdown()
