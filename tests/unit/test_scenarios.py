"""Scenarios: the original report's, and what is said of one with a mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hatester.errors import UserError
from hatester.paths import MATRIX
from hatester.scenarios import load_scenario, should_answer

LOST_ADDRESS = MATRIX / "scenarios/lost-address"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LOST_ADDRESS, tmp_path / "lost-address"))


def test_lost_address_is_the_original_reports_sequence() -> None:
    scenario = load_scenario(LOST_ADDRESS)
    assert [step.verb for step in scenario.steps] == [
        "start", "check", "remove", "reload", "check", "reload", "check",
    ]  # fmt: skip
    assert {
        number: [bind.label for bind in binds] for number, binds in should_answer(scenario).items()
    } == {
        2: ["192.168.42.43:80", "192.168.42.44:80", "192.168.42.45:80", "*:81"],
        5: ["192.168.42.44:80", "192.168.42.45:80", "*:81"],
        7: ["192.168.42.44:80", "192.168.42.45:80", "*:81"],
    }


def test_files_are_taken_as_they_are() -> None:
    assert load_scenario(LOST_ADDRESS).files["with.http"].endswith("\r\n\r\nOK - with\n")


HEAD = "description: x\naddresses: [192.168.42.43/32]\nsteps:\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (HEAD + "- start: wiht", r"step 1: start: there is no 'wiht'; did you mean with"),
        (HEAD + "- start: with\n- reload: x", r"step 2: reload: there is no 'x' \(there are: with"),
        (HEAD + "- reload: with", "step 1: reload: HAProxy is not started yet"),
        (HEAD + "- check", "step 1: check: HAProxy is not started yet"),
        (HEAD + "- start: with\n- start: with", "step 2: start: HAProxy is started already"),
        (HEAD + "- strat: with", r"steps: 0: there is no verb 'strat' \(there are: start, "),
        (HEAD + "- {start: with, check: }", "steps: 0: a step is one verb"),
        (HEAD + "- start: with\n- check: {afer: 2}", "there is no key 'afer'; did you mean after"),
        (HEAD + "- start: with\n- check: {after: soon}", "after: input should be a valid number"),
        (HEAD + "- start: with\n- check: {after: -1}", "after: input should be greater"),
        (HEAD + "- remove: 192.168.42.44", r"step 1: remove: there is no '192.168.42.44'.* 42.43"),
        (HEAD + "- remove: 192.168.42.43\n- remove: 192.168.42.43", "step 2: remove: there is no"),
        ("addresses: [nowhere]\ndescription: x\nsteps: []", "'nowhere' is no address such as"),
        ("addresses: []\ndescription: x", "steps: field required"),
    ],
)
def test_a_mistake_names_the_file_and_the_step(folder: Path, content: str, sentence: str) -> None:
    (folder / "scenario.yml").write_text(content)
    with pytest.raises(UserError, match=sentence.replace(" 42.43", r"192\.168\.42\.43")) as caught:
        load_scenario(folder)
    assert str(folder / "scenario.yml") in str(caught.value)


def test_a_bind_without_a_port_is_named(folder: Path) -> None:
    (folder / "with.cfg").write_text("frontend x\n    bind 192.168.42.43\n")
    with pytest.raises(UserError, match=r"with\.cfg: bind 192\.168\.42\.43 has no port"):
        load_scenario(folder)
