"""Scenarios: the stories of those that there are, and what is said of one with a mistake."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.scenario import Scenario, load_scenario, presence
from hatester.matrix.steps import Add, Check, Free, Reload, Step, Wait
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX

SCENARIOS = MATRIX / "scenarios"
STORIES = {
    "lost-address": "start with, check, remove 192.168.42.43, reload without, check, reload with, "
    "check",
    "address-returns": "start with, check, remove 192.168.42.43, reload without, check, "
    "reload with, wait retrying, add 192.168.42.43 after 1, check",
    "port-taken": "start without, check, occupy 192.168.42.43:80, reload with, check",
    "port-freed": "start without, check, occupy 192.168.42.43:80, reload with, "
    "wait retrying, free 192.168.42.43:80 after 1, check",
    "recovery": "start without, check, reload with, check, add 192.168.42.43, reload with, check",
    "syntax-error": "start with, check, reload broken, check, reload with, check",
    "missing-certificate": "start with, check, reload secure, check, reload with, check",
    "hitless": "start with, check, " + 10 * "reload with, " + "check",
    "lost-address-v6": "start with, check, remove fd00:42::43, reload without, check, "
    "reload with, check",
    "tentative-v6": "start without, check, add fd00:42::43/64, reload with, check",
    "device-recreated": "start with, check, reload with, check, remove dummy0, add dummy0, "
    "reload with, check",
    "reload-storm": "start with, check, reload with, reload with, "
    + 9 * "reload with after racing, "
    + "wait steady, reload with, check",
}


def describe(step: Step) -> str:
    """Return a step in a few words; when a check comes matters to no other step."""
    fields = step.model_dump(exclude_defaults=True)
    after = fields.pop("after", None)
    words = [step.verb, *(str(value) for value in fields.values())]
    if after is not None and not isinstance(step, Check):
        words += ["after", after if isinstance(after, str) else f"{after:g}"]
    return " ".join(words)


def load(name: str) -> Scenario:
    return load_scenario(SCENARIOS / name)


def test_every_scenario_has_its_story_here() -> None:
    assert {path.name for path in SCENARIOS.iterdir()} == set(STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_a_scenario_tells_its_story(name: str) -> None:
    scenario = load(name)
    assert ", ".join(describe(step) for step in scenario.steps) == STORIES[name]
    assert scenario.description


@pytest.mark.parametrize("name", STORIES)
def test_every_configuration_answers_with_its_name(name: str) -> None:
    scenario = load(name)
    for configuration in scenario.configurations:
        # HTTP's lines end with a carriage return, and HAProxy sends the file as it is.
        head, _, body = scenario.files[f"{configuration}.http"].partition("\r\n\r\n")
        assert head.split("\r\n")[0] == "HTTP/1.0 200 OK"
        assert "\n" not in head.replace("\r\n", "")
        assert body == f"OK - {configuration}\n"
        text = scenario.files[f"{configuration}.cfg"]
        assert re.findall(r"/etc/haproxy/(\S+)\.http", text) == [configuration]


V4 = ["192.168.42.43:80", "192.168.42.44:80", "192.168.42.45:80", "*:81"]
V6 = ["fd00:42::43:80", "fd00:42::44:80", "fd00:42::45:80", "*:81"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lost-address", {4: V4[1:], 6: V4[1:]}),
        ("address-returns", {4: V4[1:], 6: V4[1:]}),
        ("port-freed", {4: V4}),
        ("recovery", {3: V4[1:], 6: V4}),
        ("missing-certificate", {3: V4, 5: V4}),
        ("hitless", dict.fromkeys(range(3, 13), V4)),
        ("lost-address-v6", {4: V6[1:], 6: V6[1:]}),
        ("tentative-v6", {4: V6}),
        ("device-recreated", {3: V4, 7: V4}),
        ("reload-storm", {**dict.fromkeys(range(3, 14), V4), 15: V4}),
    ],
)
def test_what_is_present_at_each_reload(name: str, expected: dict[int, list[str]]) -> None:
    scenario = load(name)
    found = {
        number: sorted(bind.label for bind in there.throughout)
        for number, there in presence(scenario).items()
        if isinstance(scenario.steps[number - 1], Reload)
    }
    assert found == {number: sorted(labels) for number, labels in expected.items()}


def test_what_comes_back_while_a_reload_is_observed_is_there_in_the_end() -> None:
    scenario = load("address-returns")
    found = next(
        there
        for number, there in reversed(presence(scenario).items())
        if isinstance(scenario.steps[number - 1], Reload)
    )
    assert {*found.finally_} - {*found.throughout} == {scenario.binds[0]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a scenario in which .44 is tied to dummy0, and whose steps are yet to be written."""
    folder = Path(shutil.copytree(SCENARIOS / "lost-address", tmp_path / "mine"))
    for name in ("with.cfg", "without.cfg"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(".44:80", ".44:80 interface dummy0"))
    return folder


