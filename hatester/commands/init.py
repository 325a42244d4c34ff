"""The command `init`: a new scenario, matrix or expectation to start from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from hatester.matrix.declarations import NAME
from hatester.util.errors import UserError
from hatester.util.files import remove
from hatester.util.paths import COMMAND, DECLARATIONS, MATRIX, OWN_MATRIX
from hatester.util.text import quoted
from hatester.util.validation import require

_TEMPLATES = Path(__file__).with_name("templates")
KINDS = {
    "scenario": ("scenario", "scenarios/{name}", "plan --scenario {name}"),
    "matrix": ("matrix.yml", "{name}.yml", "plan --matrix {name}"),
    "expectation": ("expectation.yml", "expectations/{name}.yml", "matrix --expect {path}"),
}
"""By kind: the template, the place of a copy in `matrix/`, and the command that uses it."""


def write_new(kind: str, name: str) -> None:
    """Write a new file or folder of one of KINDS, and print its place and the command that uses it.

    Raises UserError for a name that cannot be one, and where there is something of that name.
    """
    require(kind, KINDS, "init")
    taken = DECLARATIONS if kind == "matrix" else ()
    if not re.fullmatch(NAME, name) or name in taken:
        others = f", and none of {', '.join(taken)}" if taken else ""
        raise UserError(
            f"init: {quoted(name)} cannot name a new {kind}: expected letters, digits and "
            f".+_-{others}."
        )
    template, place, command = KINDS[kind]
    if MATRIX != OWN_MATRIX:
        _take_shipped_matrix()
    target = OWN_MATRIX / place.format(name=name)
    _copy(_TEMPLATES / template, target)
    print(f"new {kind}: {target}\nnext: {COMMAND} {command.format(name=name, path=target)}")


def _take_shipped_matrix() -> None:
    """Copy what a package ships to where its user may change it, beside captured hosts."""
    try:
        shutil.copytree(MATRIX, OWN_MATRIX, dirs_exist_ok=True)
    except OSError as error:
        raise UserError(f"init: {OWN_MATRIX} cannot be written: {error.strerror}.") from error
    print(f"copied, and used from now on: {OWN_MATRIX}")


def _copy(template: Path, target: Path) -> None:
    """Copy a file or a folder. Raises UserError where the target exists or cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if template.is_dir():
            shutil.copytree(template, target)
        else:
            with target.open("x") as file:
                file.write(template.read_text())
    except FileExistsError as error:
        raise UserError(f"init: {target} exists. Choose another name.") from error
    except OSError as error:
        remove(target)
        raise UserError(f"init: {target} cannot be written: {error.strerror}.") from error
