"""Files by URL: whole and verified, gone on with, and given up within bounds."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hatester.artifacts import cache, download
from hatester.artifacts.download import Bars, NotThere, fetch, fetch_json
from hatester.util.errors import MeasurementError
from tests.factories.http_server import Web
from tests.factories.servers import closed_port, server

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(download, "READ_SECONDS", 0.3)


@pytest.fixture
def site(site: Web) -> Web:
    site.files["/a.deb"] = CONTENT
    return site


def partial(wanted: str = SHA256) -> Path:
    return cache.root() / "downloads" / f".{wanted}.partial"


def leave_partial(content: bytes) -> None:
    partial().parent.mkdir()
    partial().write_bytes(content)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_file_is_fetched_once_and_kept_by_its_checksum(site: Web, algorithm: str) -> None:
    wanted = hashlib.new(algorithm, CONTENT).hexdigest()
    for _ in range(2):
        assert fetch(f"{site.url}/a.deb", wanted).read_bytes() == CONTENT
    assert site.asked == [("/a.deb", None)]
    assert not partial(wanted).exists()


def test_a_file_that_is_there_is_dated_when_it_is_used(site: Web) -> None:
    file = fetch(f"{site.url}/a.deb", SHA256)
    os.utime(file, (0, 0))
    fetch(f"{site.url}/a.deb", SHA256)
    assert file.stat().st_mtime > 0


def test_what_breaks_off_is_gone_on_with(site: Web) -> None:
    site.breaks_after = 40_000
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    assert [wanted for _, wanted in site.asked] == [None, "bytes=40000-", "bytes=80000-"]


def test_what_was_given_up_is_gone_on_with_the_next_time(site: Web) -> None:
    site.breaks_after = 10_000
    with pytest.raises(MeasurementError, match=r"/a\.deb cannot be fetched: "):
        fetch(f"{site.url}/a.deb", SHA256)
    site.breaks_after = None
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    assert site.asked[-1] == ("/a.deb", "bytes=30000-")


def test_a_server_without_ranges_starts_anew(site: Web) -> None:
    site.has_ranges = False
    leave_partial(CONTENT[:1000])
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [b"another file", CONTENT + b"more"])
def test_a_partial_file_that_is_no_beginning_is_thrown_away(site: Web, there: bytes) -> None:
    leave_partial(there)
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    assert site.asked[-1] == ("/a.deb", None)


def test_a_partial_file_that_is_whole_is_not_fetched(site: Web) -> None:
    leave_partial(CONTENT)
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    assert site.asked == []


def test_another_file_than_was_wanted_is_never_taken(site: Web) -> None:
    site.files["/a.deb"] = CONTENT[:-1] + b"x"
    for _ in range(2):
        with pytest.raises(MeasurementError, match=rf"another file than .* not {SHA256}$"):
            fetch(f"{site.url}/a.deb", SHA256)
    assert len(site.asked) == 2
    assert not (cache.root() / "downloads" / SHA256).exists()


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"x", None])
def test_a_file_that_was_damaged_since_is_set_aside_and_fetched_again(
    site: Web, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fetch(f"{site.url}/a.deb", SHA256)
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage)
    for _ in range(2):
        assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    assert len(site.asked) == 2
    said = f"{file} is damaged: it has another checksum than its name; quarantined as ."
    assert said in capsys.readouterr().err


def test_what_is_in_the_way_of_a_file_is_set_aside(
    site: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cache.root() / "downloads"
    folder.write_text("foreign")
    with pytest.raises(NotThere):
        fetch(f"{site.url}/b.deb", SHA256)
    partial().mkdir()
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    said = capsys.readouterr().err
    assert f"{folder} is damaged: it is not a folder; quarantined" in said
    assert f"{partial()} is damaged: it is not a file; quarantined" in said


def test_what_a_server_does_not_have_is_asked_for_once(site: Web) -> None:
    with pytest.raises(NotThere, match=r"/b\.deb cannot be fetched: the server answers 404$"):
        fetch(f"{site.url}/b.deb", SHA256)
    assert len(site.asked) == 1


def test_a_server_that_is_busy_is_asked_again(site: Web) -> None:
    site.statuses = [503, 429]
    assert fetch(f"{site.url}/a.deb", SHA256).read_bytes() == CONTENT
    site.statuses = [502] * 3
    with pytest.raises(MeasurementError, match=r"the server answers 502$"):
        fetch_json(f"{site.url}/a.deb")


def test_a_server_that_stalls_is_given_up(site: Web) -> None:
    site.stalls_after = 50
    with pytest.raises(MeasurementError, match=r"cannot be fetched: nothing came for "):
        fetch(f"{site.url}/a.deb", SHA256)
    assert partial().read_bytes() == CONTENT[:150]


def test_a_server_that_is_too_slow_is_given_up(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SECONDS", 0.0)
    site.stalls_after = 50
    with pytest.raises(MeasurementError, match=r"did not come within 0 s, but 0\.0 MB of it$"):
        fetch(f"{site.url}/a.deb", SHA256)
    assert len(site.asked) == 1


def test_a_file_without_end_is_given_up(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", 1000)
    with pytest.raises(MeasurementError, match="it has more than 1000 bytes"):
        fetch(f"{site.url}/a.deb", SHA256)


def test_a_server_that_is_not_there_or_speaks_no_http_is_named() -> None:
    with pytest.raises(MeasurementError, match=r"cannot be fetched: Connection refused$"):
        fetch(f"http://127.0.0.1:{closed_port()}/a", SHA256)
    with server(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n")) as port:
        with pytest.raises(MeasurementError, match="cannot be fetched: ") as caught:
            fetch(f"http://127.0.0.1:{port}/a", SHA256)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_this_host_is_copied(tmp_path: Path) -> None:
    (tmp_path / "a b.deb").write_bytes(CONTENT)
    url = f"file://{tmp_path}/a%20b.deb"
    assert fetch(url, SHA256).read_bytes() == CONTENT
    for wrong in ("file:///dev/zero", f"file://{tmp_path}", "file:///nowhere", "file:///%00"):
        with pytest.raises(MeasurementError, match=r"cannot be fetched: "):
            fetch(wrong, "0" * 64)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_no_url_is_answered_with_a_traceback(rest: str) -> None:
    # A port of this host, so that nothing is looked up.
    with pytest.raises(MeasurementError):
        fetch(f"http://127.0.0.1:1/{rest}", "0" * 64)


def test_what_is_no_json_is_named(site: Web) -> None:
    site.files["/good"], site.files["/bad"] = b'{"result": []}', b"<html>"
    assert fetch_json(f"{site.url}/good") == {"result": []}
    with pytest.raises(MeasurementError, match=r"/bad is not JSON$"):
        fetch_json(f"{site.url}/bad")


def test_without_a_terminal_progress_is_reported_as_lines(
    site: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download, "LINE_SECONDS", 0.0)
    fetch(f"{site.url}/a.deb", SHA256)
    assert caplog.messages[-1] == "fetching a.deb: 0.1 of 0.1 MB"


def test_at_a_terminal_there_are_bars_of_all_files_until_the_last_one_ends() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = Bars(console)
    with bars.shown("a.deb", 1000):
        with bars.shown("b.deb", None) as arrived:
            arrived(500)
            assert [bar.completed for bar in bars.progress.tasks] == [0, 500]
        assert [bar.description for bar in bars.progress.tasks] == ["a.deb"]
        assert bars.progress.live.is_started
    assert not bars.progress.live.is_started
