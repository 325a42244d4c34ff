"""Declarations, however wrong: they are read, or refused in a sentence that names the file."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis import expectation
from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel_source import local_release
from hatester.artifacts.mirrors import Mirrors
from hatester.capture.capture import capture
from hatester.capture.captured_host import load_host, name_of, write_host
from hatester.cli import options
from hatester.cli.options import duration
from hatester.matrix.build_spec import with_described
from hatester.matrix.declarations import METHODS, NAME, Setting, load_matrix
from hatester.matrix.kernel_spec import Kernels, SuiteKernel, with_kernels
from hatester.matrix.plan import Wanted, cell_of, make_plan
from hatester.matrix.scenario import Scenario, load_scenario
from hatester.runner.guest_like_host import likeness
from hatester.runner.guest_plan import Order, guest_plan
from hatester.runner.user_config import load_own
from hatester.util.errors import MeasurementError
from hatester.util.paths import MATRIX
from provision.guest.protocol import encode
from tests.factories.hostile import NAMES, examples, mutated, names, refused, scribbled
from tests.factories.production_host import MadeUpHost

DECLARED = load_matrix(MATRIX)
FILES = ("kernels.yml", "haproxy.yml", "settings.yml", "default.yml", "full.yml")
TOLD = {file: yaml.load((MATRIX / file).read_text(), yaml.BaseLoader) for file in FILES}
STORIES = [
    yaml.load(file.read_text(), yaml.BaseLoader) for file in MATRIX.glob("scenarios/*/scenario.yml")
]
PLANNED = ["6.1/2.2/plain/lost-address/signal"]
CAPTURED = capture(MadeUpHost())
SUITE = [SuiteKernel("7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", "cloud")]
EXPECTED = {"6.1/*/plain/*": "ok", "*/2.2/*": ["outage", "down"], "*": ["lossy"]}
NOWHERE = "No cell is left"


def written(content: object) -> bytes:
    return yaml.safe_dump(content, sort_keys=False).encode()


def spoilt(content: Any) -> st.SearchStrategy[bytes]:
    """Draw a file of that content with something wrong in it."""
    return mutated(content).map(written) | scribbled(written(content).decode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the matrix, with a captured host, once for all examples."""
    folder = Path(shutil.copytree(MATRIX, tmp_path_factory.mktemp("any") / "matrix"))
    write_host(folder / "hosts", "lb1", "lb1", CAPTURED.host, CAPTURED.files)
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@contextlib.contextmanager
def instead(file: Path, content: bytes) -> Iterator[None]:
    """While it is open, a file has another content."""
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("file", FILES)
@examples(0.1)
@given(data=st.data())
def test_a_matrix_is_read_or_refused(folder: Path, file: str, data: st.DataObject) -> None:
    with (
        instead(folder / file, data.draw(spoilt(TOLD[file]))),
        refused(str(folder), NOWHERE),
    ):
        matrix = load_matrix(folder, "full" if file == "full.yml" else "default")
        plan = make_plan(matrix, Wanted(scenarios=["lost-address"]))
        for cell in plan.cells:
            assert all(re.fullmatch(NAME, name) for name in cell.id.split("/"))


def is_sendable(scenario: Scenario, setting: Setting = DECLARED.settings["plain"]) -> bool:
    """Require that a scenario has a plan for guests, by every reload method."""
    for address in scenario.addresses:
        assert re.fullmatch("[0-9a-f:.]+/[0-9]+", address)
    for server in scenario.servers:
        assert re.fullmatch(r"([0-9a-f:.\[\]]*|\*):[0-9]+", server)
    orders = [Order("3.0", setting, scenario, method) for method in METHODS]
    plans = [guest_plan(order, "virtual") for order in orders]
    return all(encode(plan).encode() for plan in plans)


@examples(0.4)
@given(st.sampled_from(STORIES).flatmap(spoilt))
def test_a_scenario_is_read_or_refused(folder: Path, content: bytes) -> None:
    scenario = folder / "scenarios/lost-address"
    with instead(scenario / "scenario.yml", content), refused(str(scenario)):
        assert is_sendable(load_scenario(scenario))


@examples(0.3)
@given(scribbled((MATRIX / "scenarios/lost-address/with.cfg").read_text()))
def test_a_scenario_with_any_configuration_is_read_or_refused(folder: Path, text: bytes) -> None:
    scenario = folder / "scenarios/lost-address"
    with instead(scenario / "with.cfg", text), refused(str(scenario)):
        assert is_sendable(load_scenario(scenario), DECLARED.settings["expose-fd"])


