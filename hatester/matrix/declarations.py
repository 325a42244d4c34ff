"""Declarations under `matrix/`, validated when they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pydantic

from hatester.matrix import image_reference
from hatester.util.errors import UserError
from hatester.util.paths import DECLARATIONS, resolve_path
from hatester.util.text import choices, quoted
from hatester.util.validation import Declaration, checked, content, load, require, text_form
from hatester.util.versions import is_older

NAME = r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}$"
"""Names stand in cell ids, file names and `vagrant up NAME`."""

METHODS: Mapping[str, str | None] = {
    "signal": "1.8",
    "cli": "1.9",
    "systemd": "1.8",
    "soft-finish": None,
}
"""The reload methods, and the first HAProxy that has each; None: every one has it.

signal is SIGUSR2 to the master (`-W`; HAProxy's management guide, sections 3 and 4), cli the
command `reload` of the master CLI (`-S`; section 9.4), systemd the packaged unit, whose master
notifies systemd when it is ready (`-Ws`; section 3), soft-finish a new process without a master
that asks the old one to finish (`-sf`; section 4).
"""

FLAVOURS: Mapping[str, str] = {"cloud": "-cloud-amd64", "generic": "-amd64", "rt": "-rt-amd64"}
"""Debian's flavours of a kernel, with what its releases (as of `uname -r`) end with."""

KERNEL_SOURCES: Mapping[str, tuple[str, ...]] = {
    "suite": ("version", "flavour"),
    "packages": (),
    "vmlinuz": ("modules",),
    "urls": (),
    "snapshot": ("version",),
}
"""The sources of a kernel, and the further keys of each."""

Name = Annotated[str, text_form(NAME, "a name of letters, digits and .+_-")]
Line = Annotated[str, text_form(r"[^\x00-\x08\x0a-\x1f\x7f]+", "a line of text")]
SysctlName = Annotated[
    str,
    text_form(
        r"[a-z0-9_]+([./][A-Za-z0-9_-]+)+", "the name of a sysctl, such as net.core.somaxconn"
    ),
]
First = Annotated[str, text_form(r"[0-9]{1,9}(\.[0-9]{1,9})*", "a version such as 5.14")]
Version = Annotated[
    str, text_form(r"[0-9][A-Za-z0-9.+~-]{0,99}", "a version such as 3.0 or 3.2.26-1")
]
KernelVersion = Annotated[
    str,
    text_form(
        r"[0-9*?\[][A-Za-z0-9.+~_*?!\[\]-]{0,99}",
        "a version such as 6.1, a release such as 6.1.0-18-amd64, or a pattern of releases",
    ),
]
Url = Annotated[str, text_form(r"(https?|file)://[!-~]+", "a URL (http, https or file)")]
Sha256 = Annotated[
    str,
    text_form(r"[0-9a-fA-F]{64}", "a SHA-256 of 64 hexadecimal digits"),
    pydantic.AfterValidator(str.lower),
]


_BOUND = re.compile(r"(?P<sign>>=|<)\s*(?P<version>[0-9]{1,9}(?:\.[0-9]{1,9})*)")


def _versions(text: str) -> str:
    if not all(_BOUND.fullmatch(each.strip()) for each in text.split(",")):
        raise ValueError(f"expected versions such as '>=2.3' or '>=2.0, <3.3', got {quoted(text)}")
    return text


Versions = Annotated[str, pydantic.AfterValidator(_versions)]
"""Bounds of versions, such as `>=2.0, <3.3`; the upper one is excluded."""


def is_within(version: str | None, bounds: str | None) -> bool:
    """Return True if a version is within bounds; one that is not known counts as such."""
    if version is None or bounds is None:
        return True
    return all(
        is_older(version, each["version"]) is (each["sign"] == "<")
        for each in _BOUND.finditer(bounds)
    )


def _some(content: object) -> object:
    if not isinstance(content, list | tuple) or not content:
        raise ValueError(f"expected a list of at least one name, got {quoted(content)}")
    return content


def _one_of(known: Iterable[str]) -> pydantic.AfterValidator:
    def validate(name: str) -> str:
        if name not in known:
            raise ValueError(f"there is no {quoted(name)}{choices(name, list(known))}")
        return name

    return pydantic.AfterValidator(validate)


def _path(text: object, info: pydantic.ValidationInfo) -> Path:
    """Return a path of a file, which may be relative to that file's folder."""
    if isinstance(text, Path):
        return text
    if not isinstance(text, str) or not text or not text.isprintable():
        raise ValueError(f"expected a path, got {quoted(text)}")
    try:
        return Path((info.context or {}).get("folder", "."), Path(text).expanduser()).absolute()
    except RuntimeError as error:  # there is no such user
        raise ValueError(f"{quoted(text)} names no folder: there is no such user") from error


Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_some)]
Files = Annotated[tuple[Line, ...], pydantic.BeforeValidator(_some)]
Image = Annotated[str, pydantic.AfterValidator(image_reference.reference)]
Method = Annotated[str, _one_of(METHODS)]
Methods = Annotated[tuple[Method, ...], pydantic.BeforeValidator(_some)]
Flavour = Annotated[str, _one_of(FLAVOURS)]
LocalPath = Annotated[Path, pydantic.BeforeValidator(_path)]


