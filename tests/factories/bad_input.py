"""Bad input: a folder with things of the wrong kind, and how a command has to answer."""

from __future__ import annotations

import json
import os
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.factories.project import NOWHERE, call, copy_matrix

CELL = "6.1/2.2/plain/lost-address/signal"
LONG = "a" * 300
"""A name that is too long for a file."""
FORBIDDEN = (
    "[A-Za-z", "[0-9", "pydantic", "validation error", "Input should", "input should",
    "field required", "should match", "Traceback", " is no ", "Errno", "NoneType", "[key]",
    "fault of hatester", "something else", "<unicode string>", ".vendor.",
)  # fmt: skip
"""Words of libraries, and of regular expressions, that no message has."""
_FILES = {
    "empty": "",
    "README.md": "# A page\n",
    "good.cfg": "frontend a\n    bind 192.168.42.43:80\n",
    "global.cfg": "global\n    daemon\n",
    "bare.cfg": "frontend a\n    bind\n",
    "env.cfg": 'frontend a\n    bind "${VIP}:80"\n',
    "nul.cfg": "frontend a\n    bind 192.168.42.43:80\0\n",
    "long.cfg": "# a line\n" * 500_000,
    "none.yml": "",
    "list.yml": "- a\n",
    "number.yml": "5\n",
    "open.yml": "a: [\n",
    "tab.yml": "a:\n\t- b\n",
    "twice.yml": "a: ok\na: ok\n",
    "loop.yml": "a: &a [*a]\n",
    "nul.yml": "a: \0\n",
    "bell.yml": "a: \a\n",
    "outcome.yml": "'*': nope\n",
    "keys.yml": "'*': {a: b}\n",
    "blank.yml": "'*':\n",
    "other.yml": "'x/*': ok\n",
    "bad/index.json": "[]",
    "matrix/hosts/blank.yml": "",
    "matrix/hosts/list.yml": "- a\n",
    "matrix/hosts/unknown.yml": "nope: 1\n",
}
_FOLDERS = ("docs", "docs.deb", "bad", "layout", "pipe", "matrix/hosts", "matrix/hosts/folder.yml")
_PIPES = ("fifo", "fifo.deb", "fifo.yml", "pipe/index.json", "matrix/hosts/fifo.yml")


def make_place(folder: Path) -> Path:
    """Make a folder with a matrix, and things of the wrong kind in it; return it."""
    copy_matrix(folder)
    for name in _FOLDERS:
        (folder / name).mkdir()
    for name in _PIPES:
        os.mkfifo(folder / name)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    for name in ("binary.cfg", "matrix/hosts/binary.yml"):
        (folder / name).write_bytes(bytes(range(128, 256)))
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    tag = {"annotations": {"org.opencontainers.image.ref.name": "tag"}}
    (folder / "layout/index.json").write_text(json.dumps({"manifests": [tag]}))
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(folder / "layout/index.json", "index.json")
    return folder


def require_refusal(
    folder: Path, line: str, code: int, part: str, env: Mapping[str, str] | None = None
) -> None:
    """Run a command line where no mirror can be reached; it has to end with one sentence.

    The sentence has `part`, which has the folder as `HERE`, and nothing is made.
    """
    there = [*os.walk(folder)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MIRROR", "SECURITY_MIRROR"):
            patch.setenv(f"INVOKE_HATESTER_{name}", NOWHERE)
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        done = call(*shlex.split(line), folder=folder)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert part.replace("HERE", str(folder)) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    message = done.stderr.replace("there is no ", "")
    assert not [word for word in FORBIDDEN if word in message]
    assert [*os.walk(folder)] == there
