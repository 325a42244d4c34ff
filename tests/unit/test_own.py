"""Scenarios of a configuration of one's own: what is read, and what is made of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hatester.errors import UserError
from hatester.flags import own as own_flag
from hatester.matrix import load_matrix
from hatester.own import Own, load_own, scenarios, write
from hatester.paths import MATRIX
from hatester.plan import BLANK, Wanted, load_scenarios, with_scenarios, without_scenarios
from hatester.scenarios import load_scenario, present
from hatester.sequence import Order, guest_plan, laid
from hatester.survey import Survey

CONFIGURATION = """global
    daemon
frontend web
    bind 192.0.2.10:80,[fd00::10]:80
    errorfile 503 /etc/haproxy/errors/503.http
"""
BINDS = {"192.0.2.10:80": "any", "fd00::10:80": "any", "*:443": "close", "127.0.0.1:9": None}
SURVEY = Survey(BINDS, ("10.0.0.5:8080",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors/503.http").write_text("HTTP/1.0 503 no\r\n\r\n")
    (tmp_path / "unrelated").write_text("never mind")
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION)
    return tmp_path


def made(folder: Path, before: Survey = SURVEY, after: Survey = SURVEY) -> list[str]:
    """The names of the scenarios that were written into a folder, each of which can be read."""
    contents = scenarios(OWN, before, after)
    write(folder, OWN, contents)
    return sorted(load_scenario(folder / name).name for name in contents)


OWN = Own(CONFIGURATION, CONFIGURATION, {"errors/503.http": "no", "root/etc/ssl/a.pem": "x"})


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
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
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


def test_each_address_that_is_on_an_interface_is_lost_in_a_scenario(tmp_path: Path) -> None:
    assert made(tmp_path) == ["lost-192.0.2.10", "lost-fd00--10", "reload"]
    scenario = load_scenario(tmp_path / "lost-fd00--10")
    assert [str(step) for step in scenario.steps] == [
        "start before", "check", "remove fd00::10", "reload after", "check",
    ]  # fmt: skip
    assert scenario.addresses == ("192.0.2.10/32", "fd00::10/128")
    assert [(bind.label, bind.answer) for bind in scenario.binds] == [
        ("192.0.2.10:80", "any"), ("fd00::10:80", "any"), ("*:443", "close"),
    ]  # fmt: skip
    [there] = present(scenario).values()
    assert [bind.label for bind in there] == ["192.0.2.10:80", "*:443"]


def test_a_file_that_has_one_of_our_names_takes_nothing_s_place(tmp_path: Path) -> None:
    own = Own(CONFIGURATION, "global\n", {"before.cfg": "no", "after.cfg": "no", "x.cfg": "x"})
    contents = scenarios(own, SURVEY, SURVEY)
    write(tmp_path, own, contents)
    configurations = load_scenario(tmp_path / "reload").configurations
    texts = {name: each.text for name, each in configurations.items()}
    assert texts == {"before": CONFIGURATION, "after": "global\n", "x": "x"}


def test_only_what_both_configurations_bind_can_be_lost(tmp_path: Path) -> None:
    after = Survey({"192.0.2.10:80": "any", "192.0.2.11:80": "any"}, ())
    assert made(tmp_path, after=after) == ["lost-192.0.2.10", "reload"]


def test_the_guest_is_told_of_all_that_a_configuration_needs(tmp_path: Path) -> None:
    made(tmp_path)
    scenario = load_scenario(tmp_path / "reload")
    setting = load_matrix(MATRIX).settings["plain"]
    plan = guest_plan(Order("3.0", setting, scenario, "signal"), "virtual")
    assert plan["servers"] == ["10.0.0.5:8080"]
    assert plan["arguments"] == ["-db"]
    assert plan["files"]["errors/503.http"] == "no"
    assert plan["elsewhere"] == {"/etc/ssl/a.pem": "x"}
    order = Order("3.0", setting, scenario, "soft-finish")
    assert guest_plan(order, "virtual")["arguments"] == []


def test_files_are_laid_where_they_belong() -> None:
    assert laid({"a/b": "1", "root/usr/c": "2"}) == {
        "files": {"a/b": "1"},
        "elsewhere": {"/usr/c": "2"},
    }


def test_cells_get_their_scenarios_when_these_are_known(tmp_path: Path) -> None:
    wanted = Wanted(["6.1"], ["2.2"], ["plain"], only=["*/lost-*"])
    plan = without_scenarios(load_matrix(MATRIX), wanted)
    assert [cell.id for cell in plan.cells] == [f"6.1/2.2/plain/{BLANK}/signal"]
    cells = with_scenarios(plan, wanted, made(tmp_path)).cells
    assert [cell.scenario for cell in cells] == ["lost-192.0.2.10", "lost-fd00--10"]
    assert set(load_scenarios(tmp_path, cells)) == {"lost-192.0.2.10", "lost-fd00--10"}
    with pytest.raises(UserError, match="--only: 'x' matches none"):
        with_scenarios(plan, Wanted(only=["x"]), ["reload"])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("", "new.cfg", [], ""), "--after: without --config"),
        (("a.cfg", "", ["hitless"], ""), "--config: its addresses make the scenarios"),
        (("a.cfg", "", [], "lb1"), "--host: its configuration makes the scenarios"),
    ],
)
def test_flags_that_exclude_each_other_are_named(
    flags: tuple[str, str, list[str], str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        own_flag(*flags)
    assert own_flag("", "", ["hitless"], "") is None
