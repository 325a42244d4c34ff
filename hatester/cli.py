"""What the tasks have in common: how they begin, how they end, what they show."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from invoke.exceptions import Exit
from tabulate import tabulate_formats

from hatester.analysis import expectation, findings, reasons
from hatester.analysis.answer import answer
from hatester.analysis.expectation import Expectation
from hatester.analysis.outcomes import outcome
from hatester.artifacts.apt import debian
from hatester.guests import host, machines
from hatester.guests.vagrant import Vagrant
from hatester.report import tables, writer
from hatester.results.store import Results
from hatester.util import log
from hatester.util.errors import MeasurementError, TimeIsUp, UserError
from hatester.util.text import displayable
from hatester.util.validation import require

NOT_MET = 1
MISTAKE = 2
NOT_MEASURED = 3
INTERRUPTED = 130
"""Exit codes; 128 + SIGINT, as shells have it."""
SKIP_COMMIT = 125
STOP_BISECTION = 129
"""Exit codes for `git bisect run` (git-bisect(1)): what is not below 128 ends it."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@contextlib.contextmanager
def orderly(
    mistake: int = MISTAKE, not_measured: int = NOT_MEASURED, *, is_verbose: bool = False
) -> Iterator[None]:
    """How a command ends that does not reach its end; it shows the log, with each command that it
    runs where it `is_verbose`.

    What the user can mend ends with its sentence and the exit code `mistake`, and where there is
    nothing to measure, with `not_measured`; the first signal ends it in order, with all that it
    started, and no further one keeps it from that.
    """
    for number in _SIGNALS:
        # What nohup(1) has it ignore stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        with log.shown(is_verbose=is_verbose):
            yield
    except UserError as error:
        raise Exit(displayable(str(error)), code=mistake) from error
    except MeasurementError as error:
        raise Exit(displayable(str(error)), code=not_measured) from error
    except TimeIsUp as error:
        raise Exit(f"{error} Nothing was measured.", code=NOT_MEASURED) from error
    except KeyboardInterrupt as error:
        raise Exit("Interrupted.", code=INTERRUPTED) from error
    finally:
        for number in _SIGNALS:
            # Python drops its own handlers before it exits, and would die of the next signal.
            if signal.getsignal(number) is _be_patient:
                signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # What ends takes a bounded time for it, and would leave something behind if it were cut short.
    for each in _SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, _be_patient)
    if number == signal.SIGALRM:
        raise TimeIsUp("The time limit was reached.")
    raise KeyboardInterrupt(signal.Signals(number).name)


def _be_patient(number: int, _frame: FrameType | None) -> None:
    if number != signal.SIGALRM:
        # By its descriptor, since what was interrupted may be writing to the stream.
        os.write(sys.stderr.fileno(), b"It is ending already.\n")


@contextlib.contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise TimeIsUp where it takes longer than so many seconds (setitimer(2)); None: no limit."""
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def mirror(settings: Any) -> host.Finding:
    """Whether Debian's archive can be reached, which the first run needs."""
    try:
        archive = debian(settings)
        archive.require_reachable()
    except UserError as error:
        return host.Finding("mirror", False, str(error))
    return host.Finding("mirror", True, archive.mirrors.main)


def require_table_format(name: str) -> None:
    """Raise UserError for what tabulate does not know."""
    require(name, tabulate_formats, "--table-format")


def show_run(results: Results, table_format: str, expected: Expectation | None = None) -> None:
    """A run's tables and findings, what could not be measured, and where everything is.

    The answer about a configuration of the user's own comes first.
    """
    answered = answer(results.run)
    general = findings.find_general if answered else findings.find
    found = [*answered, *general(results.cells)]
    is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    tabled = tables.tables(results.cells, table_format, is_coloured=is_coloured)
    told = displayable(findings.text(found))
    parts = [
        *((told, tabled) if answered else (tabled, told)),
        displayable(reasons.errors(results.cells)),
        displayable(differences(results)),
    ]
    print("\n\n".join(part for part in parts if part), flush=True)
    files = writer.write(results, found, expected)
    print(
        f"\nresults: {results.file}\n"
        f"reports: {', '.join(str(file) for file in files)}\n"
        f"evidence: {results.folder / 'cells'}"
    )


def differences(results: Results) -> str:
    """In what the guests were not like the captured host that they were to be like."""
    host = results.run.get("captured")
    return "\n".join(f"unlike {host}: {each}" for each in results.run.get("differs", ()))


def show_kept(kept: Vagrant) -> None:
    """How to enter the machines that go on, and to end them."""
    there = " ".join(f"{name}={shlex.quote(value)}" for name, value in kept.where.items())
    for name in machines.kept_machines(kept.folder):
        print(f"kept: {there} {shlex.join(kept.entry(name))}")
    if kept.engine.is_virtual:
        print(f"they stand still until: {there} vagrant resume")
    print(f"end with: {there} vagrant destroy -f")


def conclude(
    results: Results, interruption: KeyboardInterrupt | None, expected: Expectation | None = None
) -> None:
    """End with the exit code of a run, and why it is not 0."""
    if interruption:
        is_late = isinstance(interruption, TimeIsUp)
        planned = len(results.planned)
        done = planned - len(results.left())
        raise Exit(
            f"{interruption if is_late else 'Interrupted:'} {done} of {planned} cells were "
            "measured; ./bootstrap invoke matrix --resume goes on with the rest.",
            code=NOT_MEASURED if is_late else INTERRUPTED,
        )
    if expected and (differences := expected.differences(results.cells)):
        raise Exit(displayable(expectation.text(differences)), code=NOT_MET)
    if any(outcome(cell) == "error" for cell in results.cells):
        raise Exit("Some cells could not be measured.", code=NOT_MEASURED)
