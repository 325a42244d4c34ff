"""The command line: its program, exit codes and faults.

It is imported before every command, also before `--help`: it imports little, and commands import
their own modules when they run.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import logging
import logging.handlers
import os
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import invoke.program
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser
from invoke.vendor.lexicon import Lexicon

from hatester import __version__
from hatester.cli.completion import complete
from hatester.cli.parsing import REPEATED, explain, find_helped, name_values, require_values
from hatester.cli.settings_file import FILE, Config, require_settings
from hatester.cli.signals import taken, taken_to_the_end
from hatester.util import log
from hatester.util.errors import MeasurementError, TimeIsUp, UserError
from hatester.util.paths import COMMAND, PROJECT
from hatester.util.text import displayable, quoted

NOT_MET = 1
MISTAKE = 2
NOT_MEASURED = 3
FAULT = 4
INTERRUPTED = 130
"""Exit codes; 128 + SIGINT, as shells have it."""
SKIP_COMMIT = 125
STOP_BISECTION = 129
"""Exit codes for `git bisect run` (git-bisect(1)): a code above 127 ends it."""
_CLOSED_PIPE = 141
"""128 + SIGPIPE: the reader of standard output has gone (`| head`)."""

BISECT = "bisect"
"""The command whose exit codes are git's."""
_FLAGS = ("complete", "dry", "help", "search-root", "version")
"""Invoke's flags that are taken. Others change how it finds tasks and starts processes, or name a
further file of settings; `matrix --config` would have another meaning than `bisect --config`."""
_LIST = partial(
    Argument, names=("list", "l"), kind=bool, default=False, help="List the commands and exit."
)
_FAULT_LOG_BYTES = 1 << 20


@contextlib.contextmanager
def orderly(
    mistake: int = MISTAKE,
    not_measured: int = NOT_MEASURED,
    fault: int = FAULT,
    *,
    is_verbose: bool = False,
    is_quiet: bool = False,
) -> Iterator[None]:
    """Run a command so that it ends with one sentence and its exit code, however it ends.

    A UserError ends it with `mistake`, a MeasurementError with `not_measured`, any other error
    with `fault`. The first signal ends it in order, with everything that it started; later
    signals change nothing. Handlers of signals are restored. With `is_verbose`, every command on
    this host and in guests is logged as well; with `is_quiet`, only warnings are.
    """
    with log.shown(is_verbose=is_verbose, is_quiet=is_quiet), taken():
        try:
            yield
        except Exit:
            raise
        except UserError as error:
            raise Exit(displayable(str(error)), code=mistake) from error
        except MeasurementError as error:
            raise Exit(displayable(str(error)), code=not_measured) from error
        except TimeIsUp as error:
            raise Exit(f"{error} Nothing was measured.", code=NOT_MEASURED) from error
        except KeyboardInterrupt as error:
            raise Exit("Interrupted.", code=INTERRUPTED) from error
        except BrokenPipeError as error:
            _log_fault(error)
            raise Exit(code=_CLOSED_PIPE) from error
        except Exception as error:
            raise Exit(report_fault(error), code=fault) from error


