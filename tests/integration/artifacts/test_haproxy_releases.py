"""HAProxy's releases: read from a server like its own, and compared."""

from __future__ import annotations

import json

import pytest

from hatester.artifacts import haproxy_releases
from hatester.util.errors import UserError
from tests.factories.http_server import Web
from tests.factories.servers import closed_port


def publish(site: Web, branch: str, content: str) -> None:
    site.files[f"/{branch}/src/releases.json"] = content.encode()


def test_the_index_of_each_branch_has_its_newest_release(site: Web) -> None:
    for branch, release in (("2.6", "2.6.25"), ("3.0", "3.0.11")):
        known = {release: {"file": f"haproxy-{release}.tar.gz", "sha256": "0"}}
        index = {"branch": branch, "latest_release": release, "releases": known}
        publish(site, branch, json.dumps(index))
    found = haproxy_releases.newest(f"{site.url}/", ["2.6", "3.0", "9.9"])
    assert found == {"2.6": "2.6.25", "3.0": "3.0.11"}


@pytest.mark.parametrize("content", ["<html>", "[]", "{}", '{"latest_release": 3}', "\0"])
def test_what_is_no_index_is_named(site: Web, content: str) -> None:
    publish(site, "2.6", content)
    with pytest.raises(
        UserError, match=r"2\.6/src/releases\.json is not (JSON|an index of releases: )"
    ) as e:
        haproxy_releases.newest(f"{site.url}/", ["2.6"])
    assert len(str(e.value).splitlines()) == 1


def test_a_server_that_cannot_be_reached_is_for_the_user_to_mend() -> None:
    address = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(UserError, match=r"2\.6/src/releases\.json cannot be fetched: .*refused"):
        haproxy_releases.newest(address, ["2.6"])


@pytest.mark.parametrize(
    ("version", "release", "expected"),
    [
        ("2.6.12-1+deb12u4", "2.6.25", ("2.6.25", "behind")),
        ("1:2.6.25-1+b2", "2.6.25", ("2.6.25", "up to date")),
        ("2.6.9", "2.6.10", ("2.6.10", "behind")),
        ("2.6.26-a1b2c3", "2.6.25", ("2.6.25", "up to date")),
        ("2.6-dev5-a1b2c3-7", "2.6.0", ("2.6.0", "behind")),
        ("2.6-dev5", None, ("-", "no release of its branch")),
        (None, "2.6.25", ("-", "cannot be made")),
    ],
)
def test_what_is_behind_is_reported(
    version: str | None, release: str | None, expected: tuple[str, str]
) -> None:
    known = {"2.6": release} if release else {}
    assert haproxy_releases.row("b", version, known) == ("b", version or "-", *expected)
