"""The plan: the cells that are selected, their order, what is left out, and wrong names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.declarations import METHODS, Build, Matrix, Selection, Setting, load_matrix
from hatester.matrix.plan import Cell, Wanted, make_plan, unfit
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from tests.factories.project import copy_matrix

DEFAULT = load_matrix(MATRIX)
FULL = load_matrix(MATRIX, "full")


def ids(wanted: Wanted) -> list[str]:
    return [cell.id for cell in make_plan(DEFAULT, wanted).cells]


def test_by_default_two_settings_and_two_scenarios_make_a_hundred_cells() -> None:
    everything = ids(Wanted())
    assert len(everything) == len(set(everything)) == 100
    assert everything[0] == "5.10/2.2/plain/lost-address/signal"
    assert everything[1] == "5.10/2.2/plain/address-returns/signal"


@pytest.mark.parametrize("matrix", [DEFAULT, FULL], ids=["default", "full"])
def test_cells_of_a_kernel_come_together_and_each_once(matrix: Matrix) -> None:
    plan = make_plan(matrix, Wanted())
    kernels = [cell.kernel for cell in plan.cells]
    assert kernels == sorted(kernels, key=plan.kernels.index)
    assert len(set(plan.cells)) == len(plan.cells)


def test_full_has_all_of_the_default_and_what_makes_sense_of_the_rest() -> None:
    full, default = make_plan(FULL, Wanted()), make_plan(DEFAULT, Wanted())
    assert set(default.cells) < set(full.cells)
    assert set(default.scenarios) < set(full.scenarios)
    assert {cell.scenario for cell in full.cells} == set(FULL.scenarios)
    assert {cell.method for cell in full.cells} == set(METHODS)
    assert {reason for _, reason in full.left_out} == {
        "migrate-req needs Linux 5.14 or later, and 5.10 is 5.10",
        "idle-keepalive-kept needs HAProxy >=2.4, and 2.2 is 2.2",
        *(f"quic needs HAProxy >=3.2, and {name} is {name}" for name in ("2.2", "2.6", "3.0")),
        "no-fd-passing needs HAProxy 3.0 or later, and 2.2 is 2.2",
        "no-fd-passing needs HAProxy 3.0 or later, and 2.6 is 2.6",
    }


def test_flags_select_and_a_name_given_twice_counts_once() -> None:
    wanted = Wanted(["6.1", "6.1"], ["2.2"], ["plain"], ["lost-address"])
    assert ids(wanted) == ["6.1/2.2/plain/lost-address/signal"]


def test_a_flag_replaces_its_axis_in_every_selection() -> None:
    plan = make_plan(FULL, Wanted(kernels=["6.1"], haproxy=["3.2"], methods=["cli"]))
    # All scenarios are plain; three have all settings, and three have two more.
    assert len(plan.cells) == len(FULL.scenarios) + 3 * (len(FULL.settings) - 1) + 3 * 2
    assert {cell.method for cell in plan.cells} == {"cli"}


def test_patterns_include_and_exclude() -> None:
    only = ["6.1/*/lost-address/*", "7.3/2.2/*/lost-address/*"]
    assert ids(Wanted(only=only, skip=["*/nonlocal-bind/*", "6.1/3.*"])) == [
        "6.1/2.2/plain/lost-address/signal",
        "6.1/2.6/plain/lost-address/signal",
        "7.3/2.2/plain/lost-address/signal",
    ]


@given(st.sets(st.sampled_from(ids(Wanted())), min_size=1))
def test_an_id_selects_the_cell_that_it_names(some: set[str]) -> None:
    assert set(ids(Wanted(only=sorted(some)))) == some


def some(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=3)


SELECTIONS = st.builds(
    Selection,
    kernels=some(*DEFAULT.kernels),
    haproxy=some("2.2", "3.0"),
    settings=some("plain", "nonlocal-bind"),
    scenarios=some("lost-address", "address-returns"),
    methods=some(*METHODS),
)


def is_in(cell: Cell, selection: Selection) -> bool:
    return (
        cell.kernel in selection.kernels
        and cell.build in selection.haproxy
        and cell.setting in selection.settings
        and cell.scenario in selection.scenarios
        and cell.method in selection.methods
    )


@given(st.lists(SELECTIONS, min_size=1, max_size=3))
def test_the_cells_are_the_union_of_the_selections(selections: list[Selection]) -> None:
    matrix = dataclasses.replace(DEFAULT, selections=tuple(selections))
    plan = make_plan(matrix, Wanted())
    wanted = Wanted(
        list(DEFAULT.kernels), ["2.2", "3.0"], ["plain", "nonlocal-bind"],
        ["lost-address", "address-returns"], list(METHODS),
    )  # fmt: skip
    every = make_plan(DEFAULT, wanted).cells
    assert set(plan.cells) == {
        cell for cell in every if any(is_in(cell, each) for each in selections)
    }
    assert len(set(plan.cells)) == len(plan.cells)
    kernels = [cell.kernel for cell in plan.cells]
    assert kernels == sorted(kernels, key=plan.kernels.index)


def test_only_what_was_asked_for_is_reported_as_left_out() -> None:
    wanted = Wanted(
        settings=["plain", "migrate-req"], scenarios=["lost-address"],
        only=["*/3.0/*"], skip=["6.1/*"],
    )  # fmt: skip
    plan = make_plan(DEFAULT, wanted)
    reason = "migrate-req needs Linux 5.14 or later, and 5.10 is 5.10"
    assert [(cell.id, why) for cell, why in plan.left_out] == [
        ("5.10/3.0/migrate-req/lost-address/signal", reason)
    ]
    assert not set(plan.cells) & {cell for cell, _ in plan.left_out}
    assert len(plan.cells) == 2 * 4 - 1


def test_a_kernel_that_declares_no_version_keeps_its_cells() -> None:
    kernels = {
        name: kernel.model_copy(update={"version": None})
        for name, kernel in DEFAULT.kernels.items()
    }
    plan = make_plan(
        dataclasses.replace(DEFAULT, kernels=kernels), Wanted(settings=["migrate-req"])
    )
    assert not plan.left_out
    assert "5.10" in plan.kernels


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted(kernels=["6.2"]), "--kernel: there is no '6.2'; did you mean "),
        (Wanted(haproxy=["9"]), r"--haproxy: there is no '9' \(there are: 2.2, 2.6, 3.0, 3.2, 3.4"),
        (Wanted(settings=["plian"]), "--setting: there is no 'plian'; did you mean plain"),
        (Wanted(scenarios=["x"]), r"--scenario: there is no 'x' \(there are: address-returns, "),
        (Wanted(methods=["sig"]), "--method: there is no 'sig'; did you mean signal"),
        (Wanted(only=["9/*"]), r"--only: '9/\*' matches none of the 100 selected cells, such as 5"),
        (Wanted(skip=["9/*"]), r"--skip: '9/\*' matches none"),
        (Wanted(skip=["*"]), "No cell is left: --skip leaves out everything that is selected"),
        (
            Wanted(kernels=["5.10"], settings=["migrate-req"]),
            r"^No cell is left: migrate-req needs Linux 5\.14 or later, and 5\.10 is 5\.10\.$",
        ),
    ],
)
def test_a_wrong_name_is_reported_with_the_choices(wanted: Wanted, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_plan(DEFAULT, wanted)


def test_systemd_is_left_out_where_there_is_no_unit() -> None:
    wanted = Wanted(["6.1"], ["3.0", "docker://haproxy:1.8.26"], methods=["signal", "systemd"])
    plan = make_plan(DEFAULT, wanted)
    assert plan.builds == ["3.0", "haproxy-1.8.26"]
    assert {(cell.build, cell.method) for cell in plan.cells} == {
        ("3.0", "signal"), ("3.0", "systemd"), ("haproxy-1.8.26", "signal"),
    }  # fmt: skip
    assert {reason for _, reason in plan.left_out} == {
        "systemd needs HAProxy's packaged unit, and haproxy-1.8.26 has none"
    }


def why(
    setting: Setting,
    linux: str | None = None,
    haproxy: str | None = None,
    method: str = "soft-finish",
) -> str | None:
    """Return the reason why a cell of kernel K, build B and setting S is left out."""
    build = Build(suite="sid")
    return unfit(Cell("K", "B", "S", "lost-address", method), setting, build, linux, haproxy)


@pytest.mark.parametrize(
    ("version", "first", "is_fit"),
    [
        ("5.10", "5.14", False),
        ("5.10.251-1", "5.14", False),
        ("5.10.0-39-cloud-amd64", "5.14", False),
        ("5.14", "5.14", True),
        ("5.15.0-1+b1", "5.14", True),
        ("6.1", "5.14", True),
        ("6.12.90+deb12-cloud-amd64", "6.1", True),
        ("6.12.90+deb12-cloud-amd64", "6.12.91", False),
        ("6.12~rc3-1~exp1", "6.12", True),
        ("6", "6.1", True),
        ("6.1", "6.1.5", True),
        ("6.1.5", "6.1", True),
        ("6.1.4", "6.1.5", False),
        ("1:3.2.26-1+b2", "3.0", True),
        ("1:3.2.26-1+b2", "3.4", False),
        ("2:1.9", "2.0", False),
        ("3.10", "3.2", True),
        ("unheard-of", "3.2", True),
        (None, "9.9", True),
    ],
)
def test_a_version_fits_when_no_number_of_it_is_known_to_be_older(
    version: str | None, first: str, is_fit: bool
) -> None:
    assert (why(Setting(linux=first), linux=version) is None) is is_fit
    assert (why(Setting(haproxy=first), haproxy=version) is None) is is_fit


NUMBERS = st.lists(st.integers(0, 20), min_size=1, max_size=4)


def dotted(numbers: list[int]) -> str:
    return ".".join(str(number) for number in numbers)


@given(NUMBERS, NUMBERS)
def test_of_two_versions_at_most_one_is_older(one: list[int], other: list[int]) -> None:
    fits = why(Setting(linux=dotted(other)), linux=dotted(one)) is None
    fits_the_other_way = why(Setting(linux=dotted(one)), linux=dotted(other)) is None
    begins_alike = all(a == b for a, b in zip(one, other, strict=False))
    assert (fits, fits_the_other_way) == (
        (True, True) if begins_alike else (one > other, other > one)
    )


@given(
    st.sampled_from(["", "1:", "12:"]),
    NUMBERS,
    st.sampled_from(["", "-1", "-1+b2", "~rc1-1", "+deb12-cloud-amd64", "-50-cloud-amd64"]),
    NUMBERS,
)
def test_epochs_and_revisions_do_not_count(
    epoch: str, numbers: list[int], revision: str, first: list[int]
) -> None:
    setting = Setting(haproxy=dotted(first))
    bare = why(setting, haproxy=dotted(numbers))
    packaged = why(setting, haproxy=f"{epoch}{dotted(numbers)}{revision}")
    assert (packaged is None) is (bare is None)


@pytest.mark.parametrize(
    ("setting", "linux", "haproxy", "method", "sentence"),
    [
        (Setting(), "2.6.32", "1.8.26", "signal", None),
        (Setting(), None, "1.7", "signal", "signal needs HAProxy 1.8 or later, and B is 1.7"),
        (Setting(), None, "1.8.26", "cli", "cli needs HAProxy 1.9 or later, and B is 1.8.26"),
        (Setting(), None, "1.7", "systemd", "systemd needs HAProxy 1.8 or later, and B is 1.7"),
        (Setting(), None, "1.5", "soft-finish", None),
        (Setting(linux="5.14"), "5.10", "3.0", "cli", "S needs Linux 5.14 or later, and K is 5.10"),
        (Setting(haproxy="3.0"), "6.1", "2.6", "cli", "S needs HAProxy 3.0 or later, and B is 2.6"),
        (
            Setting(methods=("signal", "cli")), None, None, "soft-finish",
            "S makes no difference by soft-finish, only by signal, cli",
        ),
    ],
)  # fmt: skip
def test_the_reason_names_what_is_needed_and_what_is_there(
    setting: Setting, linux: str | None, haproxy: str | None, method: str, sentence: str | None
) -> None:
    assert why(setting, linux, haproxy, method) == sentence


def content_sum(folder: Path) -> str:
    wanted = Wanted(settings=["plain"], scenarios=["hitless"])
    return make_plan(load_matrix(folder), wanted).sum_content()


@pytest.mark.parametrize(
    ("file", "is_other"),
    [
        ("scenarios/hitless/scenario.yml", True),
        ("scenarios/hitless/with.cfg", True),
        ("scenarios/recovery/with.cfg", False),
        ("kernels.yml", False),
    ],
)
def test_the_sum_of_a_plan_is_that_of_the_scenarios_it_has(
    tmp_path: Path, file: str, is_other: bool
) -> None:
    folders = [copy_matrix(tmp_path / name) / "matrix" for name in "ab"]
    with (folders[1] / file).open("a") as opened:
        opened.write("# changed\n")
    first, second = map(content_sum, folders)
    assert (first != second) is is_other


def test_the_sum_of_a_plan_is_that_of_the_settings_it_has(tmp_path: Path) -> None:
    folder = copy_matrix(tmp_path) / "matrix"
    before = content_sum(folder)
    text = (folder / "settings.yml").read_text()
    (folder / "settings.yml").write_text(f"{text}\n  further: {{nofile: 5000}}\n")
    assert content_sum(folder) == before
    (folder / "settings.yml").write_text("settings: {plain: {nofile: 5000}}\n")
    for selection in ("default.yml", "full.yml"):
        (folder / selection).write_text(
            "{kernels: ['6.1'], haproxy: ['2.2'], settings: [plain], scenarios: [hitless], "
            "methods: [signal]}"
        )
    assert content_sum(folder) != before
