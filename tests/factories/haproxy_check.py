"""HAProxy builds of the cache, asked whether they accept configurations: `haproxy -c` in a chroot.

Nothing listens, and nothing stays: each build's image is mounted read-only under an overlay, in a
mount namespace of its own. That takes root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from provision.guest import haproxy_root
from provision.guest.plan import RootContent

SECONDS = 20
"""The time that one check may take."""
_COMMAND = ("/usr/sbin/haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg")
Plan = Mapping[str, Any]


def images() -> dict[str, Path]:
    """Return the disks of the builds in the cache by their versions, such as 3.2."""
    found = {}
    for description in sorted(cache.root().glob("builds/*/build.json")):
        version = json.loads(description.read_text())["version"].split(".")
        found[".".join(version[:2])] = description.parent / "tree.ext4"
    return found


def lack() -> str:
    """Return the reason why nothing can be checked here; an empty text if it can."""
    if os.geteuid():
        return "mounting HAProxy's trees takes root"
    if not images():
        return "the cache has no builds of HAProxy"
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    return probe.stderr.decode()


def check(image: Path, plans: Sequence[Plan]) -> list[str]:
    """Return HAProxy's complaint about each plan; an empty text if it accepts the configuration.

    A plan has the `text` of a configuration, and the `root` that it needs, as of RootContent.
    """
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-m", "tests.factories.haproxy_check", str(image)],
        input=json.dumps(plans), check=True, stdout=subprocess.PIPE, text=True,
        timeout=SECONDS * max(len(plans), 1),
    )  # fmt: skip
    return list(json.loads(done.stdout))


def _main(image: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        lower = Path(scratch, "lower")
        lower.mkdir()
        subprocess.run(["mount", "-o", "loop,ro", image, lower], check=True)
        said = [_ask(Path(scratch), plan) for plan in json.load(sys.stdin)]
        subprocess.run(["umount", lower], check=True)
    json.dump(said, sys.stdout)


def _ask(scratch: Path, plan: Plan) -> str:
    """Return the build's complaint about one plan, in a root of its own."""
    tree = scratch / "root"
    layers = [scratch / name for name in ("upper", "work")]
    for folder in (*layers, tree):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    options = f"lowerdir={scratch}/lower,upperdir={layers[0]},workdir={layers[1]}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(tree)], check=True)
    try:
        subprocess.run(["mount", "--bind", "/dev", tree / "dev"], check=True)
        content = RootContent(**plan["root"])
        haproxy_root.furnish(tree, content)
        (tree / "etc/haproxy/haproxy.cfg").write_text(plan["text"])
        command = ["timeout", str(SECONDS), "chroot", str(tree), *_COMMAND]
        done = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **content.env},
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        return said or f"status {done.returncode}" if done.returncode else ""
    finally:
        subprocess.run(["umount", "-R", tree], check=True)


if __name__ == "__main__":
    _main(sys.argv[1])
