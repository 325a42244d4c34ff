"""A mirror on 127.0.0.1 with a suite or two of made-up packages, for apt itself to fetch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hatester.artifacts.apt import KEYRING, Archive
from tests.factories.http_server import Web


class Unsigned(Archive):
    """Debian's archive at a mirror whose suites nobody has signed."""

    def sources(self, suite: str) -> str:
        return super().sources(suite).replace(f"signed-by={KEYRING}", "trusted=yes")


def offer(site: Web, suite: str, packages: Mapping[str, str], date: str = "01 Nov 2025") -> None:
    """Have a suite with packages, by their names with their versions."""
    content = "".join(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\n"
        f"Size: 1\nSHA256: {hashlib.sha256(name.encode()).hexdigest()}\n\n"
        for name, version in packages.items()
    ).encode()
    site.files[f"/dists/{suite}/main/binary-amd64/Packages"] = content
    checksum = hashlib.sha256(content).hexdigest()
    site.files[f"/dists/{suite}/Release"] = (
        f"Origin: Debian\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
        f"Components: main\nDate: Sat, {date} 00:00:00 UTC\n"
        f"SHA256:\n {checksum} {len(content)} main/binary-amd64/Packages\n"
    ).encode()
