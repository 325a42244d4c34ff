"""Reproducers: a cell as a folder for a bug report, in the form of the original report.

It has the configurations, a script with the steps, a Dockerfile, and what hatester saw.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from hatester.analysis.explanation_of_notes import describe_effect
from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import outcome
from hatester.matrix.declarations import Setting
from hatester.matrix.scenario import MADE, ROOT, Scenario
from hatester.matrix.steps import Run
from hatester.report.run_script import KEEP_ALIVE, NAME, TEMPLATES, Script, templates
from hatester.report.timeline_svg import Drawing
from hatester.results.folder import keep, read, writing
from hatester.results.store import HAPROXY_LOG, Results
from hatester.util.errors import UserError
from hatester.util.jsonfile import Damaged

_PICTURE = "timeline.svg"
_STYLES = ("theme.css", "drawing.css")


def export(
    results: Results, cell: CellResult, scenario: Scenario, setting: Setting, folder: Path
) -> None:
    """Write the reproducer of a measured cell into a new folder.

    Raises UserError for a cell that was not measured, or that needs more than a script can give.
    Raises it also for a folder that cannot be written, or is not empty.
    """
    _require_simple(cell, scenario)
    with writing(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}: not an empty folder; name another one.")
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in _contents(results, cell, scenario, setting).items():
        with writing(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        keep(folder / name, text)
    with writing(folder / NAME):
        (folder / NAME).chmod(0o755)


def _require_simple(cell: CellResult, scenario: Scenario) -> None:
    if not cell.is_measured:
        raise UserError(f"{cell.id}: it was not measured, so there is nothing to reproduce.")
    if scenario.servers:
        raise UserError(
            f"{cell.id}: its HAProxy needs servers ({', '.join(scenario.servers)}), which only a "
            "guest of hatester has."
        )
    for step in scenario.steps:
        if isinstance(step, Run) and "$ROOT" in step.command:
            raise UserError(
                f"{cell.id}: its step '{step}' changes HAProxy's root, which only a guest of "
                "hatester has."
            )
    for name in scenario.files:
        if name.startswith((ROOT, MADE)):
            raise UserError(
                f"{cell.id}: its HAProxy needs the file /{name.partition('/')[2]}, which a script "
                "would have to write into your own system."
            )


def _contents(
    results: Results, cell: CellResult, scenario: Scenario, setting: Setting
) -> dict[str, str]:
    """Return the files of a reproducer by their names."""
    script = Script(
        id=cell.id,
        scenario=scenario,
        setting=setting,
        method=cell.method,
        expected=sorted({label for reload in cell.reloads for label in reload.expected}),
        gaps={reload.step: reload.gap for reload in cell.reloads if reload.gap is not None},
    )
    values = {
        "cell": cell,
        "description": scenario.description,
        "outcome": outcome(cell),
        "version": re.split(r"[^0-9.]", cell.haproxy.version or "latest", maxsplit=1)[0],
        "docker_options": "".join(
            f" --sysctl {shlex.quote(f'{name}={value}')}" for name, value in script.sysctls.items()
        ),
        "unasked": script.unasked,
        "effects": [(reload, each) for reload in cell.reloads for each in reload.clients],
        "describe_effect": describe_effect,
        "has_kept": script.has_kept,
        "is_upgraded": bool(scenario.upgrades),
    }
    # The image of a container has one HAProxy.
    image = {} if scenario.upgrades else {"Dockerfile": _render("Dockerfile", values)}
    kept = {KEEP_ALIVE: (TEMPLATES / KEEP_ALIVE).read_text()} if script.has_kept else {}
    return {
        **_configurations(scenario, setting),
        **image,
        **kept,
        NAME: script.text,
        "README.md": _render("reproducer.md", values),
        **_evidence(results, cell),
    }


def _configurations(scenario: Scenario, setting: Setting) -> dict[str, str]:
    """Return the configurations of a scenario, under a setting, and the files that they name."""
    texts = {name: text for name, text in scenario.files.items() if not name.endswith(".cfg")}
    for name, configuration in scenario.configurations.items():
        # HAProxy looks for what is not absolute in the folder in which it was started.
        texts[f"{name}.cfg"] = configuration.under(setting).replace("/etc/haproxy/", "")
    return texts


def _render(name: str, values: dict[str, Any]) -> str:
    return templates().get_template(name).render(values)


def _evidence(results: Results, cell: CellResult) -> dict[str, str]:
    """Return the drawing and HAProxy's log. Raises UserError where they are damaged."""
    file = results.evidence(cell) / HAPROXY_LOG
    try:
        timeline, log = results.timeline(cell), read(file).decode(errors="replace")
    except Damaged as damage:
        raise UserError(f"{file.parent}: the evidence {damage}.") from damage
    if timeline is None:
        return {}
    style = "".join((TEMPLATES / name).read_text() for name in _STYLES)
    # The page has the styles of a drawing; alone it needs its own.
    picture = Drawing(timeline, cell).draw().replace("<title>", f"<style>{style}</style><title>", 1)
    return {_PICTURE: f"{picture}\n", HAPROXY_LOG: log}
