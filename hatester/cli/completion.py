"""Completion in a shell: commands, flags, and the names that a value may be.

It runs at every press of a key. So it reads declarations without verifying them, and imports none
of the modules that do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.vendor import yaml

from hatester.cli.flag_help import CHOICES
from hatester.cli.parsing import REPEATED
from hatester.util.paths import DECLARATIONS, HOSTS, LATEST, MATRIX, RESULTS

_load_yaml: Callable[[bytes, object], Any] = yaml.load
_PROGRAMS = ("bootstrap", "hatester")
SCRIPT = Path(__file__).with_name("completion.bash")


def complete(
    words: Sequence[str], core: ParserContext, contexts: Mapping[str, ParserContext]
) -> list[str]:
    """Return the words that may take the place of the last one; none where files may.

    `words` stand after the program, the last one up to the cursor. `core` has the flags that may
    stand anywhere, `contexts` those of commands.
    """
    # To bash, an equals sign is a word of its own (COMP_WORDBREAKS).
    *before, word = [*words, ""] if words[-1:] == ["="] else words or [""]
    context, flag, places = _walk([each for each in before if each != "="], core, contexts)
    if flag:
        found = _values(context, str(flag.name), word)
    elif word.startswith("-"):
        found = [*context.flags, *context.inverse_flags, *core.flags]
    elif places:
        found = _values(context, places[0], word)
    elif context.name:
        found = [each for each in context.flags if each.startswith("--")]
    else:
        found = contexts
    return sorted({each for each in found if each.startswith(word)})


def install(*, is_shown: bool) -> None:
    """Write the script for bash where bash-completion looks for it, or only print it.

    Raises UserError where it cannot be written.
    """
    from hatester.util.files import usable, write_whole  # noqa: PLC0415 # see above

    if is_shown:
        print(SCRIPT.read_text(), end="")
        return
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    folder = Path(base, "bash-completion/completions")
    for name in _PROGRAMS:
        with usable(folder / name):
            write_whole(folder / name, SCRIPT.read_text())
        print(f"installed: {folder / name}")
    print("Start a new shell to use it.")


def _walk(
    words: Iterable[str], core: ParserContext, contexts: Mapping[str, ParserContext]
) -> tuple[ParserContext, Argument | None, list[str]]:
    """Return the command of words, the flag whose value is next, and the places left to fill."""
    context, places = core, list[str]()
    flag: Argument | None = None
    for word in words:
        if flag:
            flag = None
        elif known := context.flags.get(word) or core.flags.get(word):
            flag = known if known.takes_value and not known.optional else None
        elif places and not word.startswith("-"):
            places = places[1:]
        elif word in contexts:
            context = contexts[word]
            places = [str(each.name) for each in context.missing_positional_args]
    return context, flag, places or [each for each in [REPEATED.get(str(context.name))] if each]


def _values(context: ParserContext, flag: str, word: str) -> Iterable[str]:
    """Return the values that a flag of a command takes, except for files."""
    command = str(context.name)
    if choices := CHOICES.get(f"{command} {flag}") or CHOICES.get(flag):
        return choices
    names = _NAMES.get(f"{command} {flag}") or _NAMES.get(flag)
    try:
        return names(word) if names else ()
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError):
        return ()  # a mistake in a file is for the command to report


def _declared(file: str, key: str) -> list[str]:
    content = _load_yaml((MATRIX / file).read_bytes(), yaml.BaseLoader)
    return [str(name) for name in dict(content[key])]


def _kernels(_word: str = "") -> list[str]:
    return _declared("kernels.yml", "kernels")


def _builds(_word: str = "") -> list[str]:
    return _declared("haproxy.yml", "builds")


def _settings(_word: str = "") -> list[str]:
    return _declared("settings.yml", "settings")


def _scenarios(_word: str = "") -> list[str]:
    return [file.parent.name for file in MATRIX.glob("scenarios/*/scenario.yml")]


def _matrices(_word: str) -> list[str]:
    return [file.stem for file in MATRIX.glob("*.yml") if file.stem not in DECLARATIONS]


def _hosts(_word: str) -> list[str]:
    return [file.stem for file in HOSTS.glob("*.yml")]


def _runs(_word: str) -> list[str]:
    return [file.parent.name for file in RESULTS.glob("[!.]*/plan.json")]


def _cells(word: str) -> list[str]:
    """Return the ids that may be meant, up to the next slash: there are too many for a list."""
    axes = (_kernels, _builds, _settings, _scenarios, lambda: CHOICES["method"])
    *before, _ = word.split("/")
    names = axes[len(before)]()
    end = "/" if len(before) < len(axes) - 1 else ""
    return ["/".join([*before, f"{name}{end}"]) for name in names]


def _measured(word: str) -> list[str]:
    """Return the same of the cells of the newest run, which has a folder for each part of an id."""
    *before, _ = word.split("/")
    folder = RESULTS.joinpath(LATEST, "cells", *before)
    end = "/" if len(before) < 4 else ""
    return ["/".join([*before, f"{path.name}{end}"]) for path in folder.iterdir() if path.is_dir()]


_NAMES: Mapping[str, Callable[[str], list[str]]] = {
    "kernel": _kernels,
    "haproxy": _builds,
    "setting": _settings,
    "scenario": _scenarios,
    "matrix": _matrices,
    "only": _cells,
    "skip": _cells,
    "shell cell": _cells,
    "export cell": _measured,
    "matrix host": _hosts,
    "expect": _runs,
    "run": _runs,
    "against": _runs,
    "compare before": _runs,
    "compare after": _runs,
}
"""The names that a flag takes, or that of one command does."""
