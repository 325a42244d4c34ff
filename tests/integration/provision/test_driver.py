"""The driver of QEMU: what it shows of a guest's console."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hatester.util.paths import PROVISION

SCRIPT = """
module HatesterQemu; Error = Class.new(StandardError); end
require "pathname"
require_relative ARGV[0]
print HatesterQemu::Driver.allocate.send(:tail, Pathname(ARGV[1]))
"""


def test_console_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_bytes(b"\x1b[31mred\x1b[0m\x1b]0;title\x07\ta\r\n\0\x9b2J\xffb\xc3\xa9\xc2\x9b\n")
    command = ["ruby", "-e", SCRIPT, str(PROVISION / "qemu/driver.rb"), str(console)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8")
    assert done.stdout == "  red]0;title\ta\n  ?2J?bé"
