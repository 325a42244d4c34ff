"""Commands, each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.cache import KERNEL, empty_cache, kept
from tests.factories.project import invoke


def test_clean_names_what_it_would_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = empty_cache(tmp_path, monkeypatch)
    kept(f"kernels/{KERNEL}", vmlinuz="x")
    done = invoke("clean", "--dry-run", "--part", "kernels", XDG_CACHE_HOME=str(root.parent))
    assert done.returncode == 0, done.stderr
    assert "40 d  would be removed" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("would free ")
    assert (root / "kernels" / KERNEL).exists()
    for words, sentence in (
        (("--part", "kernel"), "--part: there is no 'kernel'; did you mean kernels?"),
        (("--older-than", "30"), "--older-than: '30' is no time such as 90s"),
        (("--older-than", ""), "--older-than: it needs a time"),
    ):
        wrong = invoke("clean", *words, XDG_CACHE_HOME=str(root.parent))
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith(sentence)


def test_bench_refuses_an_unknown_part() -> None:
    done = invoke("bench", "--part", "start")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--part: there is no 'start'; did you mean starts?" in done.stderr
