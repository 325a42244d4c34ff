"""The mirrors of Debian's archive: the user's, or else the host's, or else mmdebstrap's default."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field

from hatester.util import process
from hatester.util.errors import UserError

SECONDS = 60.0


@dataclass(frozen=True)
class Mirrors:
    """The addresses of Debian's archive, security archive and, if it is set, snapshot archive."""

    main: str
    security: str
    # No part of what the cache's folders are named by: package lists do not come from there.
    snapshot: str | None = field(default=None, repr=False)


def find_mirrors(
    mirror: str | None, security_mirror: str | None, snapshot: str | None = None
) -> Mirrors:
    """Return the mirrors that were set, else the host's own, else mmdebstrap's default."""
    security = security_mirror
    for found in (_host_mirrors, _default_mirrors):
        if mirror and security:
            break
        main_found, security_found = found()
        mirror, security = mirror or main_found, security or security_found
    if not mirror or not security:
        raise UserError(
            "No Debian mirror is known on this host; name one in invoke.yaml, as "
            "`mirror` and `security_mirror` under `hatester`."
        )
    return Mirrors(mirror.rstrip("/"), security.rstrip("/"), snapshot and snapshot.rstrip("/"))


def _host_mirrors() -> tuple[str | None, str | None]:
    """Return the host's own mirrors, from apt's configuration (apt-get(8), indextargets)."""
    release = platform.freedesktop_os_release()
    codename = release.get("VERSION_CODENAME") if release.get("ID") == "debian" else None
    form = "$(REPO_URI)|$(RELEASE)|$(ORIGIN)|$(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    main = security = None
    for line in process.run(command, seconds=SECONDS).splitlines():
        uri, suite, origin, component = line.split("|")
        # A host that has not run `apt-get update` yet does not know an origin.
        is_debian = origin == "Debian" or (not origin and suite.split("-")[0] == codename)
        if not is_debian or component != "main" or not uri.startswith(("http", "file:")):
            continue
        if suite.endswith("-security"):
            security = security or uri
        else:
            main = main or uri
    return main, security


def _default_mirrors() -> tuple[str | None, str | None]:
    """Return mmdebstrap's default mirrors, which it writes down before it starts."""
    hook = '--setup-hook=cat "$1/etc/apt/sources.list"; exit 1'
    options = ("--quiet", "--mode=unshare", "--variant=custom", hook)
    try:
        said = process.run(["mmdebstrap", *options, "bookworm", "/dev/null"], seconds=SECONDS)
    except process.CommandError as error:
        said = error.output
    uris = re.findall(r"^deb (?:\[.*?\] )?(\S+) bookworm(-security)? ", said, re.MULTILINE)
    main = next((uri for uri, security in uris if not security), None)
    return main, next((uri for uri, security in uris if security), None)
