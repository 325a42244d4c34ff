"""HAProxy's own places for secrets: which words of a configuration are replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from hatester.capture.placeholders import Form
from hatester.capture.redaction import SENSITIVE, Redaction, is_plain
from hatester.matrix.haproxy_config import Word, words
from hatester.matrix.surroundings.named_files import Named, named, named_by_list

Names = Callable[[Sequence[Word]], Iterable[Named]]
Secret = tuple[int, str, Form]
"""The index of a word that is a secret, what it is, and the form of what stands for it."""

# After a header's (or parameter's) name, so many words say what it is set to.
_SETS = {
    "set-header": 1, "add-header": 1, "replace-header": 2, "replace-value": 2, "hdr": 1,
    "set-param": 1, "setenv": 1, "presetenv": 1,
}  # fmt: skip
_ALONE = ("dynamic-cookie-key", "cluster-secret", "acme-vars")
_OPERATORS = ("eq", "ge", "gt", "le", "lt")
_TYPED = re.compile(r"_(?:cnt|val|ip|len)\(|,(?:length|ip)\b|_cnt$")
_NO_TEXT = (["int"], ["len"], ["ip"], ["found"], ["bool"], ["bin"])
_CONVERTER = re.compile(
    r"(?P<before>\b(?P<name>hmac|aes_\w+|jwt_\w+)\((?P<first>[^(),]*),)(?P<rest>[^()]*)(?=\))"
)
# Neither a variable, nor the path of a file.
_ARGUMENT = re.compile(r"(?<![^\s,\"'\\])(?!(?:proc|sess|txn|req|res|check)\.|/)[^\s,\"'\\]+")
_STRING = re.compile(r"(?P<before>\bstr\()(?P<secret>[^()]+)(?=\))")
_DECLARES = (
    "frontend", "backend", "listen", "defaults", "userlist", "peers", "resolvers", "mailers",
    "cache", "ring", "http-errors", "fcgi-app", "program", "log-forward", "crt-store", "acme",
    "server", "peer", "nameserver", "mailer", "acl", "group",
)  # fmt: skip


def configuration(text: str, redaction: Redaction) -> str:
    """A configuration that is read as before, with placeholders and without comments."""
    return _each(text, redaction, named)


def certificate_list(text: str, redaction: Redaction) -> str:
    """The same for a crt-list."""
    return _each(text, redaction, named_by_list)


def _each(text: str, redaction: Redaction, files: Names) -> str:
    return "\n".join(
        _line(line, number, redaction, files)
        for number, line in enumerate(text.split("\n"), start=1)
    )


def _line(line: str, number: int, redaction: Redaction, files: Names) -> str:
    found = words(line)
    paths = {each.index: each.path for each in files(found)}
    secret = {index: (what, form) for index, what, form in _secrets(found)}
    is_sensitive = SENSITIVE.search(line) is not None
    parts = []
    position = 0
    for index, word in enumerate(found):
        parts.append(line[position : word.start])
        position = word.end
        if index in secret and word.text:
            parts.append(redaction.put(word.text, number, *secret[index]))
        elif paths.get(index) == word.text:
            parts.append(word.raw)
        else:
            inner = _inside(word.raw, number, redaction, is_sensitive)
            parts.append(redaction.but_for(paths.get(index, "")).any_text(inner, number))
    return "".join(parts)


def declared(texts: Sequence[str]) -> frozenset[str]:
    """The names that configurations declare."""
    lines = (words(line) for text in texts for line in text.split("\n"))
    return frozenset(
        found[1].text for found in lines if len(found) > 1 and found[0].text in _DECLARES
    )


def _inside(raw: str, line: int, redaction: Redaction, is_sensitive: bool) -> str:
    """A word without the keys that are arguments of HAProxy's functions in it."""

    def keys(found: re.Match[str]) -> str:
        form: Form = "text" if found["name"].startswith("jwt") else "base64"
        rest = _ARGUMENT.sub(
            lambda key: redaction.put(key[0], line, "key of a function", form), found["rest"]
        )
        return found["before"] + rest

    raw = _CONVERTER.sub(keys, raw)
    if not is_sensitive:
        return raw
    return _STRING.sub(
        lambda found: found["before"] + redaction.put(found["secret"], line, "string"), raw
    )


def _secrets(found: Sequence[Word]) -> Iterator[Secret]:
    texts = [word.text for word in found]
    match texts:
        case ["user", _, *_]:
            for index, keyword in enumerate(texts[2:-1], start=2):
                if keyword in ("password", "insecure-password"):
                    form: Form = "crypt" if keyword == "password" else "text"
                    yield index + 1, "password of a user", form
        case [keyword, _, *_] if keyword in _ALONE:
            yield 1, keyword, "text"
        case ["stats", "auth", _, *_]:
            yield 2, "user and password of the statistics", "text"
    yield from _set_to(texts)
    yield from _sent(texts)
    yield from _compared(texts)


def _set_to(texts: Sequence[str]) -> Iterator[Secret]:
    """What headers, variables of the environment and options of programs are set to."""
    for index, keyword in enumerate(texts[:-1]):
        name = texts[index + 1]
        if keyword in _SETS and SENSITIVE.search(name):
            for place in range(index + 2, min(index + 2 + _SETS[keyword], len(texts))):
                yield place, f"value of {name}", "text"
        if keyword == "set-cookie":
            yield index + 1, "cookie", "text"
        if keyword.startswith("--") and SENSITIVE.search(keyword) and "=" not in keyword:
            yield index + 1, f"value of {keyword}", "text"
        if keyword.startswith("set-var-fmt(") and SENSITIVE.search(keyword.partition("(")[2]):
            yield index + 1, f"value of {keyword}", "text"


def _sent(texts: Sequence[str]) -> Iterator[Secret]:
    """What a health check says to a server, if that may be a login."""
    for index, keyword in enumerate(texts[:-1]):
        said = texts[index + 1]
        if keyword == "send-binary":
            yield index + 1, "what a health check sends", "hex"
        if keyword in ("send", "send-lf", "agent-send", "body") and (
            SENSITIVE.search(said) or re.search(r"(?i)\b(?:pass|login)\b", said)
        ):
            yield index + 1, "what a health check sends", "text"


def _compared(texts: Sequence[str]) -> Iterator[Secret]:
    """What a secret is compared with, in ACLs and anonymous ones."""
    starts = [index + 1 for index, text in enumerate(texts) if text == "{"]
    if texts[:1] == ["acl"]:
        starts.append(2)
    for start in starts:
        if start >= len(texts) or not SENSITIVE.search(texts[start]):
            continue
        if texts[start].lstrip("!").startswith(("http_auth(", "http_auth_group(")):
            continue
        yield from _patterns(texts, start)


def _patterns(texts: Sequence[str], start: int) -> Iterator[Secret]:
    """The patterns that follow a criterion and its flags (section 7.1.1), if they are texts."""
    if _TYPED.search(texts[start]):
        return
    index = start + 1
    while index < len(texts) and texts[index] not in ("{", "}"):
        text = texts[index]
        if text in _OPERATORS or (text == "-m" and texts[index + 1 : index + 2] in _NO_TEXT):
            return
        if text in ("-m", "-f"):
            index += 1
        elif text not in ("-i", "-n", "-u", "-M", "--") and not is_plain(text):
            yield index, f"what {texts[start]} is compared with", "text"
        index += 1
