"""The refusals of Invoke's parser, in words of hatester; and the words that it should refuse."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from invoke.exceptions import ParseError
from invoke.parser.context import ParserContext

from hatester.util.paths import COMMAND
from hatester.util.text import quoted

_UNKNOWN = re.compile(r"No idea what '(?P<word>.*)' is!", re.DOTALL)
_LACK = "'{}' did not receive required positional arguments: {}"
_MISSING = re.compile(r"'.*' did not receive required positional arguments: (?P<names>.*)")
_VALUELESS = re.compile(r"Flag <Argument: (?P<name>\S+).*> needed value and was not given one!")
_CLOSE = 0.75
"""The least ratio of difflib for a guess at a command: `list` for `lst`, not `shell` for `help`."""
_SURE = 0.85
"""The same for a word that follows a command, and may as well be a value too much."""


REPEATED = {"merge": "run"}
"""The repeatable flag whose values may stand without it, of a command."""


def name_values(tokens: Sequence[str], contexts: Any) -> list[str]:
    """Return tokens with a flag before each value that stands without it, as in `merge A B`.

    Invoke knows no number of places that is open.
    """
    command, *rest = tokens or [""]
    if command not in REPEATED:
        return [*tokens]
    flags, found, is_value = contexts[command].flags, [command], False
    for token in rest:
        if not (is_value or token.startswith("-")):
            found.append(f"--{REPEATED[command]}")
        found.append(token)
        is_value = not is_value and token in flags and flags[token].takes_value
    return found


def find_helped(tokens: Sequence[str], contexts: Any) -> str | None:
    """Return the command with places whose help is asked for, as in `compare --help`.

    Invoke would take the flag for the value of a place.
    """
    command, *rest = tokens or [""]
    has_places = command in contexts and contexts[command].missing_positional_args
    return command if has_places and {"-h", "--help"} & {*rest} else None


def require_values(tokens: Sequence[str], contexts: Any) -> None:
    """Raise ParseError for a flag without a value, and for an empty value or word.

    To Invoke, a repeatable flag without a value selects everything. An empty word is most often a
    variable of a shell that is not set.
    """
    context: ParserContext | None = None
    missing: list[str] = []
    is_value = False
    for token, following in zip(tokens, [*tokens[1:], ""], strict=False):
        name, sign, value = token.partition("=")
        if is_value:
            is_value = False
        elif context and name in context.flags and context.flags[name].takes_value:
            argument = context.flags[name]
            is_value = not (sign or argument.optional or following in context.flags)
            has_value = value if sign else argument.optional or (is_value and following)
            if not has_value:
                raise ParseError(f"Flag {argument!r} needed value and was not given one!", context)
        elif missing and not token.startswith("-"):
            if not token:
                raise ParseError(_LACK.format(context, ", ".join(missing)), context)
            missing = missing[1:]
        elif token in contexts:
            context = contexts[token]
            missing = [str(each.name) for each in context.missing_positional_args]


def explain(error: ParseError, commands: Sequence[str]) -> str:
    """Return the word that Invoke refuses, a guess at the right one, and where help is."""
    context, text = error.context, str(error)
    name = context.name if context and context.name else ""
    place = f"{name}: " if name else ""
    if (found := _UNKNOWN.fullmatch(text)) and found["word"].startswith("-"):
        word = found["word"]
        flags = [*context.flags, *context.inverse_flags] if context else []
        problem = f"{place}there is no flag {quoted(word)}{_guess(word.partition('=')[0], flags)}"
    elif found:
        word = found["word"]
        guess = _guess(word, commands, _SURE if name else _CLOSE)
        if name and guess == ".":
            problem = f"{place}{quoted(word)} belongs to no flag."
        else:
            name, problem = "", f"there is no command {quoted(word)}{guess}"
    elif found := _MISSING.fullmatch(text):
        problem = f"{place}expected {found['names'].replace(chr(39), '').upper()}."
    elif found := _VALUELESS.fullmatch(text):
        problem = f"{place}--{found['name'].strip('_').replace('_', '-')}: expected a value."
    else:
        problem = f"{place}{text}"
    return f"{problem} Help: {COMMAND} {f'{name} ' if name else ''}--help"


def _guess(word: str, known: Sequence[str], cutoff: float = _CLOSE) -> str:
    """Return a question after what may have been meant, or a full stop."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else "."
