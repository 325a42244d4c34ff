"""HAProxy's start on a host: its systemd unit and its process."""

from __future__ import annotations

import base64
import contextlib
import itertools
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
"""Commands that print the unit, the PID of its main process (0 without one), and a line for each
process called haproxy: its PID, its parent's, its user, its limit of open files, its arguments."""

_TYPES = ("exec", "forking", "notify", "notify-reload", "oneshot", "simple")
_AMOUNT = r"\d{1,15}[KMGTPE]?|infinity"
_SPAN = r"(?:\d{1,9}(?:us|ms|s|sec|min|m|h|hr)? ?){1,4}|infinity"
_SETTINGS: Mapping[str, re.Pattern[str]] = {
    **{
        f"Limit{name}": re.compile(rf"(?:{_AMOUNT})(?::(?:{_AMOUNT}))?")
        for name in ("AS", "CORE", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NOFILE",
                     "NPROC", "RSS", "SIGPENDING", "STACK")
    },
    **{
        f"{name}Sec": re.compile(_SPAN)
        for name in ("Restart", "Timeout", "TimeoutStart", "TimeoutStop", "Watchdog")
    },
    "KillMode": re.compile("control-group|mixed|none|process"),
    "KillSignal": re.compile("SIG(?:HUP|INT|KILL|QUIT|TERM|USR1|USR2)"),
    "Nice": re.compile(r"-?\d{1,2}"),
    "NoNewPrivileges": re.compile("yes|no|true|false|on|off|1|0"),
    "OOMScoreAdjust": re.compile(r"-?\d{1,4}"),
    "Restart": re.compile("always|no|on-abnormal|on-abort|on-failure|on-success|on-watchdog"),
    "SendSIGKILL": re.compile("yes|no|true|false|on|off|1|0"),
    "TasksMax": re.compile(rf"{_AMOUNT}|\d{{1,3}}%"),
}  # fmt: skip
"""The settings of a unit on which a reload depends, with the form of their values (systemd.exec(5),
systemd.kill(5), systemd.service(5), systemd.resource-control(5))."""
_DROP_IN = re.compile(r"^# /.+\.conf$", re.MULTILINE)

_FLAGS = ("-4", "-D", "-V", "-W", "-Ws", "-db", "-dG", "-dL", "-dM", "-dR", "-dS", "-dV", "-dW",
          "-dZ", "-de", "-di", "-dk", "-dl", "-dp", "-dr", "-ds", "-dv", "-q")  # fmt: skip
_VALUED = {"-C", "-L", "-S", "-cc", "-m", "-n", "-N", "-x"}


@dataclass(frozen=True)
class Process:
    """A running HAProxy; `nofile` is how many files it may open, None if that is not known."""

    pid: int
    parent: int
    user: int
    nofile: int | None
    words: tuple[str, ...]


def processes(listed: str) -> list[Process]:
    """Return the processes that PROCESSES printed."""
    found = []
    for line in listed.splitlines():
        # The line of a process that has just ended is empty, or cut short.
        with contextlib.suppress(ValueError):
            pid, parent, user, nofile, argv = line.split()
            limit = None if nofile == "-" else int(nofile)
            words = base64.b64decode(argv).decode(errors="replace").rstrip("\0").split("\0")
            found.append(Process(int(pid), int(parent), int(user), limit, tuple(words)))
    return found


def main_process(found: Sequence[Process], unit: str) -> Process | None:
    """Return the process that the unit started, else root's before another's, a master first."""
    pids = {process.pid for process in found}
    return min(
        found,
        key=lambda each: (str(each.pid) != unit.strip(), each.user, each.parent in pids, each.pid),
        default=None,
    )


@dataclass(frozen=True)
class Service:
    """The sections [Service] of a unit and its drop-ins: the values of each setting, in order."""

    settings: Mapping[str, tuple[str, ...]]
    drop_ins: int = 0

    @property
    def kind(self) -> str:
        """Return the unit's type; an empty text if systemd has no such type."""
        return self.last("Type") if self.last("Type") in _TYPES else ""

    @property
    def kept(self) -> dict[str, str]:
        """Return the settings on which a reload depends, if their values have the known forms."""
        known = {name: self.last(name) for name in _SETTINGS}
        return {name: each for name, each in known.items() if _SETTINGS[name].fullmatch(each)}

    @property
    def nofile(self) -> int | None:
        """Return how many files HAProxy may have open by the unit."""
        found = re.match(r"\d{1,9}(?=$|:)", self.last("LimitNOFILE"))
        return int(found[0]) or None if found else None

    def last(self, name: str) -> str:
        """Return the last value of a setting, or an empty text."""
        return (self.settings.get(name) or ("",))[-1]

    @property
    def environment_files(self) -> list[str]:
        """Return their paths; one with a leading `-` may be missing (systemd.exec(5))."""
        return [each.removeprefix("-") for each in self.settings.get("EnvironmentFile", ())]

    def variables(self, environment_files: Iterable[str]) -> dict[str, str]:
        """Return the environment that the unit and the texts of its files set."""
        texts = [*self.settings.get("Environment", ()), *environment_files]
        parts = (word.partition("=") for text in texts for word in _split(text))
        return {name: value for name, _, value in parts}

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """Return the command that starts HAProxy, with the values of its variables."""
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
    """Return the settings of a unit as `systemctl cat` prints it.

    An empty setting takes back those above it.
    """
    settings: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        name, is_setting, value = (part.strip() for part in line.partition("="))
        if line.startswith("["):
            section = line.strip()
        elif is_setting and section == "[Service]" and not line.lstrip().startswith(("#", ";")):
            settings[name] = (*settings.get(name, ()), value) if value else ()
    return Service(settings, len(_DROP_IN.findall(text)))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a quote that does not end
        return text.split()


@dataclass(frozen=True)
class Arguments:
    """Arguments of HAProxy (its management guide, section 3).

    `configurations` are the files and folders of `-f`, in order. `others` are the rest, without
    `-p` and those that a master adds at a reload. HAProxy is started in `folder` (`-C`, else the
    root).
    """

    configurations: tuple[str, ...]
    others: tuple[str, ...]
    folder: str

    @property
    def has_master(self) -> bool:
        """True if a master reloads HAProxy."""
        return not {"-W", "-Ws"}.isdisjoint(self.others)

    @property
    def kept(self) -> list[str]:
        """Return the arguments that are flags, or have a number as their value."""
        kept: list[str] = []
        for word, after in itertools.zip_longest(self.others, self.others[1:], fillvalue=""):
            if word in ("-m", "-n", "-N") and after.isdecimal() and len(after) < 10:
                kept += [word, after]
            elif word in _FLAGS:
                kept.append(word)
        return kept


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Return the arguments of a command that starts HAProxy; its first word is the program."""
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
