"""Runs and cells that are not there, or not as they were written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hatester.cli.program import MISTAKE
from hatester.results.folder import PLAN, RUN, SUMS
from tests.factories.bad_input import CELL, LONG, require_refusal
from tests.factories.project import call, copy_matrix
from tests.factories.stored_run import made

NO_ID = "is not a cell's id: kernel/build/setting/scenario/method, such as"
NO_RUN = "is not a run: it has neither run.json nor plan.json"
WITHOUT_A_RUN = [
    ("matrix --resume", "results: there is no 'latest' (there are: none)."),
    ("matrix --failed", "results: there is no 'latest'"),
    ("matrix --failed=some", "--failed: there is no 'some' (there are: all, or nothing)."),
    ("matrix --resume --kernel 6.1", "--resume: the run has its cells and flags already"),
    ("matrix --resume --seed 1", "--resume: the run has its cells and flags already"),
    ("matrix --resume --shard 1/2", "--resume: the run has its cells and flags already"),
    ("matrix --resume --matrix full", "--resume: the run has its cells and flags already"),
    ("matrix --failed --only '*'", "--failed: the run has its cells and flags already"),
    ("matrix --resume --host blank", "--resume: the run has its cells and flags already"),
    ("matrix --resume --config good.cfg", "--resume: the run has its cells and flags already"),
    ("report nope", "results: there is no 'nope'"),
    ("report é", "results: there is no 'é'"),
    ("report ../..", f"../.. {NO_RUN}"),
    ("report ./fifo", f"fifo {NO_RUN}"),
    ("report /dev/null", f"/dev/null {NO_RUN}"),
    ("report docs/", f"docs {NO_RUN}"),
    ("report good.cfg/x", "results: there is no 'good.cfg/x'"),
    ("report image.tar", f"image.tar {NO_RUN}"),
    ("report dangling", "dangling points at nowhere, which is not there"),
    ("report loop", "loop points at loop, which is not there"),
    ("report docs/run.json", f"docs {NO_RUN}"),
    (f"report {LONG}", "aaa is not a run that can be read: File name too long."),
    ("compare a b", "results: there is no 'a'"),
    ("merge nope", "results: there is no 'nope' (there are: none)."),
    ("merge docs", f"docs {NO_RUN}"),
    ("merge fifo --table-format nope", "--table-format: there is no 'nope'"),
    ("compare fifo docs", f"fifo {NO_RUN}"),
    ("export x out", f"'x' {NO_ID}"),
    ("export '*' out", f"'*' {NO_ID}"),
    ("export //// out", f"'////' {NO_ID}"),
    ("export a/b/c/d/e/f out", f"'a/b/c/d/e/f' {NO_ID}"),
    (f"export out {CELL}", f"'out' {NO_ID}"),
    (f"export {CELL} out", "results: there is no 'latest'"),
    (f"export {CELL} out --run docs", f"docs {NO_RUN}"),
    ("shell x", f"'x' {NO_ID}"),
    ("shell 6.1/2.2", f"'6.1/2.2' {NO_ID}"),
    (f"shell {CELL}/x", f"'{CELL}/x' {NO_ID}"),
    ("shell 6.1/2.2/plain/hitless/", f"'6.1/2.2/plain/hitless/' {NO_ID}"),
    ("shell 6.1/2.2/plain/../signal", "scenarios: there is no '..'"),
    ("shell 6.1/2.2/plain/nope/signal", "scenarios: there is no 'nope'"),
    ("shell 6.1/2.2/plain/hitless/nope", "methods: there is no 'nope'"),
    ("shell 6.1/2.2/nope/hitless/signal", "settings: there is no 'nope'"),
    ("shell 6.1/nope/plain/hitless/signal", "haproxy: there is no 'nope'"),
    ("shell nope/2.2/plain/hitless/signal", "kernels: there is no 'nope'"),
    (f"shell {CELL} --kernel ./docs", "docs: there is no Debian package."),
    ("capture x --as ../x", "--as: '../x' cannot be the name of x"),
    ("capture x --as é", "--as: 'é' cannot be the name of x"),
    ("capture x --as .", "--as: '.' cannot be the name of x"),
    ("capture 'a b'", "HOST: 'a b' is not a valid name for ssh."),
    ("capture x@", "HOST: 'x@' cannot name its copy here. Name that with --as."),
    ("capture -- -x", "there is no flag '--'."),
    ("capture é", "HOST: 'é' cannot name its copy here."),
    ("capture x --user 'a b'", "--user: 'a b' is not a valid name for ssh."),
]
WITH_A_RUN = [
    ("report latest --against nope", "results: there is no 'nope' (there are: 2"),
    ("report late", "results: there is no 'late'; did you mean latest?"),
    ("report .", f"results {NO_RUN} (there are: 2"),
    ("compare nope latest", "results: there is no 'nope'"),
    ("compare docs latest", f"docs {NO_RUN}"),
    ("merge latest docs", f"docs {NO_RUN}"),
    ("merge latest --expect nope.yml", "nope.yml cannot be read: No such file or directory."),
    ("export 6.1/2.2/plain/hitless/signal out", "latest: there is no '6.1/2.2/plain/hitless/sig"),
    ("export 6.1/3.2/plain/lost-address/signal out", "it was not measured, so there is nothing"),
    (f"export {CELL} full", "full: not an empty folder; name another one."),
    (f"export {CELL} fifo", "fifo: not an empty folder; name another one."),
    (f"export {CELL} /dev/null", "/dev/null: not an empty folder; name another one."),
    (f"export {CELL} /proc/x", "/proc/x cannot be written: No such file or directory."),
    (f"export {CELL} fifo/x", "fifo/x cannot be written: Not a directory."),
    ("matrix --resume --expect nope.yml", "nope.yml cannot be read: No such file or directory."),
]
UNKNOWN_FORM = "the form of this run is not known (it has no SHA256SUMS). Measure it anew."
NOT_AS_WRITTEN = "plan.json is not as it was written. Measure it anew."
READERS = (
    "report latest", "report latest --recompute", "compare latest latest", f"export {CELL} out",
    "matrix --resume", "merge latest",
)  # fmt: skip


def _write(text: str, *names: str) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        for name in names:
            (run / name).write_text(text)

    return write


def _make_pipes(*names: str) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        for name in names:
            (run / name).unlink(missing_ok=True)
            os.mkfifo(run / name)

    return make


def _link_cell(run: Path) -> None:
    shutil.rmtree(run / "cells" / CELL)
    (run / "cells" / CELL).symlink_to("/etc")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no checksums": (lambda run: (run / SUMS).unlink(), UNKNOWN_FORM),
    "empty checksums": (_write("", SUMS), NOT_AS_WRITTEN),
    "checksums in a pipe": (_make_pipes(SUMS), NOT_AS_WRITTEN),
    "no JSON": (_write("{", RUN, PLAN), NOT_AS_WRITTEN),
    "other JSON": (_write("[]", RUN, PLAN), NOT_AS_WRITTEN),
    "pipes": (_make_pipes(RUN, PLAN), "plan.json is not a file. Measure it anew."),
    "a cell elsewhere": (_link_cell, f"{CELL} leads outside of its run. Remove it."),
}


@pytest.mark.parametrize(("line", "part"), WITHOUT_A_RUN)
def test_a_run_that_is_not_there_gets_one_sentence(place: Path, line: str, part: str) -> None:
    require_refusal(place, line, MISTAKE, part)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a stored run, and things of the wrong kind beside it."""
    folder = copy_matrix(tmp_path_factory.mktemp("stored"))
    made(folder / "results")
    (folder / "docs").mkdir()
    (folder / "full").mkdir()
    (folder / "full/file").touch()
    os.mkfifo(folder / "fifo")
    assert call("report", "latest", folder=folder).returncode == 0
    return folder


@pytest.mark.parametrize(("line", "part"), WITH_A_RUN)
def test_a_bad_word_beside_a_run_gets_one_sentence(stored: Path, line: str, part: str) -> None:
    require_refusal(stored, line, MISTAKE, part)


@pytest.mark.parametrize("line", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_gets_one_sentence(tmp_path: Path, damage: str, line: str) -> None:
    make, part = DAMAGES[damage]
    make(made(copy_matrix(tmp_path) / "results").folder)
    require_refusal(tmp_path, line, MISTAKE, part)


@pytest.mark.parametrize("name", [RUN, "lock"])
@pytest.mark.parametrize(
    "words",
    [("list", "runs"), ("report", "latest", "--recompute"), ("clean", "--part", "results")],
)
def test_a_pipe_in_a_run_holds_nobody_up(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    _make_pipes(name)(made(tmp_path / "results").folder)
    assert call(*words, folder=tmp_path, XDG_CACHE_HOME=str(tmp_path)).returncode == 0
