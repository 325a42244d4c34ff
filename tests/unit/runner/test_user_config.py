"""Scenarios of a configuration of one's own: what is read, and what is made of it."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hatester.analysis.model import RunOrigin, UserConfiguration
from hatester.cli import options
from hatester.matrix.declarations import load_matrix
from hatester.matrix.plan import (
    BLANK,
    Wanted,
    cell_of,
    load_scenarios,
    with_scenarios,
    without_scenarios,
)
from hatester.matrix.scenario import load_scenario, presence
from hatester.results.repeat_command import repeat_command
from hatester.results.store import begin
from hatester.runner.config_scenarios import scenarios, write
from hatester.runner.guest_plan import Order, guest_plan, root_content
from hatester.runner.user_config import Own, load_own
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from provision.guest.protocol import Answer
from tests.factories.cells import shown

CONFIGURATION = """global
    daemon
frontend web
    bind 192.0.2.10:80,[fd00::10]:80
    errorfile 503 /etc/haproxy/errors/503.http
"""
BINDS = {"192.0.2.10:80": "any", "fd00::10:80": "any", "*:443": "close", "127.0.0.1:9": None}
SURVEY = Answer(BINDS, ("10.0.0.5:8080",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors/503.http").write_text("HTTP/1.0 503 no\r\n\r\n")
    (tmp_path / "unrelated").write_text("never mind")
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION)
    return tmp_path


OWN = Own(CONFIGURATION, CONFIGURATION, {"errors/503.http": "no", "root/etc/ssl/a.pem": "x"})
EVENTS = ("absent", "back", "lost")


def made(
    folder: Path, before: Answer = SURVEY, after: Answer = SURVEY, own: Own = OWN
) -> list[str]:
    """Return the names of the scenarios that were written; each can be read."""
    contents = scenarios(own, before, after)
    write(folder, own, contents)
    return sorted(load_scenario(folder / name).name for name in contents)


def of(*groups: str) -> list[str]:
    """Return the names of the scenarios of what can be lost."""
    return sorted(f"{event}-{group}" for event in EVENTS for group in groups)


def test_what_lies_beside_and_is_named_comes_along(folder: Path) -> None:
    own = load_own(folder / "haproxy.cfg", None)
    assert own.before == own.after == CONFIGURATION
    assert list(own.files) == ["errors/503.http"]
    (folder / "new.cfg").write_text(CONFIGURATION + "# unrelated")
    own = load_own(folder / "haproxy.cfg", folder / "new.cfg")
    assert own.after != own.before
    assert list(own.files) == ["errors/503.http", "unrelated"]


def test_keys_do_not_come_along(folder: Path) -> None:
    key = folder / "errors/key.pem"
    private = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, *form))
    copied = load_own(folder / "haproxy.cfg", None).files["errors/key.pem"]
    assert "PRIVATE KEY" in copied
    assert key.read_text().splitlines()[1] not in copied


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "errors/503.http").write_bytes(b"\xff\xfe")
    for config, sentence in (
        ("none.cfg", "none.cfg cannot be read: No such file"),
        ("haproxy.cfg", "503.http is not UTF-8 text"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_own(folder / config, None)


def test_what_can_be_lost_is_lost_comes_back_and_is_missing_at_the_start(tmp_path: Path) -> None:
    assert made(tmp_path) == [*of("192.0.2.10", "fd00--10", "all"), "reload"]
    scenario = load_scenario(tmp_path / "lost-fd00--10")
    assert [str(step) for step in scenario.steps] == [
        "start before", "check", "remove fd00::10", "reload after", "check",
        "add fd00::10", "check", "reload after", "check",
    ]  # fmt: skip
    assert scenario.addresses == ("192.0.2.10/32", "fd00::10/128")
    assert [(bind.label, bind.answer) for bind in scenario.binds] == [
        ("192.0.2.10:80", "any"), ("fd00::10:80", "any"), ("*:443", "close"),
    ]  # fmt: skip
    there = presence(scenario)
    assert [bind.label for bind in there[4].throughout] == ["192.0.2.10:80", "*:443"]
    assert len(there[8].throughout) == 3
    back = load_scenario(tmp_path / "back-all")
    assert [(str(step), step.after) for step in back.steps[4:]] == [
        ("reload after", None), ("add 192.0.2.10", 1.0), ("add fd00::10", 1.0), ("check", 3.0),
    ]  # fmt: skip
    absent = load_scenario(tmp_path / "absent-192.0.2.10")
    assert [str(step) for step in absent.steps][:3] == [
        "remove 192.0.2.10",
        "start before",
        "check",
    ]
    assert [bind.label for bind in presence(absent)[2].throughout] == ["fd00::10:80", "*:443"]


def test_what_can_only_be_reached_through_an_interface_is_there(tmp_path: Path) -> None:
    text = "frontend x\n bind 192.0.2.10:80,*:81 interface eth0\n bind 192.0.2.11:80\n"
    own = Own(text, text, {})
    survey = Answer({"192.0.2.10:80": "any", "*:81": "any", "192.0.2.11:80": "any"}, ())
    made(tmp_path, survey, survey, own)
    scenario = load_scenario(tmp_path / "reload")
    assert scenario.addresses == ("192.0.2.11/32",)
    assert scenario.interfaces == {"eth0": ("198.19.253.1/32", "192.0.2.10/32")}
    setting = load_matrix(MATRIX).settings["plain"]
    plan = guest_plan(Order("3.0", setting, scenario, "signal"), "virtual")
    targets = {each.label: (each.address, each.interface) for each in plan.destinations}
    assert targets == {
        "192.0.2.10:80": ("192.0.2.10", "eth0"), "*:81": ("198.19.253.1", "eth0"),
        "192.0.2.11:80": ("192.0.2.11", None),
    }  # fmt: skip


def test_a_file_that_has_one_of_our_names_takes_nothing_s_place(tmp_path: Path) -> None:
    own = Own(CONFIGURATION, "global\n", {"before.cfg": "no", "after.cfg": "no", "x.cfg": "x"})
    contents = scenarios(own, SURVEY, SURVEY)
    write(tmp_path, own, contents)
    configurations = load_scenario(tmp_path / "reload").configurations
    texts = {name: each.text for name, each in configurations.items()}
    assert texts == {"before": CONFIGURATION, "after": "global\n", "x": "x"}


def test_only_what_both_configurations_bind_can_be_lost(tmp_path: Path) -> None:
    after = Answer({"192.0.2.10:80": "any", "192.0.2.11:80": "any"}, ())
    assert made(tmp_path, after=after) == [*of("192.0.2.10"), "reload"]


def test_another_configuration_is_reloaded_as_well_as_the_same(tmp_path: Path) -> None:
    own = Own(CONFIGURATION, f"{CONFIGURATION}# more\n", {})
    assert made(tmp_path, own=own)[-2:] == ["reload", "reload-same"]
    scenario = load_scenario(tmp_path / "reload-same")
    assert [str(step) for step in scenario.steps if str(step).startswith("reload")] == [
        "reload before"
    ]


def test_the_guest_is_reported_of_all_that_a_configuration_needs(tmp_path: Path) -> None:
    made(tmp_path)
    scenario = load_scenario(tmp_path / "reload")
    setting = load_matrix(MATRIX).settings["plain"]
    plan = guest_plan(Order("3.0", setting, scenario, "signal"), "virtual")
    assert plan.servers == ["10.0.0.5:8080"]
    assert plan.arguments == ["-db"]
    assert plan.root.files["/etc/haproxy/errors/503.http"] == "no"
    assert plan.root.files["/etc/ssl/a.pem"] == "x"
    order = Order("3.0", setting, scenario, "soft-finish")
    assert guest_plan(order, "virtual").arguments == []


def test_files_are_laid_where_they_belong() -> None:
    files = {"a/b": "1", "root/usr/c": "2", "made/etc/d": "3"}
    none: list[str] = []
    others = {"folders": none, "users": none, "groups": none, "hosts": none}
    content = root_content(files, others, {})
    assert content.files == {"/etc/haproxy/a/b": "1", "/usr/c": "2"}
    assert content.made == {"/etc/d": "3"}


def test_cells_get_their_scenarios_when_these_are_known(tmp_path: Path) -> None:
    wanted = Wanted(["6.1"], ["2.2"], ["plain"], only=["*/lost-*"])
    plan = without_scenarios(load_matrix(MATRIX), wanted)
    assert [cell.id for cell in plan.cells] == [f"6.1/2.2/plain/{BLANK}/signal"]
    cells = with_scenarios(plan, wanted, made(tmp_path)).cells
    names = ["lost-192.0.2.10", "lost-all", "lost-fd00--10"]
    assert [cell.scenario for cell in cells] == names
    assert {*load_scenarios(tmp_path, cells)} == {*names}
    with pytest.raises(UserError, match="--only: 'x' matches none"):
        with_scenarios(plan, Wanted(only=["x"]), ["reload"])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("", "new.cfg", [], ""), "--after: needs --config"),
        (("a.cfg", "", ["hitless"], ""), "--config: its addresses make the scenarios"),
        (("a.cfg", "", [], "lb1"), "--host: its configuration makes the scenarios"),
    ],
)
def test_flags_that_exclude_each_other_are_named(
    flags: tuple[str, str, list[str], str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        options.own(*flags)
    assert options.own("", "", ["hitless"], "") is None


def test_files_and_variables_are_given_by_flags(folder: Path) -> None:
    (folder / "haproxy.cfg").write_text('frontend x\n bind "${VIP}:80"\n errorfile 503 /x/e.http\n')
    config, page = str(folder / "haproxy.cfg"), str(folder / "errors/503.http")
    own = options.own(config, "", [], "", [f"/x/e.http={page}"], ["VIP=192.0.2.1"])
    assert own
    assert own.files["root/x/e.http"].startswith("HTTP/1.0 503")
    assert own.env == {"VIP": "192.0.2.1"}
    assert own.around.made == {}
    with pytest.raises(UserError, match="--env VIP=VALUE"):
        options.own(config, "", [], "")


@pytest.mark.parametrize(
    ("file", "env", "sentence"),
    [
        (["x=y"], [], "--file: 'x=y' is not PATH=LOCAL"),
        (["/x/../y=z"], [], "--file: '/x/../y=z' is not PATH=LOCAL"),
        (["/x="], [], "--file: '/x=' is not PATH=LOCAL"),
        ([], ["X"], "--env: 'X' is not NAME=VALUE"),
        ([], ["1=2"], "--env: '1=2' is not NAME=VALUE"),
        (["/x=y"], [], "y cannot be read"),
    ],
)
def test_flags_that_say_nothing_are_named(
    folder: Path, file: list[str], env: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        options.own(str(folder / "haproxy.cfg"), "", [], "", file, env)


def test_without_a_configuration_nothing_needs_a_file() -> None:
    with pytest.raises(UserError, match="--file: is only for --config"):
        options.own("", "", [], "", ["/x=y"])


def test_what_measures_a_cell_again_names_all_that_was_given(tmp_path: Path) -> None:
    id_ = "6.1/2.2/plain/reload/signal"
    configuration = UserConfiguration(
        names=("a.cfg",), build="2.2", binds={}, groups={}, unwatched={}, failing=(), said=(),
        env={"VIP": "192.0.2.1"},
    )  # fmt: skip
    origin = RunOrigin(configuration=configuration)
    results = begin(tmp_path, {}, [cell_of(id_)], origin=origin)
    write(results.scenarios, OWN, scenarios(OWN, SURVEY, SURVEY))
    folder = results.scenarios / "reload"
    words = shlex.split(repeat_command(results, shown(id_=id_, seed=0)))
    given = {flag: word for flag, word in itertools.pairwise(words) if flag.startswith("--")}
    assert given["--config"] == str(folder / "before.cfg")
    assert given["--after"] == str(folder / "after.cfg")
    assert given["--file"] == f"/etc/ssl/a.pem={folder / 'root/etc/ssl/a.pem'}"
    assert given["--env"] == "VIP=192.0.2.1"
    assert given["--only"] == id_
