"""Tables, as people see them."""

from __future__ import annotations

import re
from pathlib import Path

from hatester.analysis.findings import find
from hatester.analysis.outcomes import errors, left_out, lines, short_names
from hatester.matrix.plan import Cell
from hatester.report.tables import tables
from tests.factories.cells import cell, error, run_of
from tests.factories.evidence import A44, STATS, everywhere

GOLDEN = Path(__file__).parents[1] / "resources/tables.txt"
LABELS = ["192.168.42.44:80", "192.168.42.45:80", "*:81"]


MIXED = everywhere((1.22, 2.8, "reset"), (2.8, 3.52, "refused"))
LOST = {A44: [(2.0, 2.019, "reset"), (2.5, 2.519, "refused")], STATS: [(3.0, 3.019, "reset")]}
CELLS = [
    cell("5.10", "2.2", MIXED),
    cell("5.10", "3.0", everywhere((1.22, 3.22, "refused"))),
    cell("5.10", "3.2", {}),
    cell("6.1", "2.2", {A44: [(1.22, 9.0, "refused")]}),
    cell("6.1", "3.0", everywhere((1.22, 9.0, "refused")), reported="success"),
    cell("6.1", "3.2", {}, late=0.03),
    error("6.12", "2.2"),
    cell("6.12", "3.0", LOST),
    cell("6.1", "2.2", {A44: [(1.22, 2.2, "reset")]}, scenario="hitless", repetition=1),
    cell("6.1", "2.2", {}, scenario="hitless", repetition=2),
    cell("6.1", "2.2", {A44: [(1.22, 2.4, "reset")]}, scenario="hitless", repetition=3),
    cell("6.1", "2.2", {}, scenario="hitless", repetition=4),
    cell("6.1", "2.2", {}, scenario="hitless", repetition=5, late=0.03),
    *(
        cell(
            "6.1",
            "3.0",
            everywhere((1.22, 3.22 + number / 5, "refused")),
            scenario="hitless",
            repetition=number + 1,
        )
        for number in range(3)
    ),
]


def test_tables_are_as_in_the_golden_file() -> None:
    assert f"{tables(run_of(*CELLS))}\n\n{errors(CELLS)}\n" == GOLDEN.read_text()


def test_the_legend_is_there_only_where_it_is_needed() -> None:
    assert "~" not in tables(run_of(*CELLS[:5]))


def test_kinds_in_another_order_are_the_same_result() -> None:
    first = cell("6.1", "2.2", MIXED, repetition=1)
    mostly_refused = everywhere((1.22, 1.5, "reset"), (1.5, 3.52, "refused"))
    second = cell("6.1", "2.2", mostly_refused, repetition=2)
    assert tables(run_of(first, second)).endswith("outage 2.3 s refused+reset 2/2")


def test_errors_of_the_same_reason_are_reported_together() -> None:
    assert errors([error("6.1", "2.2"), error("6.1", "2.4")]) == (
        "not measured: 6.1/2.2/plain/lost-address/signal, 6.1/2.4/plain/lost-address/signal\n"
        "  because the mirror has no suite bullseye"
    )
    assert errors(CELLS[:2]) == ""


def test_cells_that_were_left_out_are_reported_by_reason() -> None:
    cells = [Cell("6.1", build, "plain", "lost-address", "cli") for build in ("1.8", "2.2")]
    reasons = ["it has no reload on its CLI", "it has no reload on its CLI"]
    assert left_out(list(zip(cells, reasons, strict=True))) == (
        "left out: 6.1/1.8/plain/lost-address/cli, 6.1/2.2/plain/lost-address/cli\n"
        "  because it has no reload on its CLI"
    )


def test_of_many_cells_that_were_left_out_the_first_are_named() -> None:
    cells = [(Cell("6.1", f"2.{n}", "plain", "x", "cli"), "no CLI") for n in range(9)]
    assert left_out(cells) == (
        "left out: 6.1/2.0/plain/x/cli, 6.1/2.1/plain/x/cli, 6.1/2.2/plain/x/cli and 6 more\n"
        "  because no CLI"
    )
    assert "6.1/2.3/plain/x/cli\n" in left_out(cells[:4])


def test_short_names_are_used_only_where_they_are_clear() -> None:
    assert short_names(LABELS) == {LABELS[0]: ".44", LABELS[1]: ".45", LABELS[2]: ":81"}
    ambiguous = ["10.0.0.1:80", "10.0.0.1:443"]
    assert short_names(ambiguous) == {label: label for label in ambiguous}
    assert short_names(["fd00:42::43:80"]) == {"fd00:42::43:80": ":43"}


def test_a_reload_of_which_haproxy_says_nothing_is_marked_unless_another_overtook_it() -> None:
    unsaid = cell("6.1", "3.0", {}, reported=None)
    assert lines([unsaid]) == ["ok, no word"]
    [reload] = unsaid.reloads
    overtaken = reload.model_copy(update={"steady": False})
    assert lines([unsaid.model_copy(update={"reloads": (overtaken,)})]) == ["ok"]


def test_an_interrupted_run_says_how_much_of_it_there_is() -> None:
    first, *others = (each.id for each in CELLS[:3])
    text = tables(run_of(CELLS[0], planned=[first, *others]))
    assert text.endswith("\n\n1 of 3 cells were measured.")
    assert tables(run_of(planned=others)) == "0 of 2 cells were measured."


def test_builds_that_were_described_are_named_by_version() -> None:
    described = {"haproxy": "/a/haproxy", "haproxy-2": "/b/haproxy", "2.2": "bookworm"}
    cells = [cell("6.1", name, {}) for name in described]
    for place, version in enumerate(("1.8.26", "3.0.5", "2.2.9-2")):
        build = cells[place].haproxy.model_copy(update={"version": version})
        cells[place] = cells[place].model_copy(update={"haproxy": build})
    run = run_of(*cells).model_copy(update={"builds": described})
    header = tables(run).splitlines()[2]
    assert re.split(" *HAProxy ", header)[1:] == ["1.8.26 (haproxy)", "3.0.5 (haproxy-2)", "2.2"]
    [finding] = find(run)
    assert finding.sentences == (
        "HAProxy 1.8.26 (haproxy) to 3.0.5 (haproxy-2) lose nothing, on Linux 6.1",
    )