class Download(Declaration):
    """A file by its URL, and what it must be."""

    url: Url
    sha256: Sha256


class Kernel(Declaration):
    """A Linux kernel from one of KERNEL_SOURCES, and the system around it; one guest.

    Of a suite, `version` is the beginning of the package's version, a release as of `uname -r`, or
    a pattern of releases, which stands for several kernels. Of the snapshot archive, it is the
    beginning of the package's version. `packages` are files, folders and patterns of files.
    """

    suite: Name | None = None
    version: KernelVersion | None = None
    flavour: Flavour = "cloud"
    packages: tuple[LocalPath, ...] = ()
    vmlinuz: LocalPath | None = None
    modules: LocalPath | None = None
    urls: tuple[Download, ...] = ()
    snapshot: Name | None = None
    system: Name = "bookworm"
    description: Line = ""

    @pydantic.model_validator(mode="after")
    def _has_one_source(self) -> Kernel:
        given = [source for source in KERNEL_SOURCES if getattr(self, source)]
        if len(given) != 1:
            raise ValueError(
                f"a kernel comes from one of {', '.join(KERNEL_SOURCES)}, "
                f"not from {' and '.join(given) or 'none of them'}"
            )
        fitting = {*given, *KERNEL_SOURCES[given[0]], "system", "description"}
        for key in self.__class__.model_fields:
            if key in self.model_fields_set - fitting:
                raise ValueError(f"the key '{key}' is not for a kernel with {given[0]}")
        if self.is_pattern and not self.suite:
            raise ValueError(f"only a suite takes a pattern as version, such as '{self.version}'")
        return self

    @property
    def is_pattern(self) -> bool:
        """True if it stands for all kernels of a suite whose releases match its version."""
        return self.version is not None and any(each in self.version for each in "*?[")

    @property
    def linux(self) -> str | None:
        """Return its version, as far as it is declared."""
        return self.snapshot or self.version


class Build(Declaration):
    """A HAProxy, with where it comes from.

    That is a Debian suite, Debian packages on this host (their dependencies are in `suite`), a
    binary on this host, or an image. `version` is the beginning of its version; of a suite, one
    with a revision is wanted exactly. `upgrade_to` is the name of the build by which a scenario
    replaces it.
    """

    suite: Name | None = None
    version: Version | None = None
    packages: Files = ()
    path: Line | None = None
    image: Image | None = None
    upgrade_to: Name | None = None
    description: Line = ""

    @pydantic.model_validator(mode="after")
    def _come_from_one_place(self) -> Build:
        given = [name for name in ("suite", "packages", "path", "image") if getattr(self, name)]
        if len(given) != 1 and given != ["suite", "packages"]:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected one of suite, packages, path, image, got {found}")
        return self

    @property
    def has_unit(self) -> bool:
        """True if it comes with a unit for systemd, as packages do."""
        return not self.path and not self.image

    def resolve_paths(self, folder: Path) -> Build:
        """Return the build with relative paths taken from `folder`."""
        return self.model_copy(
            update={
                "packages": tuple(str(resolve_path(path, folder)) for path in self.packages),
                "path": self.path and str(resolve_path(self.path, folder)),
                "image": self.image and image_reference.resolve_paths(self.image, folder),
            }
        )


