"""Odd values and hostile names, and the form of a refusal."""

from __future__ import annotations

import copy
import datetime
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from hatester.util.errors import UserError

NAMES = (
    "a b", "a\tb", "a\nb", "a\rb", "-x", "--help", "-oProxyCommand=reboot", "$(reboot)", "`reboot`",
    "a;reboot", "a&&reboot", "a|reboot", "a>b", "a'b", 'a"b', "a\\b", "a\\", "*", "?", "[a]", "~",
    "~nobody", "{a,b}", "a#b", "#", "!x", "%i", "%%", "$HOME", "${HOME}", "a=b", "a,b", "a:b",
    "@host", "..", ".", "../..", "/", "/etc/passwd", "a/b", "ünïcode", "名前", "\u202eabc",
    "\u2028", "\x00", "a\x00b", "\x1b[31m", "\x1b]0;x\x07", "\x85", "\ud800", "\ufeff", "", " ",
    "x" * 300,
)  # fmt: skip
"""Names that a shell, a terminal, a path or a program's options would make something else of."""
ADDRESSES = (
    "fd00::1%eth0", "fd00::1%$(reboot)", "fd00::1%a\nlink delete dummy0/64", "192.168.42.43/33",
    "192.168.42.43:٨٠", "192.168.42.43:0080", "::ffff:1.2.3.4", "0x7f.1", "1", "[::1]:80", "*:0",
    "*:" + "9" * 5000, ":80", "a:80", "10.0.0.1/8:80",
)  # fmt: skip

names = st.sampled_from(NAMES) | st.text(max_size=30) | st.sampled_from(ADDRESSES)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, 1e308, -math.inf, math.inf, math.nan, 0.0, "", "null", "y", "1e3"])
    | st.floats()
    | st.dates(datetime.date(1, 1, 1))
    | st.binary(max_size=5)
    | names
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=6,
)
"""Whatever YAML can write, in the place of something else."""


def examples(factor: float) -> settings:
    """So many times as many examples as other tests have: fewer where each takes its time."""
    assert settings.default
    return settings(max_examples=max(round(settings.default.max_examples * factor), 1))


@contextmanager
def refused(*needed: str) -> Iterator[None]:
    """Let it succeed, or be refused with a good UserError.

    That is one line, not too long, without control characters or our own insides, which names one
    of `needed`.
    """
    try:
        yield
    except UserError as error:
        sentence = str(error)
        assert any(each in sentence for each in needed), sentence
        assert all(each.isprintable() for each in sentence), sentence
        assert len(sentence) < 1500, sentence
        assert not re.search(r"\w(Error|Exception)\b|<\w+ object|Traceback", sentence), sentence


@st.composite
def mutated(draw: st.DrawFn, content: Any) -> Any:
    """Draw a copy of nested lists and dictionaries with one to three changes.

    A thing becomes another value, is gone, is there twice, or has another name.
    """
    content = [copy.deepcopy(content)]
    for _ in range(draw(st.integers(1, 3))):
        inside, key = draw(st.sampled_from([*_places(content)]))
        match draw(st.sampled_from(["change", "change", "remove", "repeat", "rename", "wrap"])):
            case "remove":
                del inside[key]
            case "repeat" if isinstance(inside, list):
                inside.insert(key, copy.deepcopy(inside[key]))
            case "rename" if isinstance(inside, dict):
                inside[draw(scalars)] = inside.pop(key)
            case "wrap":
                inside[key] = draw(st.sampled_from([[inside[key]], {"x": inside[key]}]))
            case _:
                inside[key] = draw(values)
        if not content:
            return draw(values)
    return content[0]


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every list and dictionary with each of its keys."""
    if isinstance(content, list | dict):
        for key in range(len(content)) if isinstance(content, list) else content:
            yield content, key
            yield from _places(content[key])


BOMB = "".join(
    f"&{'abcdefghij'[n]} [{','.join(['*' + 'abcdefghij'[n - 1]] * 9)}]\n- " for n in range(1, 9)
)
SCRIBBLES = (
    "&a [*a]", "*nowhere", "!!python/object/apply:os.system ['touch pwned']", "!!binary x", "!x ",
    '"\\U00110000"', '"\\UFFFFFFFF"', '"\\ud800"', '"\\0"', "\t", "\0", "\ufeff", "\x85", "\u2028",
    "\x1b[2J", "[" * 400, "{a: " * 400, "- " * 400, "? " * 400, f"- &a [{'x,' * 9}]\n- {BOMB}x\n",
    "%YAML 9.9\n---\n", "%YAML " + "9" * 5000 + ".1\n---\n", "%TAG ! tag:x\n", "\n---\n", "\n...\n",
    "? [a]\n: b\n", "? {a: b}\n: c\n", "<<: *x", "<<: {a: b}", "'", '"', "|", "|9\n", ">-\n", "- ",
    ": ", "#", "{", "}", "]", ",", "@", "`", "&", "x" * 20_000,
)  # fmt: skip


@st.composite
def scribbled(draw: st.DrawFn, text: str) -> bytes:
    """Draw a text with something odd in it, or without some of it, in one encoding or another."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.just(at) | st.integers(at, len(text)))
        text = text[:at] + draw(st.sampled_from(SCRIBBLES) | st.text(max_size=5)) + text[end:]
    match draw(st.sampled_from(["plain", "plain", "plain", "mark", "lines", "wide", "bytes"])):
        case "mark":
            text = "\ufeff" + text
        case "lines":
            text = text.replace("\n", "\r\n")
        case "wide":
            return text.encode("utf-16", "surrogatepass")
        case "bytes":
            return text.encode(errors="replace") + draw(st.binary(max_size=4))
    return text.encode(errors="surrogatepass")
