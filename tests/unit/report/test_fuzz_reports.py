"""Reports: any text of a run stays text, on a page, in Markdown, in XML and at a terminal."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke.exceptions import Exit
from markdown_it import MarkdownIt  # which rich brings along
from markdown_it.token import Token

from hatester.analysis.findings import Finding
from hatester.analysis.model import HostSummary, Omission
from hatester.commands import runs
from hatester.matrix.plan import Cell
from hatester.report import html, junit, markdown
from hatester.results.store import Results
from hatester.runner.cell import not_measured
from hatester.util.text import for_xml
from tests.factories import cells
from tests.factories.cells import cell_result
from tests.factories.evidence import AT, evidence, held, judge, reload
from tests.factories.hostile import examples
from tests.factories.html_reader import Reader

MARKS = (
    "<script>alert(1)</script>", "</pre></style></svg>", "<!-- ", "]]>", "&amp;", "&#60;", "'\"",
    "{{ 7*7 }}", "{% raw %}", "|", "\\|", "`", "```", "~~~", "**b**", "_i_", "[a](http://b)",
    "![a](b)", "# h", "- l", "1. l", "> q", "---", "\n\n# h", "\n| a |\n|-|\n", "    code", "<b>",
    "http://a", "\x00", "\x1b[31m", "\x1b]0;x\x07", "\x9b31m", "\x08", "\r", "\t", "\uffff",
    "\u202e", "\u2028", "ünïcode",
)  # fmt: skip
"""What means something else than itself somewhere."""
texts = st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=4).map(
    # Ids of cells have slashes, and explanations semicolons, between their parts.
    lambda parts: f"t{''.join(parts)}t".replace("/", "").replace("; ", "")
)
PLAIN = "plain"
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def timeline_of(text: str) -> dict[str, Any]:
    """Return evidence with a text wherever it may have any."""
    label = f"{text}:80"
    return {
        **evidence(interval=0.1, end=3.0),
        "configurations": {text: [label], "with": [label]},
        "addresses": [label],
        "probes": [
            [0, at / 10, at / 10, at / 10, "reset" if 13 < at < 20 else "ok", None, text]
            for at in range(30)
        ],
        "steps": [{"step": 1, "verb": "start", "what": text, "at": 0.0}],
        "listeners": held((0.0, 1.3, (1,)), (2.0, 3.0, (2,)), labels=[label]),
        "log": [[AT + 0.1, f"[ALERT] 1/1 (1) : {text}"]],
        "reloads": [reload(config="with", present=[label], until=2.9, answer=text, processes=text)],
        "checks": [{"step": 1, "reload": None, "at": 0.0, "outcomes": {label: "reset"},
                    "outside": {label: "empty"}}],
    }  # fmt: skip


def run_of(text: str) -> Results:
    """Return a run with a text wherever a run may have any; nothing of it is on disk."""
    # The model takes no control characters in ids.
    name = re.sub("[\x00-\x1f]", "", text)
    judgement = judge(timeline_of(text))
    cell = cell_result(f"k{name}/b{name}/s{name}/c{name}/m{name}", judgement)
    cell = cell.model_copy(
        update={
            "kernel": cell.kernel.model_copy(update={"release": text}),
            "haproxy": cell.haproxy.model_copy(update={"version": text}),
        }
    )
    lost = not_measured(Cell(f"x{name}", f"b{name}", "s", "c", "m"), 1, text).cell
    content = cells.run_of(cell, lost).model_copy(
        update={
            "run": f"r{text}",
            "host": HostSummary(system=text, qemu=text, processors=2),
            "left_out": (Omission(id="a/b/c/d/e", reason=f"l{text}"),),
            "captured": text,
            "differs": (f"d{text}",),
        }
    )
    return Results(Path("/no/such/folder"), content)


@examples(0.05)
@given(texts)
def test_a_page_has_the_same_elements_whatever_is_written_on_it(text: str) -> None:
    hostile, plain = (
        Reader(html.render(run_of(each), [Finding(each, (each,))])) for each in (text, PLAIN)
    )
    assert [(tag, [*attributes]) for tag, attributes in hostile.elements] == [
        (tag, [*attributes]) for tag, attributes in plain.elements
    ]
    words = " ".join(for_xml(f"r{text}").replace("\r", "\n").split())
    assert words in hostile.text


def kinds(tokens: list[Token]) -> Iterator[str]:
    """Return the elements of a Markdown text."""
    for token in tokens:
        # A text may be in several pieces.
        if token.type not in ("text", "text_special", "softbreak"):
            yield token.type
        yield from kinds(token.children or [])


@examples(0.5)
@given(texts)
def test_markdown_has_the_same_elements_whatever_is_written_in_it(text: str) -> None:
    hostile, plain = (
        markdown.render(run_of(each), [Finding(each, (each,))]) for each in (text, PLAIN)
    )
    assert [*kinds(MARKDOWN.parse(hostile))] == [*kinds(MARKDOWN.parse(plain))]
    assert hostile.encode()


@given(texts)
def test_xml_has_the_same_elements_whatever_is_written_in_it(text: str) -> None:
    hostile, plain = (ET.fromstring(junit.render(run_of(each), None)) for each in (text, PLAIN))
    assert [(each.tag, [*each.attrib]) for each in hostile.iter()] == [
        (each.tag, [*each.attrib]) for each in plain.iter()
    ]
    skipped = hostile.find(".//skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == for_xml(f"l{text}")


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("table_format", ["plain", "grid", "github"])
def test_nothing_that_a_terminal_takes_as_a_command_is_shown(
    mark: str,
    table_format: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hatester.report.html.write_reports", lambda *_: [])
    results = run_of(mark.replace("/", ""))
    runs.show_run(results, table_format)
    logging.getLogger("hatester").info(mark)
    with pytest.raises(Exit) as caught:
        runs.conclude(results, None)
    said = capsys.readouterr()
    for line in f"{said.out}\n{said.err}\n{caught.value.message}".split("\n"):
        assert line.isprintable()
    assert said.out.encode()
