"""Reports are made without a machine."""

from __future__ import annotations

import subprocess
import sys

IMPORT = """
import importlib, pkgutil, sys
import hatester.report
for module in pkgutil.walk_packages(hatester.report.__path__, "hatester.report."):
    importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
MACHINE = {"fabric", "paramiko", "qemu", "requests", "selenium", "vagrant"}


def test_reports_import_no_machine_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True
    )
    modules = {*done.stdout.split()}
    assert "hatester" in modules
    assert not modules & MACHINE
