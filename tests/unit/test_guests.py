"""A guest of which nothing is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hatester.guests import Guest


def test_a_guest_whose_files_are_gone_is_no_other_process(tmp_path: Path) -> None:
    vagrant = SimpleNamespace(data=lambda _: tmp_path / "gone", console=lambda _: "the end")
    guest = Guest("6.1", *cast(Any, (None, None, vagrant)))
    assert guest.process() is None
    assert guest.last_words().startswith("the files of its machine are gone; ")