HEAD = "description: x\naddresses: [192.168.42.43/32, 192.168.42.44/32, 192.168.42.45/32]\nsteps:\n"
STARTED = HEAD + "- start: with\n"


def write(folder: Path, content: str) -> Scenario:
    (folder / "scenario.yml").write_text(content)
    return load_scenario(folder)


@pytest.mark.parametrize(
    ("after_the_reload", "lost"),
    [
        ("- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- remove: {what: 192.168.42.45, after: 1}\n- add: 192.168.42.45", {".45"}),
        ("- wait: reported\n- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- check: {after: 0}\n- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- remove: {what: dummy0, after: 0}", {".43", ".44", ".45"}),
        # A step that waits for the end of the observation is not part of it, nor are later steps.
        ("- remove: 192.168.42.45", set()),
        ("- check\n- remove: {what: 192.168.42.45, after: 1}", set()),
        ("- wait: steady\n- remove: {what: 192.168.42.45, after: 1}", set()),
    ],
)  # fmt: skip
def test_what_is_taken_away_while_a_reload_is_observed_is_not_present(
    folder: Path, after_the_reload: str, lost: set[str]
) -> None:
    scenario = write(folder, f"{STARTED}- reload: with\n{after_the_reload}")
    labels = {bind.label for bind in presence(scenario)[2].throughout}
    assert set(V4) - labels == {f"192.168.42{end}:80" for end in lost}


def test_what_a_later_reload_loses_an_earlier_one_had(folder: Path) -> None:
    steps = "- reload: with\n- reload: {configuration: with, after: 1}\n"
    scenario = write(folder, f"{STARTED}{steps}- remove: {{what: 192.168.42.45, after: 1}}")
    found = presence(scenario)
    assert {*found[2].throughout} - {*found[3].throughout} == {scenario.binds[2]}


def test_the_interface_comes_back_with_the_addresses_that_it_had(folder: Path) -> None:
    steps = [
        "remove: 192.168.42.45", "remove: dummy0", "reload: with", "add: dummy0", "reload: with",
        "add: 192.168.42.45/24", "reload: with",
    ]  # fmt: skip
    scenario = write(folder, STARTED + "\n".join(f"- {step}" for step in steps))
    found = presence(scenario)
    assert [[bind.label for bind in found[number].throughout] for number in (4, 6, 8)] == [
        ["*:81"], [V4[0], V4[1], "*:81"], V4,
    ]  # fmt: skip


def test_a_wildcard_tied_to_the_interface_goes_with_it(folder: Path) -> None:
    (folder / "with.cfg").write_text("frontend x\n bind *:82 interface dummy0\n bind *:83\n")
    scenario = write(folder, f"{STARTED}- remove: dummy0\n- reload: with")
    assert [bind.label for bind in presence(scenario)[3].throughout] == ["*:83", "*:81"]


def test_times_is_the_same_as_writing_the_step_so_often(folder: Path) -> None:
    long = "{configuration: without, after: 0.5"
    short = write(folder, f"{STARTED}- reload: {long}, times: 3}}\n- wait: reported")
    written = write(folder, STARTED + f"- reload: {long}}}\n" * 3 + "- wait: {until: reported}")
    assert short == written
    reload = Reload(configuration="without", after=0.5)
    assert short.steps[1:] == (reload, reload, reload, Wait(until="reported"))


def test_short_and_long_forms_mean_the_same(folder: Path) -> None:
    short = ["occupy: '[::]:80'", "start: with", "free: '[::]:80'", "check", "add: 192.168.42.46",
             "reload: with"]  # fmt: skip
    long = ["occupy: {what: ':::80'}", "start: {configuration: with}", "free: {what: '[0::0]:80'}",
            "check: {}", "add: {what: 192.168.42.46}", "reload: {configuration: with}"]  # fmt: skip
    scenarios = [write(folder, HEAD + "".join(f"- {s}\n" for s in form)) for form in (short, long)]
    assert scenarios[0] == scenarios[1]
    assert scenarios[0].steps[2:5] == (Free(what=":::80"), Check(), Add(what="192.168.42.46"))


