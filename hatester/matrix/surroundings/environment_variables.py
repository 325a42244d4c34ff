"""Variables of the environment that a HAProxy configuration uses.

HAProxy puts their values into double quotes (its configuration manual, section 2.3; parse_line in
src/tools.c). It expands addresses once more, however they are quoted (env_expand in src/tools.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from hatester.matrix.haproxy_config import Line, words
from hatester.matrix.surroundings.addresses import addresses, positions
from hatester.util.errors import UserError
from hatester.util.text import listed, printable

_IN_ADDRESS = re.compile(r"\$\{(?P<braced>[A-Za-z0-9_]+)\}|\$(?P<bare>[A-Za-z0-9_]+)")
_KNOWN = re.compile(
    r"\.(?:FILE|LINE|SECTION)|HOSTNAME"
    r"|HAPROXY_(?:BRANCH|CFGFILES|CLI|LOCALPEER|MASTER_CLI|MWORKER|PROCESSES|STARTUP_VERSION"
    r"|[A-Z_]+_LOG_FMT)"
)
"""Variables that HAProxy sets itself (its manual, section 2.3), and the one of every container."""


def values_of(lines: Iterable[Line], env: Mapping[str, str]) -> dict[str, str]:
    """Return the values of an environment and of those variables that a configuration sets."""
    values = dict(env)
    for line in lines:
        match expand(line, values).texts:
            case ["setenv", name, value, *_]:
                values[name] = value
            case ["presetenv", name, value, *_]:
                values.setdefault(name, value)
    return values


def expand(line: Line, values: Mapping[str, str]) -> Line:
    """Return a line with values in the place of its variables, except those without a value."""
    if "$" not in line.source:
        return line
    found = words(line.source, values)
    for index in positions([word.text for word in found]):
        text = _IN_ADDRESS.sub(
            lambda each: values.get(each["braced"] or each["bare"], each[0]), found[index].text
        )
        found[index] = replace(found[index], text=text)
    return replace(line, words=tuple(found))


def missing(file: str, lines: Iterable[Line], values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without a value, each with where it is used first.

    Programs are not started, and what is in a conditional block may be for another environment.
    """
    found: dict[str, str] = {}
    for line in lines:
        if not line.is_conditional and line.section != "program":
            for name in _variables(line, values):
                if name not in values and not _KNOWN.fullmatch(name):
                    found.setdefault(name, f"{file}, line {line.number}")
    return found


def _variables(line: Line, values: Mapping[str, str]) -> Iterator[str]:
    """Return the names of the variables that a line uses without a default value."""
    for word in line.words:
        yield from word.variables
    for address in addresses(expand(line, values).texts):
        for variable in _IN_ADDRESS.finditer(address):
            yield variable["braced"] or variable["bare"]


def require(missing: Mapping[str, str]) -> None:
    """Raise UserError, with the flag that helps, if there is a variable without a value."""
    if not missing:
        return
    flags = " ".join(f"--env {name}=VALUE" for name in missing)
    if len(missing) == 1:
        [(name, where)] = missing.items()
        problem = f"{where}: the variable {name} has no value. Give it with {flags}."
    else:
        places = listed(f"{name} ({where})" for name, where in missing.items())
        problem = f"These variables have no value: {places}. Give them with {flags}."
    raise UserError(printable(problem))