class Setting(Declaration):
    """Sysctls, arguments and options that are applied before HAProxy starts; their requirements.

    `linux` and `haproxy` are the first versions that have it, `methods` the reload methods to which
    it makes a difference. With `lenient`, a kernel may lack some of the sysctls. `takeover` are
    arguments of each further HAProxy by soft-finish, where no master adds them.
    """

    description: str = ""
    linux: First | None = None
    haproxy: First | None = None
    methods: Methods = tuple(METHODS)
    sysctls: Mapping[SysctlName, Line] = {}
    lenient: bool = False
    nofile: Annotated[int, pydantic.Field(gt=0)] | None = None
    unit: Mapping[Name, Line] = {}
    arguments: tuple[Line, ...] = ()
    takeover: tuple[Line, ...] = ()
    global_lines: tuple[Line, ...] = pydantic.Field(default=(), alias="global")
    bind: tuple[Line, ...] = ()


class Selection(Declaration):
    """The names whose combinations are the cells."""

    kernels: Names
    haproxy: Names
    settings: Names
    scenarios: Names
    methods: Names
    description: Line = ""


class _Kernels(Declaration):
    kernels: Mapping[Name, Kernel]


class _Builds(Declaration):
    builds: Mapping[Name, Build]


class _Settings(Declaration):
    settings: Mapping[Name, Setting]


@dataclass(frozen=True)
class Matrix:
    """All that is declared, by name; and the selections of one matrix file, whose union runs."""

    folder: Path
    name: str
    kernels: Mapping[str, Kernel]
    builds: Mapping[str, Build]
    settings: Mapping[str, Setting]
    scenarios: tuple[str, ...]
    selections: tuple[Selection, ...]
    described_builds: Mapping[str, str] = field(default_factory=dict)
    """The words of --haproxy that describe builds which are not declared, by their names."""
    described_kernels: Mapping[str, str] = field(default_factory=dict)
    """The words of --kernel that describe kernels which are not declared, by their names."""

    @property
    def declared(self) -> Mapping[str, Iterable[str]]:
        """Return all names, by the axes of a selection."""
        return {
            "kernels": self.kernels,
            "haproxy": self.builds,
            "settings": self.settings,
            "scenarios": self.scenarios,
            "methods": METHODS,
        }


def load_matrix(folder: Path, name: str = "default") -> Matrix:
    """Read `folder`, and of its matrix files the one called `name`.

    The scenarios are read only by name, since most runs need few of them. Raises UserError naming
    the file, the entry and the choices; or the flag `--matrix` when there is no such matrix file.
    """
    require(name, matrix_names(folder), "--matrix")
    written = _load_selections(folder / f"{name}.yml")
    matrix = Matrix(
        folder=folder,
        name=name,
        kernels=load(folder / "kernels.yml", _Kernels).kernels,
        builds={
            name: build.resolve_paths(folder)
            for name, build in load(folder / "haproxy.yml", _Builds).builds.items()
        },
        settings=load(folder / "settings.yml", _Settings).settings,
        scenarios=tuple(sorted(p.parent.name for p in folder.glob("scenarios/*/scenario.yml"))),
        selections=tuple(written.values()),
    )
    for pair, build in matrix.builds.items():
        if build.upgrade_to:
            place = f"{folder / 'haproxy.yml'}: {pair}: upgrade_to"
            require(build.upgrade_to, matrix.builds, place)
    for place, selection in written.items():
        for axis, declared in matrix.declared.items():
            for each in getattr(selection, axis):
                require(each, declared, f"{place}: {axis}")
    return matrix


def matrix_names(folder: Path) -> list[str]:
    """Return the names of the matrix files in `folder`."""
    return sorted({path.stem for path in folder.glob("*.yml")} - set(DECLARATIONS))


def _load_selections(path: Path) -> dict[str, Selection]:
    """Return the selections of a matrix file, by their places in it."""
    written = content(path)
    entries = {str(path): written}
    if isinstance(written, list):
        entries = {f"{path}: entry {i}": entry for i, entry in enumerate(written, start=1)}
    if not entries:
        raise UserError(f"{path}: expected at least one selection, got [].")
    return {place: checked(entry, Selection, place) for place, entry in entries.items()}
