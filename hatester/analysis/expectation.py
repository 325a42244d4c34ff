"""Expectations: the outcomes that a run must show."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import OUTCOMES, measured, outcome
from hatester.analysis.significance import trend
from hatester.util.errors import UserError
from hatester.util.paths import is_there
from hatester.util.text import brief, grouped, quoted
from hatester.util.validation import load as load_yaml
from hatester.util.validation import require


@dataclass(frozen=True)
class Expectation:
    """The outcomes that are expected, by the ids of the cells that are judged at all.

    `shown` are the repetitions of cells in the stored run that is to be met, if it is one.
    """

    outcomes: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, Sequence[CellResult]]

    def missed(self, cell: CellResult) -> tuple[str, ...]:
        """Return the outcomes of which a cell has none; empty if it has one or was not measured.

        Between ok and lossy a stored run is met where the number of lost connections may be
        chance, as `hatester/analysis/significance.py` has it.
        """
        expected, found = self.outcomes.get(cell.id, ()), outcome(cell)
        if found == "error" or found in expected:
            return ()
        shown = self.shown.get(cell.id)
        if shown and {found, *expected} <= {"ok", "lossy"} and not trend(shown, [cell]):
            return ()
        return expected

    def differences(self, cells: Sequence[CellResult]) -> str:
        """Return in words which cells differ, each with the explanation of its outcome."""
        return "\n".join(
            f"not as expected: {cell.id}{_again(cell.repetition)} is {outcome(cell)}, "
            f"not {' or '.join(expected)}\n  because {cell.explanation}"
            for cell in cells
            if (expected := self.missed(cell))
        )


def _again(repetition: int) -> str:
    return "" if repetition == 1 else f" (repetition {repetition})"


def load(
    given: str, planned: Sequence[str], cells_of: Callable[[str], Sequence[CellResult]]
) -> Expectation:
    """Return the expectation that `given` has of the planned cells; there is at least one cell.

    `given` is a file of patterns, or a stored run that is to be met: its folder, its `run.json`,
    or its name, such as `latest`; `cells_of` finds the cells of a run. Raises UserError naming what
    is wrong there, and when nothing is expected of any planned cell.
    """
    path = Path(given)
    has_patterns = path.suffix in (".yml", ".yaml") or is_there(
        path, lambda file: file.exists() and not file.is_dir()
    )
    if has_patterns and path.name != "run.json":
        found = Expectation(_read_patterns(path, planned), {})
    else:
        found = _shown(cells_of(given), planned)
    if not found.outcomes:
        raise UserError(
            f"{given}: nothing there matches any of the {len(planned)} cells to be run, such as "
            f"{planned[0]}."
        )
    return found


def _shown(cells: Sequence[CellResult], planned: Sequence[str]) -> Expectation:
    """Return every outcome that the repetitions of a cell show in a stored run."""
    shown = grouped((cell.id, cell) for cell in measured(cells) if cell.id in planned)
    outcomes = {
        id_: tuple(sorted(set(map(outcome, several)), key=OUTCOMES.index))
        for id_, several in shown.items()
    }
    return Expectation(outcomes, shown)


def _some(content: object) -> object:
    outcomes = [content] if isinstance(content, str) else content
    if not outcomes or not isinstance(outcomes, list) or "" in outcomes:
        choices = f"an outcome ({', '.join(OUTCOMES)}) or a list of some"
        raise ValueError(f"expected {choices}, got {quoted(content) if content else 'nothing'}")
    return outcomes


def _require_mapping(content: object) -> object:
    if not content or not isinstance(content, dict):
        there = quoted(content) if content else "nothing"
        raise ValueError(f"expected patterns over cell ids with outcomes, got {there}")
    return content


class _Patterns(
    pydantic.RootModel[
        Annotated[
            dict[str, Annotated[tuple[str, ...], pydantic.BeforeValidator(_some)]],
            pydantic.BeforeValidator(_require_mapping),
        ]
    ]
):
    """The content of a file: the outcomes by patterns over cell ids, as --only has them."""


def _read_patterns(path: Path, planned: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the outcomes of the first pattern that matches a cell."""
    patterns = load_yaml(path, _Patterns).root
    for pattern, outcomes in patterns.items():
        for each in outcomes:
            require(each, OUTCOMES, f"{path}: {brief(pattern)}")
    deciding = {
        id_: next((each for each in patterns if fnmatch.fnmatchcase(id_, each)), None)
        for id_ in planned
    }
    return {id_: patterns[each] for id_, each in deciding.items() if each is not None}
