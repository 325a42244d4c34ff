"""HAProxy's start on a host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatester.capture.remote import Remote
from hatester.capture.unit import PROCESSES, main_process, parse_arguments, parse_unit, processes
from tests.factories.production_host import RUNNING, UNIT, process, shell


def test_a_unit_starts_haproxy_with_its_variables() -> None:
    service = parse_unit(UNIT)
    assert service.environment_files == ["/etc/default/haproxy"]
    files = ['# EXTRAOPTS=-x\nEXTRAOPTS="-S /run/haproxy-master.sock"\n']
    words = service.words(service.variables(files))
    assert tuple(words) == RUNNING
    assert (service.kind, service.nofile, service.drop_ins) == ("notify", 200000, 1)
    assert service.kept == {"LimitNOFILE": "200000"}


def test_settings_are_kept_in_their_form_only() -> None:
    text = (
        "[Service]\nLimitNOFILE=10:20\nLimitCORE=infinity\nNice=many\nTimeoutStopSec=1min 30s\n"
        "KillMode=mixed\nRestart=sometimes\nType=own\nEnvironment=A=b\nTasksMax=80%\n"
    )
    service = parse_unit(text)
    assert service.kept == {
        "LimitNOFILE": "10:20", "LimitCORE": "infinity", "TimeoutStopSec": "1min 30s",
        "KillMode": "mixed", "TasksMax": "80%",
    }  # fmt: skip
    assert (service.kind, service.nofile) == ("", 10)


def test_a_drop_in_takes_back_what_is_above_it() -> None:
    text = "[Service]\nExecStart=/a \\\n  -f x\nExecStart=\nExecStart=-!/b ${X}y\nEnvironment=X=1"
    service = parse_unit(text)
    assert service.words(service.variables([])) == ["/b", "1y"]
    assert parse_unit("[Unit]\nExecStart=/a\nnonsense").words({}) == []


def test_the_arguments_are_reported_from_what_a_reload_adds() -> None:
    words = "haproxy -W -C /srv -f a.cfg -f /etc/b -p /run/x -S /s -x sockpair@3 -sf 12 13 -L n"
    found = parse_arguments([*words.split(), "--", "c.cfg"])
    assert found.configurations == ("/srv/a.cfg", "/etc/b", "/srv/c.cfg")
    assert found.kept == ["-W"]
    assert found.others == ("-W", "-C", "/srv", "-S", "/s", "-L", "n")
    assert found.has_master
    assert found.folder == "/srv"
    turned_off = parse_arguments(["haproxy", "-x", "/dev/null", "-D", "-f"])
    assert turned_off.others == ("-x", "/dev/null", "-D", "-f")
    assert not turned_off.has_master


def test_the_master_of_the_unit_comes_before_others() -> None:
    container = process(100, "haproxy", user=99)
    worker = process(414, *RUNNING, parent=412, user=105)
    master = process(412, *RUNNING, nofile="-")
    listed = processes(container + worker + master + "garbage\n1 2 3 4 x\n")
    assert [each.pid for each in listed] == [100, 414, 412]
    assert listed[2].nofile is None
    for unit, pid in (("412\n", 412), ("100", 100), ("0", 412), ("", 412)):
        main = main_process(listed, unit)
        assert main is not None
        assert main.pid == pid
    assert main_process([], "412") is None


def test_processes_of_this_host_are_listed() -> None:
    answer = Remote(shell).ask({"processes": PROCESSES})["processes"]
    assert not answer.problem
    assert len(processes(answer.text)) == len(answer.text.splitlines())


@given(st.text(), st.lists(st.text()))
def test_no_unit_and_no_arguments_make_it_fall_over(text: str, words: list[str]) -> None:
    service = parse_unit(f"[Service]\n{text}")
    assert isinstance(service.words(service.variables([text])), list)
    assert isinstance(service.kept, dict)
    assert isinstance(processes(text), list)
    assert isinstance(parse_arguments(words).kept, list)
