"""Declarations in YAML: read safely, and checked against a model; a mistake gets one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from yaml.composer import Composer

from hatester.util.errors import UserError
from hatester.util.paths import is_there
from hatester.util.text import brief, choices, printable, quoted

MOST_CHARACTERS = 4 << 20
"""Of a file."""
MOST_VALUES = 1_000_000
"""Of a file, with aliases expanded: a few lines can stand for billions."""
M = TypeVar("M", bound=pydantic.BaseModel)

_PROBLEMS = {
    "missing": "this key is missing",
    "unexpected_keyword_argument": "this key is not known",
    "extra_forbidden": "this key is not known",
    "string_too_long": "expected at most {max_length} characters",
    "string_too_short": "expected at least {min_length} characters",
    "too_long": "expected at most {max_length} of them",
    "too_short": "expected at least {min_length} of them",
    "less_than": "expected less than {lt:g}",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected keys",
    "mapping_type": "expected keys",
    "model_type": "expected keys",
    "json_invalid": "expected JSON",
}
"""Mistakes by pydantic's names for them, with what pydantic's context adds."""


_YAML = {
    "found character that cannot start any token": "a tab indents, or a value needs quotes",
    "did not find expected node content": "a value is missing at the end",
    "found unconstructable recursive node": "an alias contains itself",
}
"""Mistakes by the words of libyaml and PyYAML for them, where these say little."""


class Declaration(pydantic.BaseModel):
    """A declaration in a file: it has no unknown keys, and never changes."""

    model_config = pydantic.ConfigDict(frozen=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_all_keys(cls, content: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if content in ("", None):  # nothing is written there
            return {}
        if not isinstance(content, dict):
            raise ValueError(f"expected keys ({', '.join(known)}), got {quoted(content)}")
        for key in content:
            if key not in known:
                raise ValueError(f"there is no key {quoted(key)}{choices(key, known)}")
        return content


def load(path: Path, model: type[M]) -> M:
    """Read a YAML file as `model`. Raises UserError naming the file, the entry and the choices."""
    return checked(content(path), model, str(path), path.parent)


def text_of(path: Path) -> str:
    """Return the content of a text file, line ends and all. Raises UserError naming the file."""
    name = printable(str(path))
    if is_there(path) and not path.is_file() and not path.is_dir():
        raise UserError(f"{name} is not a regular file.")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text.") from error
    except ValueError as error:
        raise UserError(f"{name} is not a file name.") from error
    if "\0" in text:
        raise UserError(f"{name} is not text: it has a NUL byte.")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{name} is too long: more than {MOST_CHARACTERS} characters.")
    return text


def content(path: Path) -> object:
    """Return the content of a YAML file: strings, and lists and dictionaries of them.

    Raises UserError naming the file.
    """
    text = text_of(path)
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context or ""
        raise UserError(f"{path}{line}: {_YAML.get(problem, problem)}.") from error
    except yaml.reader.ReaderError as error:
        character = f"U+{error.character:04X}, at position {error.position}"
        raise UserError(f"{path} is not YAML: it has the character {character}.") from error


class _Loader(Composer, yaml.CBaseLoader):
    """A loader for which all scalars are strings, since 5.10 is a version and not a number.

    No key comes twice, and no tag makes anything else of a value. libyaml parses, since PyYAML
    takes four times as long. PyYAML composes: where nesting is deep, libyaml uses up the stack.
    """

    def __init__(self, text: str) -> None:
        yaml.CBaseLoader.__init__(self, text)
        Composer.__init__(self)

    def construct_document(self, node: yaml.Node) -> Any:
        if _size(node, {}) > MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"with its aliases, this is more than {MOST_VALUES} values",
                problem_mark=node.start_mark,
            )
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in keys:
                problem = "comes twice" if isinstance(key, str) else "is not a name"
                raise yaml.MarkedYAMLError(
                    problem=f"{quoted(key)} {problem}", problem_mark=key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Return how many values a node stands for; one that is within itself counts as one."""
    if node not in known:
        known[node] = 1
        if isinstance(node, yaml.SequenceNode):
            known[node] += sum(_size(each, known) for each in node.value)
        elif isinstance(node, yaml.MappingNode):
            known[node] += sum(_size(each, known) for pair in node.value for each in pair)
    return known[node]


def checked(content: object, model: type[M], place: str, folder: Path = Path()) -> M:
    """Return a declaration as `model`; paths in it are relative to `folder`.

    Raises UserError, which begins with `place`.
    """
    try:
        return model.model_validate(content, context={"folder": folder})
    except pydantic.ValidationError as error:
        raise UserError(f"{place}: {sentence(error)}") from error


def text_form(pattern: str, words: str) -> pydantic.AfterValidator:
    """Return a validator for texts that match a pattern; messages have the words instead of it."""
    form = re.compile(pattern)

    def validate(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"expected {words}, got {quoted(text)}")
        return text

    return pydantic.AfterValidator(validate)


def sentence(error: pydantic.ValidationError) -> str:
    """Return the first mistake: where it is, what it is, and what was written there."""
    first = error.errors()[0]
    place = ": ".join(brief(str(part)) for part in first["loc"] if part != "[key]")
    if first["type"] == "value_error":
        problem = str(first["ctx"]["error"])
    else:
        problem = _PROBLEMS.get(first["type"], "expected something else")
        problem = problem.format(**first.get("ctx", {}))
        if first["type"] != "missing":
            problem += f", got {quoted(first['input'])}"
    return f"{place}: {problem}." if place else f"{problem}."


def require(name: str, known: Iterable[str], place: str) -> None:
    """Raise UserError when `name` is not among `known`; `place` says where it was named."""
    there = list(known)
    if name not in there:
        raise UserError(f"{place}: there is no {quoted(name)}{choices(name, there)}.")
