"""invoke.yaml, by which Invoke has its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import invoke.config
from invoke.vendor import yaml

from hatester.util.errors import UserError
from hatester.util.text import printable, quoted

FILE = "invoke.yaml"
KEY = "hatester"
"""The only key of the file."""
_load_yaml: Callable[[bytes], object] = yaml.safe_load


class Config(invoke.config.Config):
    """The settings of invoke.yaml alone.

    Invoke also reads files of the system and of the user, and variables of the environment. They
    are meant for others, and a mistake in one would end every command.
    """

    def load_base_conf_files(self) -> None:
        """Read no file of the system or of the user."""

    def load_runtime(self, merge: bool = True) -> None:
        """Read no file that the environment names."""

    def load_shell_env(self) -> None:
        """Read no variable; `hatester/util/settings.py` reads those of hatester."""
        self.merge()


def require_settings(file: Path) -> None:
    """Raise UserError for a file that Invoke cannot take, or with other keys than `hatester`."""
    if file.exists() and not file.is_file():
        raise UserError(f"{FILE} is not a regular file.")
    try:
        content = _load_yaml(file.read_bytes()) if file.exists() else {}
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(
            f"{FILE}{line}: it is not YAML: {printable(str(error.problem))}."
        ) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{FILE} cannot be read: {printable(reason)}.") from error
    if not isinstance(content, dict | None):
        raise UserError(f"{FILE}: expected the key {KEY}, got {quoted(content)}.")
    for key in content or {}:
        if key != KEY:
            raise UserError(f"{FILE}: there is no key {quoted(key)} (there is: {KEY}).")
