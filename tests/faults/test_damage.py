"""A cache that is damaged, in a copy of it: what is damaged is named and made again."""

from __future__ import annotations

import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop
from hatester.artifacts.mirrors import find_mirrors
from hatester.artifacts.ssh_keys import find_keys
from hatester.matrix.declarations import load_matrix
from hatester.util.paths import MATRIX
from tests.factories.live_run import QUICK, comes_through, newest
from tests.factories.project import invoke

WORDS = (*QUICK, "--jobs", "1", "--probe-interval", "100ms")
KINDS = ("kernels", "systems", "builds", "ready")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with what a cell of Linux 6.1 and HAProxy 3.0 needs."""
    keys = find_keys()
    with ThreadPoolExecutor() as pool:
        archive = Archive(find_mirrors(None, None))
        made = Workshop(archive, load_matrix(MATRIX), keys, pool).make(["6.1"], ["3.0"])
        image, tree = made.image("6.1"), made.tree("3.0")
    base = tmp_path_factory.mktemp("cache") / "hatester"
    for folder in (image.kit.folder, image.system.parent, tree.folder, keys.folder):
        copy = base / folder.relative_to(cache.root())
        copy.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", "--sparse=always", folder, copy], check=True)
    shutil.copytree(cache.root() / "apt", base / "apt")
    return base


def damage(entries: list[Path], rng: random.Random) -> Path:
    """Change one byte of one file of an entry, and return the entry."""
    entry = rng.choice(sorted(entries))
    file = rng.choice(sorted(path for path in entry.rglob("*") if path.is_file()))
    with file.open("r+b") as content:
        place = rng.randrange(file.stat().st_size)
        content.seek(place)
        [byte] = content.read(1)
        content.seek(place)
        content.write(bytes([byte ^ rng.randrange(1, 256)]))
    return entry


@pytest.mark.seeds("damage")
def test_whatever_byte_is_damaged_its_entry_is_named_and_made_again(
    checkout: Path, copied: Path, seed: int
) -> None:
    def measure() -> list[str]:
        """Return the lines that name a damaged entry, from a run whose cell is measured."""
        done = invoke(
            "matrix", *WORDS, folder=checkout, seconds=900, XDG_CACHE_HOME=str(copied.parent)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [cell] = newest(checkout)["cells"]
        assert comes_through(cell)
        return [line for line in done.stderr.splitlines() if "is damaged" in line]

    def entries() -> list[Path]:
        """Return the newest entry of each kind: a saved guest of earlier ones is not used again."""
        return [
            max((copied / kind).glob("[!.]*"), key=lambda each: each.stat().st_mtime)
            for kind in KINDS
        ]

    if not (copied / "ready").exists():
        assert measure() == []
    entry = damage(entries(), random.Random(seed))
    # One entry only: what an earlier seed damaged is whole again.
    [line] = measure()
    assert f"{entry} is damaged" in line
    assert entry in entries()
