"""Image references, as skopeo(1) has them: a transport, and what it transports."""

from __future__ import annotations

import re
from pathlib import Path

from hatester.util.errors import UserError
from hatester.util.paths import resolve_path
from hatester.util.text import quoted

DOCKER = "docker://"
"""A registry's; by default, Docker Hub's."""
_FILES = ("oci:", "oci-archive:", "docker-archive:")
_IN_A_REGISTRY = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?"  # a registry
    r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"  # a tag
    r"(?:@sha256:[0-9a-f]{64})?"
)
"""An image's name (distribution-spec, Pulling manifests)."""


def has_transport(text: str) -> bool:
    """Return whether a text begins as a reference with a transport does."""
    return text.startswith((DOCKER, *_FILES))


def reference(text: str) -> str:
    """Return a reference with its transport; without one, it is a registry's.

    Raises ValueError for any other text.
    """
    if text.startswith(_FILES) and text.isprintable():
        if not text.split(":")[1]:
            raise ValueError(f"{quoted(text)} names no file")
        return text
    if not _IN_A_REGISTRY.fullmatch(text.removeprefix(DOCKER)):
        raise ValueError(
            f"{quoted(text)} is not an image such as haproxy:1.8.26 or oci:/path/to/layout"
        )
    return DOCKER + text.removeprefix(DOCKER)


def on_this_host(reference: str) -> Path | None:
    """Return the file, or the folder of a layout, that a reference names; None for a registry's."""
    transport, _, rest = reference.partition(":")
    # skopeo takes the first colon of the rest to begin a tag.
    return Path(rest.partition(":")[0]) if f"{transport}:" in _FILES else None


def resolve_paths(reference: str, folder: Path) -> str:
    """Return the reference with a relative path taken from `folder`.

    Raises UserError if the whole path has a colon, which would begin a tag.
    """
    transport, _, rest = reference.partition(":")
    path, colon, tag = rest.partition(":")
    if on_this_host(reference) is None or not path:
        return reference
    whole = resolve_path(path, folder)
    if ":" in str(whole):
        raise UserError(f"{whole}: an image cannot be named by a path with a colon.")
    return f"{transport}:{whole}{colon}{tag}"