def test_the_interface_and_the_probes_interval_can_be_chosen(folder: Path) -> None:
    story = f"{STARTED}- reload: with"
    assert (write(folder, story).interface, write(folder, story).probe_interval) == ("dummy0", None)
    scenario = write(folder, f"interface: veth0\nprobe_interval: 0.005\n{story}")
    assert (scenario.interface, scenario.probe_interval) == ("veth0", 0.005)


RELOADED = "start: with; reload: {configuration: with, times: 3}"


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        # Entries that are not steps.
        ("strat: with", "step 1: there is no key 'strat'; did you mean start? (there are: start, "
            "reload, check, wait, add, remove, occupy, free, break, mend)"),
        ("{start: with, check: }", "step 1: a step is one verb (start, reload, check, "),
        ("", "step 1: a step is one verb"),
        ("[start]", "step 1: here belong keys (start, reload, "),
        ("start: with; check: {afer: 2}", "step 2: check: there is no key 'afer'; did you mean a"),
        ("start: with; check: 2", "step 2: check: here belong keys (after), not '2'"),
        ("start: with; reload: {after: 2}", "step 2: reload: configuration: this key is missing"),
        ("start: {configuration: with, after: 1}", "step 1: start: there is no key 'after'"),
        ("start: with; wait: {until: steady, after: 1}", "step 2: wait: there is no key 'after'"),
        ("remove: {address: 192.168.42.43}", "step 1: remove: there is no key 'address'"),
        ("wait: ready", "step 1: wait: until: expected 'retrying', 'reported' or 'stead"),
        ("add: [x]", "step 1: add: here belong keys (what, after), not ['x']"),
        # Times.
        ("start: with; check: {after: soon}", "step 2: check: after: expected a number"),
        ("check: {after: -1}", "step 1: check: after: expected at least 0"),
        ("check: {after: 601}", "step 1: check: after: expected at most 600"),
        ("check: {after: nan}", "step 1: check: after: expected a finite number"),
        ("reload: {configuration: with, times: 0}", "step 1: reload: times: expected at "
            "least 1, got '0'"),
        (f"{RELOADED}; check: {{after: 2}}; add: {{what: 192.168.42.46, after: 1.5}}",
            "step 4: add: after: time cannot run back to 1.5 s from the 2 s of a step before"),
        (f"{RELOADED}; check: {{after: 2}}; check; reload: {{configuration: with, after: 1}}",
            "step 5: reload: after: time cannot run back to 1 s from the 2 s"),
        ("remove: {what: 192.168.42.43, after: 0}", "step 1: remove: after: HAProxy is not "
            "started yet; nothing can be after it"),
        # The order of things.
        ("reload: with", "step 1: reload: HAProxy is not started yet"),
        ("check", "step 1: check: HAProxy is not started yet"),
        ("wait: steady", "step 1: wait: HAProxy is not started yet"),
        (f"{RELOADED}; start: with", "step 3: start: HAProxy is started already"),
        ("start: with; check", "HAProxy is never reloaded"),
        # Removals of missing things, and additions of those that exist.
        ("start: wiht", "step 1: start: there is no 'wiht'; did you mean with"),
        ("start: with; reload: x", "step 2: reload: there is no 'x' (there are: with, without)"),
        ("remove: 192.168.42.46", "step 1: remove: there is no '192.168.42.46'; did you mean 192."),
        ("remove: 192.168.42.43; remove: 192.168.42.43", "step 2: remove: there is no '192.168."),
        ("remove: dummy0; remove: dummy0", "step 2: remove: there is no 'dummy0' (there are: none"),
        ("remove: veth0", "step 1: remove: there is no 'veth0' (there are: 192.168.42.43, "
            "192.168.42.44, 192.168.42.45, dummy0)"),
        ("add: 192.168.42.43/24", "step 1: add: 192.168.42.43 is there already"),
        ("add: dummy0", "step 1: add: dummy0 is there already"),
        ("add: veth0", "step 1: add: 'veth0' is neither an address such as 192.168.42.43 nor "
            "dummy0"),
        ("remove: dummy0; add: 192.168.42.43", "step 2: add: there is no dummy0 to add "
            "192.168.42.43 to"),
        ("occupy: 192.168.42.43", "step 1: occupy: what: '192.168.42.43' is not an address and "
            "port such as 192.168.42.43:80"),
        ("occupy: 192.168.42.43:65536", "step 1: occupy: what: '192.168.42.43:65536' is not an"),
        ("free: 192.168.42:80", "step 1: free: what: '192.168.42:80' is not an address and port"),
        ("occupy: 192.168.42.46:80", "step 1: occupy: there is no '192.168.42.46'; did you mean"),
        ("occupy: '*:80'; occupy: '*:80'", "step 2: occupy: *:80 is occupied already"),
        ("free: '*:80'", "step 1: free: '*:80' is not occupied (occupied: nothing)"),
        ("occupy: '*:80'; free: '*:81'", "step 2: free: '*:81' is not occupied (occupied: *:80)"),
        ("break: site.pem", "step 1: break: there is no 'site.pem' (there are: with.cfg, "
            "with.http, without.cfg, without.http)"),
        ("break: with.http; break: with.http", "step 2: break: 'with.http' is broken already"),
        ("mend: with.htpt", "step 1: mend: there is no 'with.htpt'; did you mean with.http?"),
        ("mend: with.http", "step 1: mend: 'with.http' is not broken (broken: nothing)"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_and_the_step(folder: Path, steps: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        write(folder, HEAD + "".join(f"- {step}\n" for step in steps.split("; ")))
    assert str(caught.value).startswith(f"{folder / 'scenario.yml'}: steps: {sentence}")
    assert len(str(caught.value).splitlines()) == 1


RACING = "{after: racing}"


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (f"check: {RACING}", "step 1: check: HAProxy is not started yet"),
        ("occupy: {what: '*:90', after: racing}", "step 1: occupy: after: how long a reload"),
        (f"start: with; check: {RACING}", "step 2: check: after: how long a reload"),
        (f"start: with; reload: with; check: {RACING}", "step 3: check: after: how long a reload"),
        # None of these waits until the reload was observed to its end.
        (
            f"start: with; reload: with; wait: retrying; check: {RACING}",
            "step 4: check: after: how",
        ),
        (
            f"start: with; reload: with; wait: reported; check: {RACING}",
            "step 4: check: after: how",
        ),
        (
            f"start: with; reload: with; check: {{after: 1}}; check: {RACING}",
            "step 4: check: after: how",
        ),
        (
            "start: with; check; reload: {configuration: with, after: racing}",
            "step 3: reload: after: how",
        ),
        # Its length is known then, but it is over.
        (
            f"start: with; reload: with; check; check: {RACING}",
            "step 4: check: after: HAProxy is not",
        ),
        (
            f"start: with; reload: with; wait: steady; check: {RACING}",
            "step 4: check: after: HAProxy is not",
        ),
        (
            "start: with; reload: with; wait: steady; remove: {what: 192.168.42.43, after: racing}",
            "step 4: remove: after: HAProxy is not reloading",
        ),
    ],
)
def test_a_step_races_only_with_a_reload_whose_length_is_known(
    folder: Path, steps: str, sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        write(folder, HEAD + "".join(f"- {step}\n" for step in steps.split("; ")))
    assert str(caught.value).startswith(f"{folder / 'scenario.yml'}: steps: {sentence}")


@pytest.mark.parametrize(
    "race",
    [
        f"check: {RACING}",
        "remove: {what: 192.168.42.43, after: racing}",
        "reload: {configuration: without, after: racing, times: 3}",
        f"wait: reported; check: {RACING}",
        f"check: {{after: 0}}; check: {RACING}; check: {{after: 1}}",
    ],
)
def test_a_step_may_race_with_a_reload_after_one_that_was_observed(folder: Path, race: str) -> None:
    story = f"reload: with; reload: with; {race}; reload: with"
    scenario = write(folder, STARTED + "".join(f"- {step}\n" for step in story.split("; ")))
    racing = [step for step in scenario.steps if step.after == "racing"]
    assert len(racing) == (3 if "times" in race else 1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("addresses: []", "steps: this key is missing"),
        ("addresses: []\nsteps: []", "steps: HAProxy is never reloaded"),
        ("addresses: []\nsteps: x", "steps: expected a list of steps, got 'x'"),
        ("addresses: [y]", "addresses: 0: 'y' is not an address such as 192.168.42.43/32"),
        ("addresses: [10.0.0.1, 10.0.0.1/24]", "addresses: 10.0.0.1 comes twice"),
        ("interface: eth0", "interface: expected 'dummy0' or 'veth0', got 'eth0'"),
        ("addresses: []\nprobe_interval: 0.0009", "probe_interval: expected at least"),
        ("addresses: []\nprobe_interval: 1.1", "probe_interval: expected at most"),
        ("addresses: []\nprobe_interval: nan", "probe_interval: expected "),
    ],
)
def test_a_mistake_in_the_head_names_the_file_and_the_key(
    folder: Path, content: str, sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        write(folder, f"description: x\n{content}")
    assert str(caught.value).startswith(f"{folder / 'scenario.yml'}: {sentence}")


def test_what_was_undone_can_be_done_again(folder: Path) -> None:
    steps = ["occupy: '*:90'", "free: '*:90'", "break: with.http", "mend: with.http"]
    story = [*steps, *steps, "start: with", "reload: with"]
    assert len(write(folder, HEAD + "".join(f"- {step}\n" for step in story)).steps) == 10


def test_a_bind_without_a_port_is_named(folder: Path) -> None:
    (folder / "with.cfg").write_text("frontend x\n    bind 192.168.42.43\n")
    with pytest.raises(UserError, match=r"with\.cfg: bind 192\.168\.42\.43 has no port"):
        load_scenario(folder)


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "site.pem").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"site\.pem is not UTF-8 text"):
        load_scenario(folder)


