"""How HAProxy is started on a host: what its systemd unit says, and its process."""

from __future__ import annotations

import base64
import contextlib
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

UNIT = "haproxy.service"
UNIT_TEXT = (
    f"systemctl cat --no-pager {UNIT} || cat /etc/systemd/system/{UNIT}"
    f" || cat /usr/lib/systemd/system/{UNIT} || cat /lib/systemd/system/{UNIT}"
    " || exit 127"
)
MAIN_PROCESS = f"systemctl show --property=MainPID --value {UNIT}"
PROCESSES = r"""
for p in /proc/[0-9]*; do
    read -r name <"$p/comm" && [ "$name" = haproxy ] || continue
    printf '%s %s %s %s %s\n' "${p#/proc/}" \
        "$(sed -n 's/^PPid:[^0-9]*//p' "$p/status")" \
        "$(sed -n 's/^Uid:[^0-9]*\([0-9]*\).*/\1/p' "$p/status")" \
        "$(sed -n 's/^Max open files *[0-9]* *\([0-9]*\) .*/\1/p' "$p/limits" | grep . || echo -)" \
        "$(base64 "$p/cmdline" | tr -d '\n')"
done
:
"""
"""The commands that tell of the unit, the PID of its main process (0 without one), and a line for
each process called haproxy: its PID, its parent's, its user, its limit of open files, and its
arguments."""

_VALUED = {"-C", "-L", "-S", "-cc", "-m", "-n", "-N", "-x"}


@dataclass(frozen=True)
class Process:
    """A running HAProxy; `nofile` is the most files that it may open, None when not told."""

    pid: int
    parent: int
    user: int
    nofile: int | None
    words: tuple[str, ...]


def processes(listed: str) -> list[Process]:
    """The processes of what PROCESSES prints."""
    found = []
    for line in listed.splitlines():
        # One that ended meanwhile has told nothing, or half of it.
        with contextlib.suppress(ValueError):
            pid, parent, user, nofile, argv = line.split()
            limit = None if nofile == "-" else int(nofile)
            words = base64.b64decode(argv).decode(errors="replace").rstrip("\0").split("\0")
            found.append(Process(int(pid), int(parent), int(user), limit, tuple(words)))
    return found


def main_process(found: Sequence[Process], unit: str) -> Process | None:
    """The one that the unit started, else root's before another's, and a master, not a worker."""
    pids = {process.pid for process in found}
    return min(
        found,
        key=lambda each: (str(each.pid) != unit.strip(), each.user, each.parent in pids, each.pid),
        default=None,
    )


@dataclass(frozen=True)
class Service:
    """What the sections [Service] of a unit and its drop-ins say, a later one over an earlier."""

    settings: Mapping[str, tuple[str, ...]]

    def last(self, name: str) -> str:
        return (self.settings.get(name) or ("",))[-1]

    @property
    def environment_files(self) -> list[str]:
        """Their paths; a leading `-` only says that one may be missing (systemd.exec(5))."""
        return [each.removeprefix("-") for each in self.settings.get("EnvironmentFile", ())]

    def words(self, environment_files: Iterable[str]) -> list[str]:
        """The command that starts it, with its variables as the files' texts have them."""
        variables: dict[str, str] = {}
        texts = [*self.settings.get("Environment", ()), *environment_files]
        for word in (word for text in texts for word in _split(text)):
            name, _, value = word.partition("=")
            variables[name] = value
        command: list[str] = []
        for word in _split(self.last("ExecStart").lstrip("@-:+!")):
            whole = re.fullmatch(r"\$(\w+)", word)
            if whole:
                command += variables.get(whole[1], "").split()
            else:
                command.append(
                    re.sub(r"\$\{(\w+)\}", lambda found: variables.get(found[1], ""), word)
                )
        return command


def parse_unit(text: str) -> Service:
    """A unit's text, as `systemctl cat` prints it: an empty setting takes back what is above it."""
    settings: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        name, is_setting, value = (part.strip() for part in line.partition("="))
        if line.startswith("["):
            section = line.strip()
        elif is_setting and section == "[Service]" and not line.lstrip().startswith(("#", ";")):
            settings[name] = (*settings.get(name, ()), value) if value else ()
    return Service(settings)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a quote that does not end
        return text.split()


@dataclass(frozen=True)
class Arguments:
    """HAProxy's own (its management guide, section 3).

    `configurations` are the files and folders of `-f`, in order; `others` what is left without
    them, without `-p`, and without what a master adds as it reloads. `folder` is the one in which
    it is started, by `-C`; systemd starts it in the root.
    """

    configurations: tuple[str, ...]
    others: tuple[str, ...]
    folder: str

    @property
    def has_master(self) -> bool:
        return not {"-W", "-Ws"}.isdisjoint(self.others)


def parse_arguments(words: Sequence[str]) -> Arguments:
    """The arguments of a command that starts HAProxy; its first word is the program."""
    configurations: list[str] = []
    others: list[str] = []
    folder = "/"
    rest = [*words[1:]]
    while rest:
        option = rest.pop(0)
        if option == "--":
            configurations += rest
            break
        if option in ("-sf", "-st"):
            while rest and rest[0].isdecimal():
                rest.pop(0)
        elif option in {"-f", "-p", *_VALUED} and rest:
            value = rest.pop(0)
            if option == "-f":
                configurations.append(value)
            elif option != "-p" and not (option == "-x" and value.startswith("sockpair@")):
                others += [option, value]
            if option == "-C":
                folder = posixpath.join("/", value)
        else:
            others.append(option)
    return Arguments(
        tuple(posixpath.normpath(posixpath.join(folder, each)) for each in configurations),
        tuple(others),
        folder,
    )
