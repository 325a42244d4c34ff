"""Words and lines of a configuration, as HAProxy reads them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.haproxy_config import Line, condition, parse, words

VALUES = {"PORT": "80", "TWO": "a  b", "EMPTY": "", "QUOTED": "it's \"#\\ x"}
lines = st.text().filter(lambda text: "\n" not in text)
snippets = st.lists(
    st.sampled_from(["a", " ", "\t", "\\", "'", '"', "#", "$", "{", "}", "PORT", "[*]", "-", "x41"])
).map("".join)


def texts(line: str, values: dict[str, str] | None = None) -> list[str]:
    return [word.text for word in words(line, values)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  bind *:80 # all", ["bind", "*:80"]),
        (r"a \# \ b \"c", ["a", "#", " b", '"c']),
        (r"""x "a \"b\" 'c'"d'e "f" \g' """, ["x", 'a "b" \'c\'de "f" \\g']),
        (r"hdr_reg(host) ^a\.b\\c\t\x41\x4", ["hdr_reg(host)", "^a\\.b\\c\tA\\x4"]),
        (r"'\x41 \' # \$A", ["\\x41 \\"]),
        (r'"\$PORT" \$PORT', ["$PORT", "\\$PORT"]),
        ("a#b c", ["a"]),
        ("a '' \"\" b", ["a", "", "", "b"]),
        ('x "no end # here', ["x", "no end # here"]),
        ("end\\", ["end\\"]),
        ("\t# nothing\r", []),
        ("bind :80\r", ["bind", ":80"]),
        ("a\vb\fc\u00a0d", ["a", "b", "c\u00a0d"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"$PORT" "${PORT}1" x"$PORT"y', ["80", "801", "x80y"]),
        ("$PORT '$PORT' ${PORT}", ["$PORT", "$PORT", "${PORT}"]),
        ('"${NONE-a b}" "${PORT-1}" "${EMPTY-1}"', ["a b", "80", ""]),
        ('x"${TWO[*]}"y "${TWO}"', ["xa", "by", "a  b"]),
        ('"$QUOTED"', ["it's \"#\\ x"]),
        ('"$NONE" "${NONE}" "$9" "${PORT"', ["$NONE", "${NONE}", "$9", "${PORT"]),
    ],
)
def test_variables_have_values_in_double_quotes(line: str, expected: list[str]) -> None:
    assert texts(line, VALUES) == expected


def test_a_variable_without_a_value_is_named() -> None:
    line = '"$PORT $NONE" "${.LINE}${OTHER[*]}${DEFAULT-}"'
    assert [word.variables for word in words(line, VALUES)] == [("NONE",), (".LINE", "OTHER")]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0"))), st.sampled_from("'\""))
def test_quoted_texts_are_words(wanted: list[str], quote: str) -> None:
    special = re.compile(r"[\\\"$]")
    quoted = [
        "'" + each.replace("'", "'\\''") + "'" if quote == "'"
        else '"' + special.sub(r"\\\g<0>", each) + '"'
        for each in wanted
    ]  # fmt: skip
    assert texts(" \t".join(quoted), VALUES) == wanted


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0"), min_size=1)))
def test_escaped_texts_are_words(wanted: list[str]) -> None:
    special = re.compile(r"[\s\\'\"#]", re.ASCII)
    escaped = [special.sub(lambda found: f"\\x{ord(found[0]):02X}", each) for each in wanted]
    assert texts(" ".join(escaped)) == wanted


@given(lines | snippets)
def test_a_word_is_where_it_says(line: str) -> None:
    for word in words(line):
        assert texts(line[word.start : word.end]) == [word.text]


@given(st.lists(snippets))
def test_lines_keep_their_source(sources: list[str]) -> None:
    text = "\n".join(sources)
    parsed = parse(text)
    assert "\n".join(line.source for line in parsed) == text
    assert [line.number for line in parsed] == list(range(1, len(parsed) + 1))


def place(line: Line) -> tuple[str, int, bool]:
    return line.section, line.start, line.is_conditional


def test_lines_know_their_section_and_condition() -> None:
    text = (
        "x\nglobal\n .if A\n  .if B\n a\n .endif\n .else\n b\n .endif\nc\n  'list'en d\n.endif\ne"
    )
    assert [place(line) for line in parse(text)] == [
        ("", 0, False), ("global", 2, False), ("global", 2, True), ("global", 2, True),
        ("global", 2, True), ("global", 2, True), ("global", 2, True), ("global", 2, True),
        ("global", 2, True), ("global", 2, False), ("listen", 11, False), ("listen", 11, False),
        ("listen", 11, False),
    ]  # fmt: skip


def test_a_condition_names_acls() -> None:
    line = "use_backend x if !a { path /if } or b || { src 1.2.3.4 } !{ dst ::1 }"
    assert condition(line.split()) == {"a", "b"}
