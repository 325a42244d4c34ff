"""What is tested: the declarations under `matrix/`, checked as they are read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from hatester.errors import UserError

NAME = r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$"
"""Names stand in cell ids, file names and `vagrant up NAME`."""

METHODS = ("signal",)
"""How a reload is asked for: SIGUSR2 to the master (HAProxy's management guide, section 4)."""

Name = Annotated[str, pydantic.StringConstraints(pattern=NAME)]
Line = Annotated[str, pydantic.StringConstraints(pattern=r"^[^\n\r]+$")]
SysctlName = Annotated[
    str, pydantic.StringConstraints(pattern=r"^[a-z0-9_]+([./][A-Za-z0-9_-]+)+$")
]
Version = Annotated[str, pydantic.StringConstraints(pattern=r"^\d[A-Za-z0-9.+~-]*$")]
M = TypeVar("M", bound=pydantic.BaseModel)


class Declaration(pydantic.BaseModel):
    """Anything that a file under `matrix/` declares: no unknown keys, never changed."""

    model_config = pydantic.ConfigDict(frozen=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_all_keys(cls, content: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if content in ("", None):  # nothing is written there
            return {}
        if not isinstance(content, dict):
            raise ValueError(f"here belong keys ({', '.join(known)}), not {content!r}")
        for key in content:
            if key not in known:
                raise ValueError(f"there is no key '{key}'{_choices(key, known)}")
        return content


class Kernel(Declaration):
    """A Linux kernel and the system around it; one guest."""

    suite: Name
    version: Version | None = None
    flavour: Name = "cloud"
    system: Name = "bookworm"


class Build(Declaration):
    """A HAProxy, with where it comes from."""

    suite: Name
    version: Version | None = None


class Setting(Declaration):
    """What is applied before HAProxy starts."""

    description: str = ""
    sysctls: Mapping[SysctlName, Line] = {}
    arguments: tuple[Line, ...] = ()
    global_lines: tuple[Line, ...] = pydantic.Field(default=(), alias="global")
    bind: tuple[Line, ...] = ()


class Selection(Declaration):
    """The names whose combinations are the cells."""

    kernels: tuple[str, ...]
    haproxy: tuple[str, ...]
    settings: tuple[str, ...]
    scenarios: tuple[str, ...]
    methods: tuple[str, ...]


class _Kernels(Declaration):
    kernels: Mapping[Name, Kernel]


class _Builds(Declaration):
    builds: Mapping[Name, Build]


class _Settings(Declaration):
    settings: Mapping[Name, Setting]


@dataclass(frozen=True)
class Matrix:
    """All that is declared, by name; and what runs by default."""

    folder: Path
    kernels: Mapping[str, Kernel]
    builds: Mapping[str, Build]
    settings: Mapping[str, Setting]
    scenarios: tuple[str, ...]
    default: Selection


def load_matrix(folder: Path) -> Matrix:
    """Read `folder`; the scenarios only by name, since most runs need few of them.

    Raises UserError naming the file, the entry and the choices.
    """
    matrix = Matrix(
        folder=folder,
        kernels=load(folder / "kernels.yml", _Kernels).kernels,
        builds=load(folder / "haproxy.yml", _Builds).builds,
        settings=load(folder / "settings.yml", _Settings).settings,
        scenarios=tuple(sorted(p.parent.name for p in folder.glob("scenarios/*/scenario.yml"))),
        default=load(folder / "default.yml", Selection),
    )
    declared: Mapping[str, tuple[tuple[str, ...], Iterable[str]]] = {
        "kernels": (matrix.default.kernels, matrix.kernels),
        "haproxy": (matrix.default.haproxy, matrix.builds),
        "settings": (matrix.default.settings, matrix.settings),
        "scenarios": (matrix.default.scenarios, matrix.scenarios),
        "methods": (matrix.default.methods, METHODS),
    }
    for key, (names, choices) in declared.items():
        for name in names:
            require(name, choices, f"{folder / 'default.yml'}: {key}")
    return matrix


def require(name: str, choices: Iterable[str], place: str) -> None:
    """Raise UserError when `name` is none of `choices`; `place` says where it was named."""
    known = list(choices)
    if name not in known:
        raise UserError(f"{place}: there is no '{name}'{_choices(name, known)}.")


def _choices(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return f"{guess} (there are: {', '.join(known) or 'none'})"


class _Loader(yaml.BaseLoader):
    """All scalars are strings, since 5.10 is a version and no number; and no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in keys:
                problem = "comes twice" if key in keys else "is no name"
                raise yaml.MarkedYAMLError(
                    problem=f"'{key}' {problem}", problem_mark=key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path, model: type[M]) -> M:
    """Read a YAML file as `model`. Raises UserError naming the file, the entry and the choices."""
    try:
        content = yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {_sentence(error)}") from error


def _sentence(error: pydantic.ValidationError) -> str:
    """The first mistake: where it is, what it is, and what was written there."""
    first = error.errors()[0]
    place = ": ".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        problem = str(first["ctx"]["error"])
    else:
        problem = first["msg"][0].lower() + first["msg"][1:]
        if first["type"] != "missing":
            problem += f", not {first['input']!r}"
    return f"{place}: {problem}." if place else f"{problem}."