@given(st.sampled_from([name for name in NAMES if name.isprintable()]))
def test_a_scenario_s_name_is_one_for_cells_or_refused(folder: Path, name: str) -> None:
    place = folder / "strange" / name[:200].replace("/", "_")
    shutil.copytree(folder / "scenarios/lost-address", place, dirs_exist_ok=True)
    with refused(str(place)):
        assert re.fullmatch(NAME, load_scenario(place).name)


class NothingToBeHad:
    """An archive that has no package at all."""

    mirrors = Mirrors("http://nowhere", "http://nowhere", "http://nowhere")

    def versions(self, suite: str, beginning: str) -> list[tuple[str, str]]:
        raise MeasurementError(f"no suite {suite}")

    def resolve(self, suite: str, *packages: str) -> None:
        raise MeasurementError(f"no suite {suite}")


@examples(0.15)
@given(content=spoilt(yaml.safe_load(yaml.safe_dump(CAPTURED.host.model_dump(mode="json")))))
def test_a_captured_host_is_read_or_refused(folder: Path, content: bytes) -> None:
    hosts = folder / "hosts"
    archive = cast(Archive, NothingToBeHad())
    with instead(hosts / "lb1.yml", content), refused(str(hosts)):
        found = likeness(DECLARED, Wanted(), hosts, "lb1", archive)
        for name in (*found.wanted.kernels, *found.wanted.haproxy, *found.wanted.settings):
            assert re.fullmatch(NAME, name)


@examples(0.5)
@given(spoilt(EXPECTED))
def test_an_expectation_is_read_or_refused(folder: Path, content: bytes) -> None:
    file = folder / "expected.yml"
    file.write_bytes(content)
    with refused(str(file)):
        expectation.load(str(file), PLANNED, lambda _: ())


@examples(0.4)
@given(scribbled("global\n    chroot /x\nfrontend web\n    bind :80 crt site.pem\n"), st.booleans())
def test_a_configuration_of_one_s_own_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, is_before: bool
) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "haproxy.cfg").write_bytes(content)
    (folder / "site.pem").write_bytes(content)
    (folder / "x").symlink_to("x")
    after = None if is_before else folder / "haproxy.cfg"
    with refused(str(folder)):
        load_own(folder / "haproxy.cfg", after)


PIECES = ("sid", ":", "/", "./", "~", ".deb", "*", "[", "oci:", "docker://", "**")
words = st.lists(names | st.sampled_from(PIECES), min_size=1, max_size=4).map(
    # As far as a program's arguments can be that, and no longer than a line.
    lambda pieces: "".join(pieces).replace("\0", "").encode(errors="ignore").decode()[:300]
)


@given(words)
def test_a_word_names_a_build_or_is_refused(word: str) -> None:
    with refused("--haproxy", "cannot be named"):
        _, [name] = with_described(DECLARED, [word])
        assert re.fullmatch(NAME, name)


@given(words)
def test_a_word_names_kernels_or_is_refused(empty: Path, word: str) -> None:
    def one(suite: str) -> Sequence[SuiteKernel]:
        assert re.fullmatch(NAME, suite)
        return SUITE

    with (
        pytest.MonkeyPatch.context() as patch,
        refused("--kernel", ".deb", "there is no"),
    ):
        patch.chdir(empty)  # a word such as `*/` names the files there
        _, wanted = with_kernels(DECLARED, Wanted([word]), Kernels(one, local_release))
        assert all(re.fullmatch(NAME, name) for name in wanted.kernels)


@given(words | st.sampled_from(["*/" * 9, "[z-a]*", "[!]", "*" * 60, "*a" * 30, "(" * 99, "\\E"]))
def test_any_word_is_a_pattern_or_a_cell(word: str) -> None:
    for wanted in (Wanted(only=[word]), Wanted(skip=[word]), Wanted(methods=[word])):
        with refused("--only", "--skip", "--method", NOWHERE):
            make_plan(DECLARED, wanted)
    with refused("is not a cell's id"):
        cell_of(word)


@given(words | st.sampled_from(["9" * 5000, "0." + "0" * 9999 + "1", ".", "1e3", "٣", "0x1"]))
def test_any_word_is_a_flag_s_value_or_refused(folder: Path, word: str) -> None:
    for read in (
        lambda: options.count("--repeat", word),
        lambda: options.seeds("", [word]),
        lambda: options.step("--step", word, 7),
        lambda: options.interval("--probe-interval", word),
        lambda: duration("--time-limit", word),
        lambda: options.again(word),
        lambda: name_of(word),
        lambda: name_of("x", word),
        lambda: load_host(folder / "hosts", word),
        lambda: load_matrix(folder, word),
    ):
        with refused("--"):
            read()
    with refused("--", "cannot be read", "UTF-8", "is not a file name", "binds no address"):
        options.own(word[:300], "", [], "")
