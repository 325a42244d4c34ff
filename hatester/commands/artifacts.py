"""Commands that make or list something without a run; each shows a table and what is missing."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from invoke.exceptions import Exit
from tabulate import tabulate

from hatester.artifacts import gc, haproxy_releases, oci
from hatester.artifacts.apt import Archive, debian
from hatester.artifacts.builder import workshop
from hatester.artifacts.kernel_source import kernels_of, suite_kernels
from hatester.capture import capture
from hatester.capture.captured_host import name_of, report, write_host
from hatester.capture.remote import Remote, visit
from hatester.cli import options
from hatester.cli.program import NOT_MEASURED
from hatester.commands.plan import require_described
from hatester.guests import host_capabilities, machines
from hatester.guests.vagrant import declare_machines
from hatester.matrix.build_spec import with_described
from hatester.matrix.declarations import FLAVOURS, NAME, Matrix, load_matrix
from hatester.matrix.kernel_spec import with_kernels
from hatester.matrix.plan import Wanted
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import HOSTS, MACHINES, MATRIX, RESULTS
from hatester.util.settings import Settings
from hatester.util.text import displayable, printable, quoted
from hatester.util.validation import require

Thing = TypeVar("Thing")
_CLEANED = ("part", "what", "size", "unused for", "")
_ALIGNED = ("left", "left", "right", "right", "left")
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def make_images(settings: Settings, kernels: Sequence[str], is_refreshed: bool) -> None:
    """Make guest images, and list them for Vagrant. Raises UserError for an unknown kernel."""
    archive = debian(settings)

    def chosen() -> tuple[Matrix, Sequence[str]]:
        declared = load_matrix(MATRIX)
        wanted = Wanted(kernels or list(declared.kernels))
        declared, wanted = with_kernels(declared, wanted, kernels_of(settings))
        return declared, wanted.kernels

    declared, names = chosen()
    host_capabilities.require()
    if is_refreshed:
        found = [declared.kernels[name] for name in names]
        _renew(archive, [suite for each in found for suite in (each.suite, each.system)])
        declared, names = chosen()  # of a pattern there may be more now
    with workshop(archive, declared) as shop:
        materials = shop.make(names, [])
        images, lacks = _had(materials.image, names)
    declare_machines(
        MACHINES, {name: image.machine(materials.keys) for name, image in images.items()}
    )
    rows = [(name, image.kit.release, image.kit.folder) for name, image in images.items()]
    _show(("kernel", "release", "kit"), rows, lacks)


def make_builds(settings: Settings, builds: Sequence[str], is_refreshed: bool) -> None:
    """Make HAProxy builds. Raises UserError for an unknown build."""
    declared, described = with_described(load_matrix(MATRIX), builds)
    require_described(settings, declared, described)
    host_capabilities.require()
    names = described or list(declared.builds)
    archive = debian(settings)
    with workshop(archive, declared) as shop:
        if is_refreshed:
            chosen = [declared.builds[name] for name in names]
            _renew(archive, [build.suite for build in chosen])
            for image in [build.image for build in chosen if build.image]:
                oci.fetch_again(image)
        materials = shop.make([], names)
        trees, lacks = _had(materials.tree, names)
    rows = [(name, tree.version, tree.disk) for name, tree in trees.items()]
    _show(("build", "version", "tree"), rows, lacks)


def list_versions(settings: Settings, builds: Sequence[str], *, is_json: bool) -> None:
    """List builds and the newest release of their branches.

    Raises UserError if HAProxy's index cannot be fetched.
    """
    declared, described = with_described(load_matrix(MATRIX), builds)
    names = described or list(declared.builds)
    with workshop(debian(settings), declared) as shop:
        _, known = shop.versions([], names)
    branches = dict.fromkeys(haproxy_releases.branch_of(version) for version in known.values())
    newest = haproxy_releases.newest(settings.releases, branches)
    rows = [haproxy_releases.row(name, known.get(name), newest) for name in names]
    _show(haproxy_releases.HEADERS, rows, [], is_json=is_json)


def list_kernels(
    settings: Settings, suites: Sequence[str], flavours: Sequence[str], is_refreshed: bool,
    *, is_json: bool,
) -> None:  # fmt: skip
    """List the kernels of suites, from the oldest to the newest of each."""
    for name in flavours:
        require(name, FLAVOURS, "--flavour")
    for name in suites:
        if not re.fullmatch(NAME, name):
            raise UserError(f"--suite: {quoted(name)} is not the name of a suite.")
    declared = [each.suite for each in load_matrix(MATRIX).kernels.values() if each.suite]
    names = list(dict.fromkeys(suites or declared))
    archive = debian(settings)
    if is_refreshed:
        _renew(archive, names)
    listed, lacks = _had(lambda name: suite_kernels(archive, name), names)
    rows = [
        (name, each.release, each.version, each.flavour)
        for name, found in listed.items()
        for each in found
        if not flavours or each.flavour in flavours
    ]
    _show(("suite", "release", "version", "flavour"), rows, lacks, is_json=is_json)


def capture_host(
    host: str, as_: str, user: str, port: str, ssh_config: str, configurations: Sequence[str]
) -> None:
    """Copy a production host's configuration into matrix/hosts, without its secrets.

    Raises UserError where the host cannot be entered, or has no HAProxy.
    """
    name = name_of(host, as_)
    at = options.count("--port", port, most=65535) if port else 0
    with visit(host, user, at, ssh_config) as there:
        captured = capture.capture(Remote(there.run), configurations)
    file = write_host(HOSTS, name, host, captured.host, captured.files)
    print(f"{displayable(report(captured.host))}\n\ncaptured: {file}")


def clean(parts: Sequence[str], older_than: str, *, is_dry: bool, is_json: bool) -> None:
    """Remove what was not used for long. Raises UserError where something cannot be removed."""
    seconds = options.duration("--older-than", older_than)
    if seconds is None:
        raise UserError("--older-than: it needs a time, such as 30d.")
    swept = gc.clean(RESULTS, parts, seconds, machines.find_roots, is_dry=is_dry)
    print(json.dumps(_entries(swept), indent=1) if is_json else cleaned(swept))
    swept.require_all_gone()


def _entries(swept: gc.Swept) -> list[dict[str, object]]:
    gone = _gone(swept)
    return [
        {
            "part": fate.item.part,
            "what": fate.item.what,
            "bytes": fate.item.size,
            "unused_seconds": round(swept.now - fate.item.used),
            "outcome": _outcome(fate, gone),
        }
        for fate in swept.fates
    ]


def cleaned(swept: gc.Swept) -> str:
    """Return a table of all that there was, with the sizes of each part, and what was freed."""
    gone = _gone(swept)
    rows = [
        (
            fate.item.part, printable(fate.item.what), size(fate.item.size),
            age(swept.now - fate.item.used), _outcome(fate, gone),
        )
        for fate in swept.fates
    ]  # fmt: skip
    parts = list(dict.fromkeys(fate.item.part for fate in swept.fates))
    sums = [_sums(fate for fate in swept.fates if fate.item.part == part) for part in parts]
    totals = [
        (part, size(there), size(freed)) for part, (there, freed) in zip(parts, sums, strict=True)
    ]
    there, freed = _sums(swept.fates)
    ways = "would free {}; {} would stay" if swept.is_dry else "freed {}; {} stay"
    return "\n\n".join(
        (
            tabulate(rows, _CLEANED, "plain", colalign=_ALIGNED, disable_numparse=True),
            tabulate(totals, ("part", "size", gone), "plain", colalign=_ALIGNED[1:4]),
            ways.format(size(freed), size(there - freed)),
        )[0 if rows else 2 :]
    )


def _gone(swept: gc.Swept) -> str:
    return "would be removed" if swept.is_dry else "removed"


def _outcome(fate: gc.Fate, gone: str) -> str:
    if fate.failure:
        return f"failed: {fate.failure}"
    return f"kept: {fate.kept}" if fate.kept else gone


def _sums(fates: Iterable[gc.Fate]) -> tuple[int, int]:
    """Return how many bytes there were, and how many of them are gone."""
    sizes = [(fate.item.size, fate.is_gone) for fate in fates]
    return sum(each for each, _ in sizes), sum(each for each, is_gone in sizes if is_gone)


def size(count: int) -> str:
    """Return a number of bytes as people read it: `162 MiB`, `8.1 GiB`."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.{1 if unit > 2 else 0}f} {_SIZES[unit]}"


