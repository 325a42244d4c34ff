"""Steps of scenarios: their forms, their order, and the sentence about a mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.scenario import load_scenario, presence
from hatester.matrix.steps import Add, Check, Drop, Free, Pass, Reload, Wait
from hatester.util.errors import UserError
from tests.factories.own_scenario import HEAD, SCENARIOS, STARTED, V4, folder, write

__all__ = ["folder"]


def test_times_repeats_a_step(folder: Path) -> None:
    long = "{configuration: without, after: 0.5"
    short = write(folder, f"{STARTED}- reload: {long}, times: 3}}\n- wait: reported")
    written = write(folder, STARTED + f"- reload: {long}}}\n" * 3 + "- wait: {until: reported}")
    assert short.steps == written.steps
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


RELOADED = "start: with; reload: {configuration: with, times: 3}"
RACING = "{after: racing}"


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        # Entries that are not steps.
        ("strat: with", "step 1: there is no key 'strat'; did you mean start? (there are: start, "
            "start SERVER, stop, stop SERVER, restart, reload, check, wait, "),
        ("{start: with, check: }", "step 1: a step is one verb (start, start SERVER, stop, "),
        ("", "step 1: a step is one verb"),
        ("[start]", "step 1: expected keys (start, start SERVER, stop, "),
        ("start: with; check: {afer: 2}", "step 2: check: there is no key 'afer'; did you mean a"),
        ("start: with; check: 2", "step 2: check: expected keys (after), got '2'"),
        ("start: with; reload: {after: 2}", "step 2: reload: configuration: this key is missing"),
        ("start: {configuration: with, after: 1}", "step 1: start: there is no key 'after'"),
        ("start: with; wait: {until: steady, after: 1}", "step 2: wait: there is no key 'after'"),
        ("remove: {address: 192.168.42.43}", "step 1: remove: there is no key 'address'"),
        ("wait: ready", "step 1: wait: until: expected retrying, reported, steady or a time such "
            "as 14s, got 'ready'"),
        ("add: [x]", "step 1: add: expected keys (what, after), got ['x']"),
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
        ("start: {configuration: with, may: fall}", "step 1: start: may: expected 'fail'"),
        ("stop", "step 1: stop: HAProxy is not started yet"),
        ("restart: with", "step 1: restart: HAProxy is not started yet"),
        ("start: with; stop; stop", "step 3: stop: HAProxy is stopped"),
        ("start: with; stop; reload: with", "step 3: reload: HAProxy is stopped"),
        ("start: with; restart: wiht", "step 2: restart: there is no 'wiht'; did you mean with"),
        (f"{RELOADED}; wait: 2h", "step 3: wait: until: expected retrying, reported, steady or a "
            "time such as 14s, got '2h'"),
        ("start: with; second: x", "step 2: second: there is no 'x' (there are: with, without)"),
        ("second: with; second: with", "step 2: second: a second HAProxy runs already"),
        ("stop: 10.0.0.5:8080", "step 1: stop: there is no '10.0.0.5:8080' (there are: "),
        ("upgrade", "step 1: upgrade: HAProxy is not started yet"),
        ("ask: show info", "step 1: ask: HAProxy is not started yet"),
        ("start: with; ask: show info", "step 2: ask: with.cfg has no stats socket in `global`"),
        ("start: with; ask: {command: show proc, socket: master}", "step 2: ask: socket: a master "
            "has one by cli and systemd only; add `needs: {methods: [cli]}`"),
        ("ask: ''", "step 1: ask: command: expected a line of text, got ''"),
        ("drop: lb1", "step 1: drop: what: 'lb1' is not an address such as 10.0.0.5"),
        ("drop: 10.0.0.5; drop: 10.0.0.5", "step 2: drop: '10.0.0.5' is dropped already"),
        ("pass: 10.0.0.5", "step 1: pass: '10.0.0.5' is not dropped (dropped: nothing)"),
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
        # Races with a reload whose length is not known.
        (f"check: {RACING}", "step 1: check: HAProxy is not started yet"),
        ("occupy: {what: '*:90', after: racing}", "step 1: occupy: after: how long a reload"),
        (f"start: with; check: {RACING}", "step 2: check: after: how long a reload"),
        (f"start: with; reload: with; check: {RACING}", "step 3: check: after: how long a reload"),
        # None of these waits until the reload was observed to its end.
        (f"start: with; reload: with; wait: retrying; check: {RACING}", "step 4: check: after: h"),
        (f"start: with; reload: with; wait: reported; check: {RACING}", "step 4: check: after: h"),
        (f"start: with; reload: with; check: {{after: 1}}; check: {RACING}",
            "step 4: check: after: how"),
        ("start: with; check; reload: {configuration: with, after: racing}",
            "step 3: reload: after: how"),
        # Its length is known then, but it is over.
        (f"start: with; reload: with; check; check: {RACING}",
            "step 4: check: after: HAProxy is not"),
        (f"start: with; reload: with; wait: steady; check: {RACING}",
            "step 4: check: after: HAProxy is not"),
        ("start: with; reload: with; wait: steady; remove: {what: 192.168.42.43, after: racing}",
            "step 4: remove: after: HAProxy is not reloading"),
    ],
)  # fmt: skip
def test_mistake_names_file_and_step(folder: Path, steps: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        write(folder, HEAD + "".join(f"- {step}\n" for step in steps.split("; ")))
    assert str(caught.value).startswith(f"{folder / 'scenario.yml'}: steps: {sentence}")
    assert len(str(caught.value).splitlines()) == 1


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
def test_racing_after_an_observed_reload(folder: Path, race: str) -> None:
    story = f"reload: with; reload: with; {race}; reload: with"
    scenario = write(folder, STARTED + "".join(f"- {step}\n" for step in story.split("; ")))
    racing = [step for step in scenario.steps if step.after == "racing"]
    assert len(racing) == (3 if "times" in race else 1)


def test_what_was_undone_can_be_done_again(folder: Path) -> None:
    steps = ["occupy: '*:90'", "free: '*:90'", "break: with.http", "mend: with.http"]
    story = [*steps, *steps, "start: with", "reload: with"]
    assert len(write(folder, HEAD + "".join(f"- {step}\n" for step in story)).steps) == 10


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
def test_any_steps_are_read_or_refused(shared: Path, steps: list[object]) -> None:
    refusal = None
    try:
        write(shared, content(steps))
    except UserError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(f"{shared / 'scenario.yml'}: steps: ")


@given(st.lists(SENSIBLE, max_size=6))
def test_sensible_story_is_read(shared: Path, parts: list[list[object]]) -> None:
    story = [{"start": "with"}, *(step for part in parts for step in part), {"reload": "with"}]
    scenario = write(shared, content(story))
    reloads = [n for n, step in enumerate(scenario.steps, 1) if isinstance(step, Reload)]
    found = presence(scenario)
    assert [*found][1:] == reloads
    # Every change was undone.
    assert [bind.label for bind in found[reloads[-1]].throughout] == [V4[0], V4[1], "*:81"]


@given(st.lists(st.tuples(st.sampled_from(["drop", "pass"]), st.sampled_from("12")), max_size=8))
def test_what_is_taken_away_is_given_back_before_it_is_taken_again(
    steps: list[tuple[str, str]],
) -> None:
    world = load_scenario(SCENARIOS / "lost-address").world()
    away: set[str] = set()
    for verb, number in steps:
        step = Drop(what=f"10.0.0.{number}") if verb == "drop" else Pass(what=f"10.0.0.{number}")
        if (verb == "drop") is (number in away):
            with pytest.raises(UserError, match=rf"^{verb}: '10.0.0.{number}' is "):
                world.take(step)
            return
        world.take(step)
        away ^= {number}
        assert world.dropped == {f"10.0.0.{each}" for each in away}
