"""Debian's snapshot archive, which has every package file that Debian ever had.

Asked by its machine-readable interface (the file API of its source, salsa.debian.org:
snapshot-team/snapshot). Its answers about a kernel are kept, since they do not change.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Generic, TypeVar
from urllib.parse import quote

import pydantic

from hatester.artifacts import cache
from hatester.artifacts.deb import Deb, read_deb
from hatester.artifacts.download import NotThere, fetch, fetch_json
from hatester.matrix.kernel_spec import IMAGE
from hatester.util import jsonfile
from hatester.util.errors import MeasurementError
from hatester.util.versions import debian_order, matches

RECIPE = 1
"""The way to find the files of a kernel. Raise it with a change in this file, deb.py or versions.py
that finds other files for the same kernel, or keeps the answer in another form."""
ARCHITECTURES = ("amd64", "all")
_Version = Annotated[
    str, pydantic.StringConstraints(pattern=r"^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$", max_length=255)
]
_Sha1 = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{40}$")]
_ANSWER = pydantic.TypeAdapter(list[_Sha1])
M = TypeVar("M", bound=pydantic.BaseModel)


class _Binary(pydantic.BaseModel):
    binary_version: _Version


class _File(pydantic.BaseModel):
    architecture: str
    hash: _Sha1


class _Answer(pydantic.BaseModel, Generic[M]):
    """The part of an answer that is needed."""

    result: list[M]


def snapshot_kernel(base: str, release: str, beginning: str | None) -> list[Path]:
    """Return the files of a Debian kernel's packages, by its release as of `uname -r`.

    `base` is where the snapshot archive is. Of several package versions of that release the newest
    is taken, of those with this beginning. Raises MeasurementError when there is none, or the
    archive cannot be reached.
    """
    name = f"{cache.digest(RECIPE, [base, release, beginning])}.json"
    answer = cache.subfolder("snapshot") / name
    if known := jsonfile.recall(answer, _ANSWER):
        cache.use(answer)
        return [_fetch(base, sha1) for sha1 in known]
    version = _newest(base, release, beginning)
    files: dict[str, Path] = {}
    todo = [IMAGE + release]
    for package in todo:
        files[package] = _fetch(base, _sha1(base, package, version))
        todo += [each for each in _parts(read_deb(files[package]), release) if each not in todo]
    jsonfile.write(answer, [file.name for file in files.values()])
    return list(files.values())


def _newest(base: str, release: str, beginning: str | None) -> str:
    """Return the newest version of a kernel's package."""
    url = f"{base}/mr/binary/{quote(IMAGE + release, safe='')}/"
    try:
        there = [each.binary_version for each in _ask(url, _Answer[_Binary]).result]
    except NotThere as error:
        raise MeasurementError(
            f"the snapshot archive {base} has no kernel {release}; it must be all of what "
            "`uname -r` says"
        ) from error
    versions = sorted(filter(lambda each: matches(each, beginning), there), key=debian_order)
    if not versions:
        others = ", ".join(there) or "nothing"
        raise MeasurementError(
            f"the snapshot archive {base} has {release} as {others}, not {beginning}"
        )
    return versions[-1]


def _sha1(base: str, package: str, version: str) -> str:
    """Return the SHA-1 by which the archive has the file of a package."""
    name, number = quote(package, safe=""), quote(version, safe="")
    answer = _ask(f"{base}/mr/binary/{name}/{number}/binfiles?fileinfo=1", _Answer[_File])
    found = [each.hash for each in answer.result if each.architecture in ARCHITECTURES]
    if not found:
        raise MeasurementError(f"the snapshot archive {base} has no {package} {version} for amd64")
    return found[0]


def _ask(url: str, model: type[M]) -> M:
    try:
        return model.model_validate(fetch_json(url))
    except pydantic.ValidationError as error:
        raise MeasurementError(f"{url} has another form than the snapshot archive's") from error


def _fetch(base: str, sha1: str) -> Path:
    return fetch(f"{base}/file/{sha1}", sha1)


def _parts(deb: Deb, release: str) -> list[str]:
    """Return the packages that make up a kernel from 7.x on, as one of them names others."""
    names = rf"\blinux-(?:binary|modules|base)-{re.escape(release)}(?![A-Za-z0-9.+-])"
    return re.findall(names, deb.depends)