NAMES = st.sampled_from(
    ["with", "without", "dummy0", "veth0", "192.168.42.43", "192.168.42.44/24", "fd00:42::43",
     "192.168.42.43:80", "*:80", "[::]:80", "with.http", "reported", "steady", "x", ""]
)  # fmt: skip
NUMBERS = st.sampled_from(["0", "1", "2", "0.5", "-1", "nan", "x", "1e3", "racing"])
VERBS = st.sampled_from(
    ["start", "reload", "check", "wait", "add", "remove", "occupy", "free", "break", "mend", "x"]
)
LONG_FORMS = st.fixed_dictionaries(
    {}, optional={"configuration": NAMES, "what": NAMES, "after": NUMBERS, "times": NUMBERS}
)
STEPS = st.lists(VERBS | st.dictionaries(VERBS, NAMES | LONG_FORMS, max_size=2), max_size=8)
RELOADS = [{"reload": "with"}, {"reload": {"configuration": "without", "after": "3", "times": "2"}}]
AROUND = [
    ("remove", "add", "192.168.42.43"), ("remove", "add", "dummy0"), ("add", "remove", "10.0.0.1"),
    ("occupy", "free", "*:80"), ("break", "mend", "with.http"),
]  # fmt: skip
SENSIBLE = st.sampled_from(
    [
        *([step] for step in [*RELOADS, "check", {"wait": "steady"}, {"wait": "reported"}]),
        [{"check": {"after": "1"}}, RELOADS[1]],
        *([{do: what}, reload, {undo: what}] for do, undo, what in AROUND for reload in RELOADS),
        *([RELOADS[0], {do: {"what": what, "after": "2"}}, {undo: {"what": what, "after": "2.5"}},
           RELOADS[1]] for do, undo, what in AROUND),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any") / "mine"
    return Path(shutil.copytree(SCENARIOS / "lost-address", folder))


def content(steps: list[object]) -> str:
    addresses = ["192.168.42.43/32", "192.168.42.44/32"]
    return yaml.safe_dump({"description": "x", "addresses": addresses, "steps": steps})


@given(STEPS)
def test_steps_are_refused_in_a_sentence_if_at_all(shared: Path, steps: list[object]) -> None:
    refusal = None
    try:
        write(shared, content(steps))
    except UserError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(f"{shared / 'scenario.yml'}: steps: ")


@given(st.lists(SENSIBLE, max_size=6))
def test_a_story_that_makes_sense_is_never_refused(shared: Path, parts: list[list[object]]) -> None:
    story = [{"start": "with"}, *(step for part in parts for step in part), {"reload": "with"}]
    scenario = write(shared, content(story))
    reloads = [n for n, step in enumerate(scenario.steps, 1) if isinstance(step, Reload)]
    found = presence(scenario)
    assert [*found][1:] == reloads
    # Every change was undone.
    assert [bind.label for bind in found[reloads[-1]].throughout] == [V4[0], V4[1], "*:81"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("binds: {with: {192.168.42.43: any}}", r"binds: with: 192\.168\.42\.43: .*has no port"),
        ("binds: {with: {'here:80': any}}", "'here' does not appear to be an IPv4 or IPv6 address"),
        ("binds: {with: {'*:80': maybe}}", "binds: with: .*'close' or 'connect'"),
        ("binds: {wiht: {'*:80': any}}", "binds: there is no 'wiht'; did you mean with"),
        ("servers: [backend]", "servers: 0: .*has no port"),
    ],
)
def test_what_is_said_of_addresses_is_checked(folder: Path, line: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        write(folder, f"{line}\n{STARTED}- reload: with\n")
    assert str(folder / "scenario.yml") in str(caught.value)
