"""Stand-ins for the files that a host's configuration names: as slow to load, with other content.

The capture keeps a file's kind and numbers: of certificates, of their kinds of keys and of their
names, or of entries. A run makes the content.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import pydantic
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hatester.matrix.surroundings import placeholder_files
from hatester.util.pem import BLOCK, LookAlikes
from hatester.util.validation import Declaration

Kind = Literal["certificate", "authorities", "revocations", "tickets", "map", "list"]
"""The purpose of a file; `authorities` are certificates without a key, a `list` is a crt-list."""
Key = Literal["RSA 2048", "RSA 3072", "RSA 4096", "ECDSA P-256", "ECDSA P-384", "ECDSA P-521"]
"""A key's kind and size."""
Match = Literal["beg", "dir", "dom", "end", "int", "ip", "len", "reg", "str", "sub"]
Count = Annotated[int, pydantic.Field(ge=0, le=10_000_000)]

_USUAL: Key = "ECDSA P-256"
_SIZES: Mapping[int, Key] = {2048: "RSA 2048", 3072: "RSA 3072", 4096: "RSA 4096"}
_CURVES: Mapping[Key, ec.EllipticCurve] = {
    "ECDSA P-256": ec.SECP256R1(),
    "ECDSA P-384": ec.SECP384R1(),
    "ECDSA P-521": ec.SECP521R1(),
}
_MOST_NAMES = 1000


class StandIn(Declaration):
    """A file that is made in the place of a host's.

    `keys` has the number of certificates with a key of each kind. The first one of a `certificate`
    is HAProxy's own, and is for so many host `names`. `entries` are a map's, and `match` says how
    its keys are compared.
    """

    kind: Kind
    keys: Mapping[Key, Count] = {}
    names: Count = 0
    entries: Count = 0
    match: Match = "str"


def describe(kind: Kind, text: str) -> StandIn | None:
    """Return the stand-in of a file with certificates; None if the file has none."""
    blocks = [each[0] for each in BLOCK.finditer(text) if "CERTIFICATE" in each["label"]]
    if not blocks:
        return None
    read = [*map(_read, blocks)]
    return StandIn(kind=kind, keys=collections.Counter(key for key, _ in read), names=read[0][1])


def unread(kind: Kind) -> StandIn:
    """Return the stand-in of a file that could not be read: the smallest that HAProxy takes."""
    keys: dict[Key, int] = {_USUAL: 1} if kind in ("certificate", "authorities") else {}
    return StandIn(kind=kind, keys=keys, names=1 if keys else 0)


def _read(block: str) -> tuple[Key, int]:
    """Return the kind of a certificate's key, and how many host names it is for."""
    try:
        certificate = x509.load_pem_x509_certificate(block.encode(errors="replace"))
        key = certificate.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        count = len([*names.value])
    except x509.ExtensionNotFound:
        count = 1
    except Exception:
        return _USUAL, 1
    return _kind(key), min(count, _MOST_NAMES)


def _kind(key: object) -> Key:
    """Return the kind of a key; of an unknown one, the next larger or the usual one."""
    if isinstance(key, rsa.RSAPublicKey):
        return next((kind for bits, kind in _SIZES.items() if key.key_size <= bits), _SIZES[4096])
    if isinstance(key, ec.EllipticCurvePublicKey):
        kinds = {curve.name: kind for kind, curve in _CURVES.items()}
        return kinds.get(key.curve.name, _USUAL)
    return _USUAL


class Maker:
    """Makes the content of stand-ins, with one key of each kind.

    `look_alikes` makes the authorities by which the certificates of servers are checked.
    """

    def __init__(self, look_alikes: LookAlikes) -> None:
        self._look_alikes = look_alikes

    def content(self, path: str, wanted: StandIn) -> str:
        """Return the content of the stand-in at a path."""
        if wanted.kind in ("certificate", "authorities"):
            return self._certificates(path, wanted)
        if wanted.kind == "map":
            return _map(wanted)
        keyword = "crl-file" if wanted.kind == "revocations" else "tls-ticket-keys"
        return placeholder_files.content_of(
            placeholder_files.Wanted(keywords={keyword}), self._look_alikes
        )

    def _certificates(self, path: str, wanted: StandIn) -> str:
        site = path.strip("/").replace("/", "-").rpartition(".")[2]
        kinds = [key for key, count in wanted.keys.items() for _ in range(count)]
        names = [f"{n}.{site}.invalid" for n in range(1, wanted.names + 1)] or [f"{site}.invalid"]
        first, *others = map(self._of_kind, kinds)
        made = [first.certificate(names)]
        made += [each.certificate([f"ca{n}.{site}.invalid"]) for n, each in enumerate(others)]
        if wanted.kind == "certificate":
            return "".join([first.private_key(), *made])
        return "".join([*made, self._look_alikes.certificate([placeholder_files.NOBODY])])

    @functools.cache  # noqa: B019 - a Maker lives as long as one run is prepared
    def _of_kind(self, kind: Key) -> LookAlikes:
        if curve := _CURVES.get(kind):
            return LookAlikes(ec.generate_private_key(curve))
        return LookAlikes(rsa.generate_private_key(65537, int(kind.removeprefix("RSA "))))


_KEYS: Mapping[str, Callable[[int], str]] = {
    "int": str,
    "len": str,
    "ip": lambda n: f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32",
    "reg": "^/{:07}/.*$".format,
}
"""The key of a map's entry with the number `n`, by the way in which keys are compared."""


def _map(wanted: StandIn) -> str:
    key = _KEYS.get(wanted.match, "key{:07}".format)
    return "".join(f"{key(n)} value\n" for n in range(wanted.entries))
