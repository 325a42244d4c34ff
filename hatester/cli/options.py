"""Flags: what the user wrote, as what it means."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hatester.analysis.outcomes import OUTCOMES
from hatester.guests.host_capabilities import CLOCKS
from hatester.matrix.clients import read_clients
from hatester.matrix.plan import Wanted
from hatester.matrix.shards import choose_shard
from hatester.runner.run import Keep, RunOptions
from hatester.runner.start_or_resume import NewRun
from hatester.runner.user_config import Own, load_own
from hatester.util.errors import UserError
from hatester.util.paths import resolve_path
from hatester.util.text import quoted
from hatester.util.validation import require

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE = re.compile("[0-9]{1,9}")
_SECONDS = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ms|s|)")
_RATE = re.compile(r"(?P<number>[0-9]{1,9})/s")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_FOR_EVER = 100 * 365 * 86400
"""Seconds. setitimer(2) takes more, but Python does not."""
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))
_SHORTEST, _LONGEST = 0.005, 1.0
"""Seconds. Any faster, and the closed connections of 60 s would use up a client's 28232 ports
(net.ipv4.ip_local_port_range)."""


@dataclass(frozen=True)
class Flags:
    """The flags of `matrix` and `bisect`, except those that select cells, as the user wrote them.

    The properties are what they mean; they raise UserError, which begins with the flag.
    """

    matrix: str = "default"
    shard: str = ""
    repeat: str = ""
    seed: Sequence[str] = ()
    clock: str = "auto"
    probe_interval: str = ""
    client: Sequence[str] = ()
    load: str = ""
    jobs: str = "0"
    time_limit: str = ""
    keep: str = "never"
    resume: bool = False
    failed: str | bool = ""
    expect: str = ""
    config: str = ""
    after: str = ""
    file: Sequence[str] = ()
    env: Sequence[str] = ()
    advise: bool = True
    host: str = ""
    table_format: str = "plain"

    def new(self, wanted: Wanted) -> NewRun:
        """Return how the cells of a new run are measured."""
        require(self.clock, CLOCKS, "--clock")
        own_ = own(
            self.config, self.after, wanted.scenarios, self.host, self.file, self.env, self.advise
        )
        return NewRun(
            seeds(self.repeat, self.seed),
            self.clock,
            interval("--probe-interval", self.probe_interval),
            own_,
            wanted if self.config else Wanted(),
            clients=clients(self.client, self.load),
            shard=choose_shard(self.shard),
        )

    @property
    def how(self) -> RunOptions:
        """Return how a run uses this host."""
        require(self.keep, [each.value for each in Keep], "--keep")
        return RunOptions(Keep(self.keep), count("--jobs", self.jobs, least=0), again(self.failed))

    @property
    def time_limit_seconds(self) -> float | None:
        """Return the seconds after which a run ends; None: no limit."""
        return duration("--time-limit", self.time_limit)


def count(flag: str, text: str, least: int = 1, most: int = 10_000) -> int:
    """Parse a whole number from `least` to `most`. Raises UserError for anything else."""
    if not (_WHOLE.fullmatch(text) and least <= int(text) <= most):
        raise UserError(
            f"{flag}: expected a whole number from {least} to {most}, got {quoted(text)}."
        )
    return int(text)


def seeds(repeat: str, given: Sequence[str]) -> tuple[int, ...]:
    """Return the seeds of --seed, or as many as --repeat says, from 0 on.

    Raises UserError for anything but whole numbers, and if both flags are given.
    """
    if not given:
        return tuple(range(count("--repeat", repeat or "1")))
    if repeat:
        raise UserError("--seed: with --repeat, the seeds are 0 and those that follow it.")
    return tuple(dict.fromkeys(count("--seed", each, least=0, most=10**9 - 1) for each in given))


def own(
    config: str,
    after: str,
    scenarios: Sequence[str],
    host: str,
    file: Sequence[str] = (),
    env: Sequence[str] = (),
    is_advised: bool = True,
) -> Own | None:
    """Return the configurations of --config and --after, with those of --file and --env.

    Raises UserError for a file that cannot be read, and for flags that exclude each other.
    """
    files, variables = dict(map(_file, file)), dict(map(_variable, env))
    if host and (config or scenarios):
        raise UserError(
            "--host: its configuration makes the scenarios; leave out --config and --scenario."
        )
    if not config:
        if after:
            raise UserError("--after: needs --config, the configuration that is loaded first.")
        if files or variables:
            flag = "--file" if files else "--env"
            raise UserError(f"{flag}: is only for --config.")
        return None
    if scenarios:
        raise UserError("--config: its addresses make the scenarios; leave out --scenario.")
    then = resolve_path(after, Path()) if after else None
    return load_own(resolve_path(config, Path()), then, files, variables, is_advised)


def _file(text: str) -> tuple[str, Path]:
    """Read PATH=LOCAL: where HAProxy finds a file, and where it is on this host."""
    path, sign, local = text.partition("=")
    if not (sign and local and path.startswith("/") and posixpath.normpath(path) == path):
        raise UserError(
            f"--file: {quoted(text)} is not PATH=LOCAL, an absolute path for HAProxy and a file "
            "here, such as /etc/haproxy/hosts.map=./hosts.map."
        )
    return path, resolve_path(local, Path())


def _variable(text: str) -> tuple[str, str]:
    """Read NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not (sign and _VARIABLE.fullmatch(name)) or not value.isprintable():
        raise UserError(
            f"--env: {quoted(text)} is not NAME=VALUE, a variable of HAProxy's environment."
        )
    return name, value


