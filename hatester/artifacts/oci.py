"""Images (OCI) of registries and of this host, as the source of a tree.

A tree has their HAProxy, and the libraries that it needs. skopeo(1) fetches them and umoci(1)
unpacks them. Nothing of them is run, and no link leads out of the folder with their content.
"""

from __future__ import annotations

import logging
import posixpath
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pydantic

from hatester.artifacts import cache
from hatester.artifacts.disk import Content, Source
from hatester.artifacts.haproxy_binary import Program, Root, read_program
from hatester.matrix.image_reference import on_this_host
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError, tail
from hatester.util.files import checksum
from hatester.util.paths import is_there
from hatester.util.text import quoted
from hatester.util.validation import MOST_CHARACTERS, sentence, text_of

log = logging.getLogger(__name__)

RECIPE = 1
"""The way to fetch an image by its reference. Raise it with a change in this file that fetches
something else, or keeps it in another form. The one of haproxy.py stands for how an image becomes a
tree."""
SECONDS = 600.0
"""Bound of one command that fetches or unpacks an image."""
_LAYOUT = "layout:image"
"""The layout in an entry of the cache, and the tag in it. It is named from within: a folder that
has a colon in its path would end at that."""
_REASON = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
"""The reason with which skopeo fails, in the format of logrus."""
_TAG = "org.opencontainers.image.ref.name"
_PLATFORM = ("--override-os", "linux", "--override-arch", "amd64")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The default of images that do not set it."""


class _Settings(pydantic.BaseModel):
    """An image's description of how it is run (image-spec, config.md)."""

    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None


class _Configuration(pydantic.BaseModel):
    config: _Settings = _Settings()


class _Entry(pydantic.BaseModel):
    annotations: dict[str, str] = {}


class _Index(pydantic.BaseModel):
    """The content of index.json: manifests, with their tags (image-spec, image-layout.md)."""

    manifests: list[_Entry]


def require_local(reference: str) -> None:
    """Raise MeasurementError for an image of this host that is missing or is not an image.

    An image of a registry is not looked for.
    """
    file = on_this_host(reference)
    if file is None:
        return
    if not is_there(file):
        raise MeasurementError(f"{file} is missing")
    transport = reference.partition(":")[0]
    if transport == "docker-archive":
        _content(file, transport, "manifest.json")
        return
    try:
        index = _Index.model_validate_json(_content(file, transport, "index.json"))
    except pydantic.ValidationError as error:
        raise MeasurementError(f"{file}: index.json: {sentence(error).rstrip('.')}") from error
    tags = [each.annotations.get(_TAG) for each in index.manifests]
    tag = reference.removeprefix(f"{transport}:{file}").lstrip(":")
    if tag and tag not in tags:
        known = ", ".join(each for each in tags if each) or "none"
        raise MeasurementError(f"{file} has no tag {quoted(tag)} (there are: {known})")


def _content(file: Path, transport: str, name: str) -> str:
    """Return the content of a file of an image. Raises MeasurementError where there is none."""
    what = "an OCI layout" if transport == "oci" else "an archive of an image"
    try:
        return text_of(file / name) if transport == "oci" else _member(file, name)
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error, UserError) as error:
        raise MeasurementError(f"{file} is not {what}: it has no {name}") from error


def _member(file: Path, name: str) -> str:
    """Return the content of a file of an archive; raises KeyError, and as tarfile does."""
    # A pipe would have it wait for ever.
    if not is_there(file, Path.is_file):
        raise KeyError(name)
    with tarfile.open(file) as archive:
        members = (each for each in archive if posixpath.normpath(each.name) == name)
        found = next(members, None)
        part = archive.extractfile(found) if found else None
        if part is None:
            raise KeyError(name)
        return part.read(MOST_CHARACTERS).decode(errors="replace")


def fetch(reference: str) -> Source:
    """Return an image, fetching it now if the cache has none.

    One of this host is fetched again when it changes. Raises MeasurementError when it cannot be
    had, and UserError when what fetches it is not installed.
    """
    folder = cache.entry("images", _name(reference), _fetcher(reference))
    digest = (folder / "digest").read_text()  # of its manifest
    return Source(f"the image {reference}", digest, partial(_unpack, folder))


def fetch_again(reference: str) -> None:
    """Fetch an image even if the cache has one, which stays where that fails, as `fetch` does."""
    cache.renew("images", _name(reference), _fetcher(reference))


def _fetcher(reference: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        log.info(f"fetching the image {reference}")
        try:
            _run(
                folder, "skopeo", *_PLATFORM, "copy", "--quiet", "--digestfile", "digest",
                reference, f"oci:{_LAYOUT}",
            )  # fmt: skip
        except MeasurementError as error:
            raise MeasurementError(f"the image {reference} cannot be fetched: {error}") from error

    return make


def _unpack(folder: Path, scratch: Path) -> Content:
    """Return the content of the tree of an image, of which the cache has an OCI layout."""
    root = scratch / "root"
    said = _run(folder, "skopeo", "inspect", "--config", f"oci:{_LAYOUT}")
    try:
        settings = _Configuration.model_validate_json(said).config
        _run(folder, "umoci", "raw", "unpack", "--rootless", "--image", _LAYOUT, str(root))
        return _find(Root(root), settings).content
    except pydantic.ValidationError as error:
        raise MeasurementError(f"its configuration: {sentence(error).rstrip('.')}") from error
    finally:
        # Folders of some images are not to be written to, and so could not be removed.
        process.run(["chmod", "-R", "u+rwX", scratch], seconds=SECONDS)


def _name(reference: str) -> str:
    """Return the name of an image's entry; that of a local one depends on its content as well."""
    file = on_this_host(reference)
    if file is None:
        return cache.digest(RECIPE, reference)
    # Of a layout, the index has the digests of all the rest.
    file = file / "index.json" if file.is_dir() else file
    try:
        digest = checksum(file)
    except UserError as error:
        raise MeasurementError(str(error).removesuffix(".")) from error
    return cache.digest(RECIPE, [reference, digest])


def _find(root: Root, settings: _Settings) -> Program:
    """Find the HAProxy of an unpacked image. Raises MeasurementError when there is none."""
    for path in _candidates(settings):
        if root.read(path):
            return read_program(root, path)
    raise MeasurementError("it has no haproxy in its PATH")


def _candidates(settings: _Settings) -> Iterator[str]:
    """Yield where an image's HAProxy may be: its command, and the folders of its PATH."""
    for word in (*(settings.Entrypoint or ()), *(settings.Cmd or ())):
        if posixpath.isabs(word) and posixpath.basename(word) == "haproxy":
            yield word
    variables = dict(each.partition("=")[::2] for each in settings.Env or ())
    for folder in variables.get("PATH", _PATH).split(":"):
        yield posixpath.join("/", folder, "haproxy")


def _run(folder: Path, *command: str) -> str:
    if shutil.which(command[0]) is None:
        raise UserError(
            f"{command[0]} is not installed, which images need: apt-get install skopeo umoci"
        )
    try:
        return process.run(command, seconds=SECONDS, cwd=folder)
    except process.CommandError as error:
        reason = _REASON.search(error.output)
        said = reason[1].replace(r"\"", '"') if reason else tail(error.output, 1)
        raise MeasurementError(said or str(error)) from error
