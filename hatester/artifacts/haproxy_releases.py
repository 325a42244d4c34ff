"""HAProxy's releases, by the index of each branch, and the builds that lag behind theirs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pydantic

from hatester.artifacts.download import NotThere, fetch_json
from hatester.util.errors import MeasurementError, UserError
from hatester.util.validation import sentence
from hatester.util.versions import is_older, numbers

HEADERS = ("build", "version", "newest", "state")


class _Index(pydantic.BaseModel):
    latest_release: str


def branch_of(version: str) -> str:
    """Return the branch of a version: the first two of its numbers."""
    return ".".join(str(number) for number in numbers(version)[:2])


def newest(base: str, branches: Iterable[str]) -> dict[str, str]:
    """Return the newest release of each branch, by the indexes under the address `base`.

    Raises UserError when one cannot be had.
    """
    found = {}
    for branch in branches:
        uri = f"{base.rstrip('/')}/{branch}/src/releases.json"
        try:
            found[branch] = _Index.model_validate(fetch_json(uri)).latest_release
        except NotThere:
            continue
        except MeasurementError as error:
            raise UserError(f"{error}.") from error
        except pydantic.ValidationError as error:
            raise UserError(f"{uri} is not an index of releases: {sentence(error)}") from error
    return found


def row(build: str, version: str | None, releases: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return a row of the table about a build, which has no version if it cannot be made."""
    if version is None:
        return build, "-", "-", "cannot be made"
    release = releases.get(branch_of(version))
    if release is None:
        return build, version, "-", "no release of its branch"
    # A development version comes before the first release of its branch.
    is_behind = is_older(version, release) or re.search(r"-(?:dev|rc)\d", version)
    return build, version, release, "behind" if is_behind else "up to date"
