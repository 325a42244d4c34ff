"""Builds that the flag --haproxy describes, beside those that are declared.

Each has a name for cell ids, and a word that describes it anywhere: with absolute paths.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hatester.matrix import image_reference
from hatester.matrix.declarations import Build, Matrix
from hatester.util.errors import UserError
from hatester.util.paths import is_there, resolve_path
from hatester.util.text import brief, file_name, printable
from hatester.util.validation import checked, require

FLAG = "--haproxy"
# A word that begins with haproxy is an image without its transport.
_SUITE = re.compile(r"(?!haproxy)(?P<suite>[a-z][a-z-]*)(?::(?P<version>.+))?")
_TO = "-to-"
"""Between the names of two builds, the first of which is upgraded to the second."""
_LONGEST = 80
"""Characters of a name; the rest of its room is for a hash that makes it unique."""


def with_described(matrix: Matrix, words: Sequence[str]) -> tuple[Matrix, list[str]]:
    """Return the matrix with all builds that words of the flag name or describe, and their names.

    Raises UserError for a word that does neither, and for a file that does not exist.
    """
    names = []
    for word in words:
        name = word
        if word not in matrix.builds:
            described = _anywhere(word)
            if not (_describes(described) or _pair(matrix.builds, word)):
                _require_declared(word, matrix)
            name = _free_name(matrix, described)
            matrix = with_given(matrix, {name: described})
        names.append(name)
    return matrix, names


def with_pairs(
    matrix: Matrix, names: Sequence[str], words: Sequence[str]
) -> tuple[Matrix, list[str]]:
    """Return the matrix with a pair of each of these builds and each to which it is upgraded.

    The names of the pairs, such as 2.6-to-3.0, are returned as well. Raises UserError for a word of
    --upgrade-to as `with_described` does.
    """
    matrix, later = with_described(matrix, words)
    pairs = [f"{first}{_TO}{second}" for first in names for second in later if first != second]
    for pair in pairs:
        matrix = with_given(matrix, {pair: pair})
    return matrix, pairs


def _pair(builds: Mapping[str, Build], word: str) -> Build | None:
    for first, build in builds.items():
        second = word.removeprefix(f"{first}{_TO}")
        if second != word and second in builds:
            return build.model_copy(update={"upgrade_to": second})
    return None


def _require_declared(word: str, matrix: Matrix) -> None:
    """Raise UserError for a word that describes no build, unless it names one."""
    if word.startswith("haproxy") and not re.search(r"\s", word):
        raise UserError(f"{FLAG} {brief(word)}: an image has a transport, as in docker://{word}.")
    require(word, matrix.builds, FLAG)


def with_given(matrix: Matrix, given: Mapping[str, str]) -> Matrix:
    """Return the matrix with further builds: words that describe them, by their names.

    Raises UserError for a file that does not exist.
    """
    builds = {**matrix.builds}
    for name, word in given.items():
        builds[name] = _pair(builds, word) or _build(word)
    return replace(matrix, builds=builds, described_builds={**matrix.described_builds, **given})


def _anywhere(word: str) -> str:
    """Return a word that means the same in every folder."""
    here = Path.cwd()
    if "://" in word and not image_reference.has_transport(word):
        raise UserError(
            f"{FLAG} {brief(word)}: docker:// is the only URL that it takes. Fetch the file, and "
            "name its path."
        )
    if image_reference.has_transport(word):
        return image_reference.resolve_paths(word, here)
    return str(resolve_path(word, here)) if _is_path(word) else word


def _is_path(word: str) -> bool:
    return "/" in word or word.endswith(".deb")


def _describes(word: str) -> bool:
    return image_reference.has_transport(word) or _is_path(word) or bool(_SUITE.fullmatch(word))


def _build(word: str) -> Build:
    if image_reference.has_transport(word):
        content: dict[str, object] = {"image": word}
    elif _is_path(word):
        if not is_there(Path(word)):
            raise UserError(f"{FLAG} {printable(word)}: there is no such file.")
        content = {"packages": [word]} if word.endswith(".deb") else {"path": word}
    else:
        found = _SUITE.fullmatch(word)
        content = {key: value for key, value in found.groupdict().items() if value} if found else {}
    return checked(content, Build, f"{FLAG} {brief(word)}")


def _free_name(matrix: Matrix, word: str) -> str:
    name = file_name(_short(word), _LONGEST).lstrip(".+_-") or "build"
    taken = {**dict.fromkeys(matrix.builds), **matrix.described_builds}
    if taken.get(name, word) == word:
        return name
    # As JSON, since a path may have bytes that are not UTF-8.
    return f"{name}-{hashlib.sha256(json.dumps(word).encode()).hexdigest()[:6]}"


def _short(word: str) -> str:
    """Return the distinctive part of a word: binaries are called haproxy, their folders seldom."""
    if image_reference.has_transport(word):
        return PurePosixPath(word.partition(":")[2]).name
    if not _is_path(word):
        return word
    path = PurePosixPath(word)
    if path.name == "haproxy" and path.parent.name not in ("bin", "sbin"):
        return path.parent.name
    return path.name.removesuffix(".deb")