def age(seconds: float) -> str:
    """Return seconds in the largest unit that fits: `45 s`, `12 min`, `3 h`, `31 d`."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "0 s"


def _renew(archive: Archive, suites: Iterable[str | None]) -> None:
    """Fetch the package lists of suites again. A suite that is gone is reported when it is used."""
    for suite in dict.fromkeys(suites):
        if suite:
            with contextlib.suppress(MeasurementError):
                archive.refresh(suite)


def _had(
    make: Callable[[str], Thing], names: Iterable[str]
) -> tuple[dict[str, Thing], list[MeasurementError]]:
    """Return the artifacts that could be made, by name, and the reasons for the rest."""
    things, lacks = {}, []
    for name in names:
        try:
            things[name] = make(name)
        except MeasurementError as error:
            lacks.append(error)
    return things, lacks


def _show(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    lacks: Sequence[MeasurementError],
    *,
    is_json: bool = False,
) -> None:
    """Print a table; raise Exit with code 3 and the reasons if something is missing."""
    if is_json:
        print(json.dumps([dict(zip(headers, row, strict=True)) for row in rows], indent=1))
    else:
        print(displayable(tabulate(rows, headers=headers, disable_numparse=True)))
    if lacks:
        raise Exit(displayable("\n".join(map(str, lacks))), code=NOT_MEASURED)
