"""The documents: the reference has the flags of today, links lead somewhere, named tests exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from invoke.parser import Parser

from hatester.cli.parsing import name_values
from hatester.util.paths import PROJECT
from tests.factories import reference

PAGES = [*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/*.md"))]


def test_the_reference_has_the_flags_of_today() -> None:
    page = reference.REFERENCE.read_text()
    assert page == reference.render(page), "run python -m tests.factories.reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.is_file(), target
        assert not heading or heading in _headings(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_exists_with_the_flags_that_a_page_gives_it(page: Path) -> None:
    commands = reference.collection()
    parser = Parser(contexts=commands.to_contexts())
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^ {4,}.*?\binvoke ([a-z].*)$", text, re.MULTILINE)
    for command in [*blocks, *re.findall(r"`(?:\./bootstrap )?invoke ([a-z][^`]*)`", text)]:
        words = shlex.split(command.rstrip("'"), comments=True)
        assert words[0] in commands.task_names
        if len(words) > 1:
            parser.parse_argv(name_values(words, parser.contexts))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    tests = "".join(path.read_text() for path in PROJECT.glob("tests/**/test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page.read_text()):
        assert f"def {name}(" in tests, name
    for name in re.findall(r"`(test_\w+\.py)`", page.read_text()):
        assert [*PROJECT.glob(f"tests/**/{name}")], name


def test_each_module_that_a_text_names_exists() -> None:
    folders = ("hatester", "provision", "tests", "docs")
    texts = [path for folder in folders for path in PROJECT.glob(f"{folder}/**/*.[pm][yd]")]
    for path in [*texts, *PAGES]:
        for name in re.findall(r"\b(?:hatester|provision|tests)/[\w/]+\.py\b", path.read_text()):
            assert (PROJECT / name).is_file(), f"{path}: {name}"
    for name in re.findall(r"`(\w+/[\w/]+\.py)`", (PROJECT / "CONTRIBUTING.md").read_text()):
        assert (PROJECT / name).is_file() or (PROJECT / "hatester" / name).is_file(), name


def _headings(page: Path) -> list[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
