"""The libraries of a program against those that its loader lists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hatester.artifacts.haproxy_binary import Root, read_program


def test_libraries_are_those_of_ldd(tmp_path: Path) -> None:
    """Any will do that says HAProxy's version as well; what follows an ELF file is not read."""
    binary = tmp_path / "haproxy"
    real = shutil.which("dpkg-deb")
    assert real
    binary.write_bytes(Path(real).read_bytes() + b" version 1.0, released 2026")
    binary.chmod(0o755)
    listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    names = {line.split()[0] for line in listed.splitlines() if "=>" in line}
    found = read_program(Root(Path("/")), str(binary))
    assert names
    assert names <= {Path(path).name for path in found.files}