def step(flag: str, text: str, steps: int) -> int:
    """Parse the number of one of so many steps; an empty text means the last one.

    Raises UserError for a step that does not exist.
    """
    if not text:
        return steps
    number = count(flag, text)
    if number > steps:
        raise UserError(f"{flag}: there is no step {number}; the last one is step {steps}.")
    return number


def again(failed: str | bool | None) -> tuple[str, ...]:
    """Return the outcomes that --failed measures again; without a value, `error`.

    Raises UserError for a value other than `all`.
    """
    if failed == "all":
        return ("error", *OUTCOMES[1:])
    if isinstance(failed, str) and failed:
        raise UserError(f"--failed: there is no {quoted(failed)} (there are: all, or nothing).")
    return ("error",) if failed else ()


def interval(flag: str, text: str) -> float | None:
    """Parse `20ms` or `0.02s` into seconds; None for an empty text.

    Raises UserError for anything else, and for an interval that no prober can keep.
    """
    if not text:
        return None
    found = _SECONDS.fullmatch(text)
    seconds = float(found["number"]) / (1000 if found["unit"] == "ms" else 1) if found else 0.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise UserError(
            f"{flag}: {quoted(text)} is not a time from 5ms to 1s, such as 20ms or 0.05s."
        )
    return seconds


def clients(given: Sequence[str], load: str) -> tuple[str, ...]:
    """Return the words of --client, and that of --load, which is written as `500/s`.

    Raises UserError for clients that do not exist, and for a load that is not a rate.
    """
    pressed: tuple[str, ...] = ()
    if load:
        if not (rate := _RATE.fullmatch(load)):
            raise UserError(f"--load: {quoted(load)} is not a rate such as 500/s.")
        pressed = (f"load={rate['number']}",)
    beside = tuple(dict.fromkeys(given))
    for flag, words in (("--client", beside), ("--load", pressed)):
        try:
            read_clients(words)
        except ValueError as error:
            raise UserError(f"{flag}: {str(error).rstrip('.')}.") from error
    return beside + pressed


def duration(flag: str, text: str) -> float | None:
    """Return the seconds of a text such as `90s`, `1h30m`, `2w` or `0`; None for an empty one.

    Raises UserError for anything else.
    """
    if not text:
        return None
    found = _DURATION.fullmatch("0s" if text == "0" else text)
    parts = (int(found[unit] or 0) * _UNITS[unit] for unit in _UNITS) if found else [_FOR_EVER]
    if (seconds := sum(parts)) >= _FOR_EVER:
        raise UserError(
            f"{flag}: {quoted(text)} is not a time such as 90s, 30m, 1h30m, 7d, 2w or 0."
        )
    return float(seconds)
