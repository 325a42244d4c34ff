"""The commands of docs/reference.md, as the tasks declare them.

`python -m tests.factories.reference` writes them into that file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.tasks import Task

import tasks
from hatester.cli.parsing import REPEATED
from hatester.util.paths import PROJECT

REFERENCE = PROJECT / "docs/reference.md"
_DECLARED = copy.deepcopy(Collection.from_module(tasks))
"""The commands before any was read: Invoke takes the help out of those that it reads."""
_REPEATED = REPEATED.values()
_BEGIN, _END = "<!-- commands -->\n", "<!-- end of commands -->\n"


def render(page: str) -> str:
    """Return the page with the commands of today between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "".join([before, _BEGIN, *_commands(), "\n", _END, after])


def collection() -> Collection:
    """Return copies of the commands of tasks.py."""
    return copy.deepcopy(_DECLARED)


def _commands() -> Iterator[str]:
    declared = collection()
    for name in sorted(declared.tasks):
        yield from _command(name, declared.tasks[name])


def _command(name: str, command: Task[Any]) -> Iterator[str]:
    arguments = command.get_arguments()
    places = "".join(f" {_flag(each).upper()}" for each in arguments if _is_place(each))
    yield f"\n### {name}\n\n`invoke {name}{places}`\n\n{_text(command.__doc__ or '')}\n"
    if command.aliases:
        yield f"\nIts earlier name, `{', '.join(command.aliases)}`, works too.\n"
    if arguments:
        yield "\n| flag | value | default | meaning |\n|---|---|---|---|\n"
    for each in arguments:
        row = " | ".join([_written(each), _kind(each), _default(each), _escape(each.help or "")])
        yield f"| {row} |\n"


def _is_place(argument: Argument) -> bool:
    """Return whether the value may stand without its flag; for Invoke, repeatable ones may."""
    return argument.positional and (argument.kind is not list or argument.name in _REPEATED)


def _escape(text: str) -> str:
    """Keep Markdown from taking a part of the text for markup or for the end of a column."""
    return text.replace("|", r"\|").replace("*", r"\*").replace("~", r"\~")


def _text(docstring: str) -> str:
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


def _flag(argument: Argument) -> str:
    return str(argument.name).strip("_").replace("_", "-")


def _written(argument: Argument) -> str:
    if _is_place(argument):
        return f"`{_flag(argument).upper()}`, `--{_flag(argument)}`"
    letters = [f"`-{name}`" for name in argument.names if len(name) == 1]
    negated = "no-" if argument.default is True else ""
    return ", ".join([f"`--{negated}{_flag(argument)}`", *letters])


def _kind(argument: Argument) -> str:
    if argument.kind is bool:
        return "none"
    if argument.kind is list:
        return "text, repeatable"
    return "text, optional" if argument.optional else "text"


def _default(argument: Argument) -> str:
    is_written = isinstance(argument.default, str) and argument.default
    return f"`{argument.default}`" if is_written else ""


if __name__ == "__main__":
    REFERENCE.write_text(render(REFERENCE.read_text()))
