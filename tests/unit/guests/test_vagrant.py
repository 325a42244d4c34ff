"""The machines in the Vagrantfile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatester.guests.vagrant import declare_machines
from hatester.util.errors import UserError

MACHINE = {"release": "6.1.0", "disks": {"a": "/a"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".hatester/machines.json"


def test_machines_stand_beside_those_that_were_declared_before(file: Path) -> None:
    declare_machines(file, {"6.1": {"release": "old"}, "6.12": MACHINE})
    declare_machines(file, {"6.1": MACHINE})
    assert json.loads(file.read_text()) == {"6.1": MACHINE, "6.12": MACHINE}


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b'{"6.1": 1}', b"\xff", b"[" * 100_000, None]
)
def test_what_has_no_machines_is_set_aside_and_written_anew(
    file: Path, damaged: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if damaged is None:
        file.mkdir(parents=True)
    else:
        file.parent.mkdir()
        file.write_bytes(damaged)
    declare_machines(file, {"6.1": MACHINE})
    assert json.loads(file.read_text()) == {"6.1": MACHINE}
    assert f"{file} is damaged: it has no machines; quarantined as .mach" in (
        capsys.readouterr().err
    )


def test_a_place_that_cannot_be_written_to_is_named(file: Path) -> None:
    file.parent.write_text("foreign")
    with pytest.raises(UserError, match=r"/machines\.lock cannot be opened: File exists\.$"):
        declare_machines(file, {"6.1": MACHINE})
