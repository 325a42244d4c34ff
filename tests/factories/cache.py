"""A cache, made up of what matters when it is cleaned."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.artifacts.gc import clean
from hatester.guests import machines

DAY = 86400.0
KERNEL, SYSTEM, BUILD, OTHER = (letter * 16 for letter in "abcd")
SAVED = f"{'1' * 16}-{'2' * 16}"
GONE = ""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests and the user's cache apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache, beside a project without machines, and return its folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machines, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(machines, "MACHINES", tmp_path / "project/.hatester/machines.json")
    return cache.root()


def date(path: Path, days: float) -> Path:
    """Have a path used so long ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def kept(name: str, days: float = 40, **files: bytes | str) -> Path:
    """Make an entry of the cache with these files, used so many days ago, and return it."""
    folder = cache.root() / name
    folder.mkdir(parents=True)
    for file, content in files.items():
        path = folder / file.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return date(folder, days)


def saved_guest(days: float = 40) -> list[Path]:
    """Make a saved guest with all that it needs, none of it used by anything else for long."""
    system = kept(f"systems/{SYSTEM}", system_ext4="x")
    needs = [f"kernels/{KERNEL}", f"systems/{SYSTEM}", f"builds/{BUILD}"]
    return [
        kept(
            f"ready/{SAVED}",
            days,
            ready_json=json.dumps({"builds": {"3.0": BUILD}, "needs": needs, "release": "6.1.0"}),
        ),
        kept(f"kernels/{KERNEL}", kit_json='{"release": "6.1.0", "version": "6.1.1-1"}'),
        system,
        kept(f"builds/{BUILD}", build_json='{"version": "3.0.11-1"}', tree_ext4="x"),
    ]


def swept(results: Path, *parts: str, days: float = 30, is_dry: bool = False) -> dict[str, str]:
    """Why each thing is kept, or GONE, by its path in the cache or among the results."""
    found = clean(results, parts, days * DAY, machines.find_roots, is_dry=is_dry)
    assert all(not fate.failure for fate in found.fates)
    return {name_of(fate.item.path, results): fate.kept for fate in found.fates}


def name_of(path: Path, results: Path) -> str:
    folder = cache.root() if path.is_relative_to(cache.root()) else results
    return str(path.relative_to(folder))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
