"""Labels of addresses, such as `192.168.42.43:80` and `*:81`, as people speak of them."""

from __future__ import annotations

from collections.abc import Iterable


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """Addresses as people speak of them, `.44` and `:81`, where that is clear; else in full."""
    short = {label: _short(label) for label in labels}
    is_clear = len(set(short.values())) == len(short)
    return short if is_clear else {label: label for label in short}


def _short(label: str) -> str:
    address, colon, port = label.rpartition(":")
    if not colon:  # a UNIX socket
        return label
    if address == "*":
        return f":{port}"
    separator = ":" if ":" in address else "."
    return separator + address.rpartition(separator)[2]