def report_fault(error: BaseException) -> str:
    """Log a fault of hatester with its traceback; return the sentence for the user."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    problem = f"{type(error).__name__}: {quoted(str(error))}" if str(error) else repr(error)
    log = _log_fault(error)
    return displayable(
        f"This is a fault of hatester, and says nothing about HAProxy: {problem} ({place}). "
        f"The traceback is in {log}."
    )


def _log_fault(error: BaseException) -> str:
    """Append a traceback to the log of faults; return where it is."""
    from hatester.artifacts import cache  # noqa: PLC0415 # see above

    try:
        file = cache.root() / cache.FAULT_LOG
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=_FAULT_LOG_BYTES, backupCount=1, encoding="utf-8", errors="replace"
        )
    except (OSError, UserError):
        traceback.print_exception(error)
        return "standard error"
    with contextlib.closing(handler):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        message = " ".join(sys.argv)
        trace = (type(error), error, error.__traceback__)
        handler.emit(logging.LogRecord("hatester", logging.ERROR, "", 0, message, None, trace))
    return str(file)


class Program(invoke.program.Program):
    """Invoke's program with exit codes, help and version of hatester.

    Plain `invoke` runs the same tasks. But it ends with 1 where it refuses a flag, and takes the
    runs of `merge` only as `--run A --run B`.
    """

    def __init__(self) -> None:
        _, _, binary = COMMAND.rpartition(" ")
        super().__init__(name="hatester", binary=binary, binary_names=[binary], config_class=Config)

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run a command line. Raises SystemExit with its code, also where Invoke would not."""
        self.normalize_argv(argv)
        try:
            try:
                super().run(argv, exit)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            sys.exit(_CLOSED_PIPE)
        except SystemExit as end:
            # Invoke ends with 1, which is a verdict of `bisect`.
            if isinstance(end.__context__, KeyboardInterrupt):
                sys.exit(INTERRUPTED)
            raise
        except Exception as error:
            is_mistake = isinstance(error, UserError)
            print(displayable(str(error)) if is_mistake else report_fault(error), file=sys.stderr)
            sys.exit(STOP_BISECTION if BISECT in self.argv else MISTAKE if is_mistake else FAULT)

    @property
    def initial_context(self) -> ParserContext:
        """Return the flags that stand before a command, or anywhere after it."""
        flags = [flag for flag in (*self.core_args(), *self.task_args()) if flag.name in _FLAGS]
        return ParserContext(args=[*flags, _LIST()])

    @property
    def args(self) -> Lexicon:
        """Return all flags that Invoke asks for; those that are not taken have their defaults."""
        for name, flag in self.core[0].args.items():
            self._flags[name] = flag
        return self._flags

    @functools.cached_property
    def _flags(self) -> Lexicon:
        # Invoke asks often, and it takes a while to make them all.
        return super().initial_context.args

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the flags before the first command."""
        with self._refusals():
            writes = not sys.dont_write_bytecode
            super().parse_core(argv)
            # Invoke lets Python write none, so that each start would compile all modules anew.
            sys.dont_write_bytecode = not writes
            if self.core.remainder and not self.args.complete.value:
                raise ParseError("No idea what '--' is!")

    def parse_collection(self) -> None:
        """Load the commands."""
        with self._refusals():
            super().parse_collection()

    def load_collection(self) -> None:
        """Load the commands and invoke.yaml. Raises UserError for a wrong file."""
        require_settings(PROJECT / FILE)
        root = self.args["search-root"]
        root.value = root.value or str(PROJECT)
        super().load_collection()

    def parse_tasks(self) -> None:
        """Parse the commands and their flags."""
        with self._refusals():
            super().parse_tasks()

    def _make_parser(self) -> Parser:
        parser = super()._make_parser()
        tokens = name_values(self.core.unparsed, parser.contexts)
        if command := find_helped(tokens, parser.contexts):
            self.args.help.value, tokens = command, []
        self.core.unparsed[:] = tokens
        require_values(self.core.unparsed, parser.contexts)
        return parser

    def parse_cleanup(self) -> None:
        """Show help, a list or the version, if that was asked for."""
        with self._refusals():
            if self.args.version.value:
                self.print_version()
                raise Exit
            if self.args.complete.value:
                self.print_completions()
                raise Exit
            super().parse_cleanup()

    def print_completions(self) -> None:
        """Print the words that may take the place of the last one after `--`."""
        words = self.argv[[*self.argv, "--"].index("--") + 1 :]
        for each in complete(words, self.initial_context, self.parser.contexts):
            print(each)

    def print_version(self) -> None:
        """Print hatester's version."""
        print(f"hatester {__version__}")

    def print_help(self) -> None:
        """Print the commands, and the flags that stand before a command."""
        super().print_help()
        self.load_collection()
        self.list_root, self.list_depth, self.scoped_collection = None, None, self.collection
        self.list_format = "flat"
        self.list_tasks()
        print(f"Flags and examples of a command: {COMMAND} COMMAND --help")

    def print_task_help(self, name: str) -> None:
        """Print a command with its places, what it does, and its flags."""
        context = self.parser.contexts[name]
        places = [str(each.name) for each in context.missing_positional_args]
        places += [f"{each}..." for each in filter(None, [REPEATED.get(name)])]
        print(" ".join(["Usage:", COMMAND, name, *map(str.upper, places), "[flags]"]))
        print(f"\n{inspect.getdoc(self.collection[name])}\n\nFlags:")
        self.print_columns(context.help_tuples())

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            known = sorted(self.collection.task_names) if hasattr(self, "collection") else []
            code = STOP_BISECTION if BISECT in self.argv else MISTAKE
            raise Exit(displayable(explain(error, known)), code=code) from error


class _Output(io.TextIOWrapper):
    """Standard output, which raises UserError where it cannot be written, as on a full disk."""

    def write(self, text: str) -> int:
        with self._end_discarded():
            return super().write(text)

    def flush(self) -> None:
        with self._end_discarded():
            super().flush()

    @contextlib.contextmanager
    def _end_discarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Python flushes once more at its end, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if isinstance(error, BrokenPipeError):
                raise
            raise UserError(f"Standard output cannot be written: {error.strerror}.") from error


def main() -> None:
    """Run hatester as a process of its own."""
    # hatester has no plugin of pydantic. Looking for some takes a tenth of the start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Not every locale has all characters of a table.
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout = _Output(
        sys.stdout.buffer, sys.stdout.encoding, "replace", line_buffering=sys.stdout.isatty()
    )
    with taken_to_the_end():
        Program().run()
