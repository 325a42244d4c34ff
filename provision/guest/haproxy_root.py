"""The content of HAProxy's root for one cell: files, folders, users, names of hosts.

The root is the tree of a build under an overlay, so that all of it goes with the overlay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.guest.mock_replies import address_of
from provision.guest.plan import RootContent

ETC = "/etc/haproxy"
RESOLVER = "198.18.0.53"
"""The address of the resolver, which is one of the servers that are played (`mock_servers.py`)."""
_IMAGES_ETC = "usr/local/etc/haproxy"
"""The folder of the configuration in the images of HAProxy's maintainers."""
_FOLDERS = ("run/haproxy", "var/lib/haproxy/dev", "var/log", "var/tmp", "etc/haproxy/conf.d")
"""Folders of a Debian system; the last one is read by newer packages' unit."""
_SHARED = ("tmp", "var/tmp")
_FIRST_ID = 900
"""The first number of users and groups that are made: no package has it."""


def furnish(tree: Path, content: RootContent) -> list[str]:
    """Put content into a root; return the paths of what was made, since the build lacked it."""
    for name in _FOLDERS:
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in _SHARED:
        (tree / name).chmod(0o1777)
    _link(tree / "var/run", "/run")
    _link(tree / _IMAGES_ETC, ETC)
    for path in content.folders:
        place_of(tree, path).mkdir(parents=True, exist_ok=True)
    for path, text in content.files.items():
        _write(tree, path, text)
    made = [path for path in content.made if not place_of(tree, path).exists()]
    for path in made:
        _write(tree, path, content.made[path])
    _add_accounts(tree / "etc/passwd", content.users, "{name}:x:{id}:{id}::/:/usr/sbin/nologin")
    _add_accounts(tree / "etc/group", content.groups, "{name}:x:{id}:")
    _name_hosts(tree / "etc", content.hosts)
    return made


def _link(place: Path, target: str) -> None:
    """Make a link where the build has nothing."""
    if not place.exists() and not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def place_of(tree: Path, path: str) -> Path:
    """Return where a path of the root is; its links to absolute paths stay in the root."""
    place = tree
    for name in path.strip("/").split("/"):
        place = place / name
        if place.is_symlink() and (target := place.readlink()).is_absolute():
            place = tree / str(target).lstrip("/")
    return place


def _write(tree: Path, path: str, content: str) -> None:
    file = place_of(tree, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode())


def _add_accounts(file: Path, wanted: Sequence[str], form: str) -> None:
    if not wanted:
        return
    there = file.read_text() if file.exists() else ""
    known = {line.partition(":")[0] for line in there.splitlines()}
    added = [name for name in wanted if name not in known]
    lines = [form.format(name=name, id=_FIRST_ID + n) for n, name in enumerate(added)]
    file.write_text("\n".join([*there.splitlines(), *lines, ""]))


def _name_hosts(folder: Path, hosts: Sequence[str]) -> None:
    """Have the C library find hosts in a file first, and ask the resolver for the rest."""
    named = [f"{address_of(host)} {host}" for host in hosts if host != "localhost"]
    lines = ["127.0.0.1 localhost", "::1 localhost", *named]
    (folder / "hosts").write_text("\n".join([*lines, ""]))
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
