"""Commands for changes of hatester: `invoke lint`, `invoke test`."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task


@task
def lint(c: Context) -> None:
    """Check the style, the types and the imports of the code, and its scripts."""
    for command in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "deptry .",
        "lint-imports",
        "shellcheck bootstrap .ci/run provision/guest/customise.sh provision/guest/initramfs-init "
        "hatester/cli/completion.bash",
        "ruby -wc Vagrantfile provision/*.rb provision/qemu/*.rb",
    ):
        c.run(command)


@task(
    lint,
    auto_shortflags=False,
    help={"faults": "All of tests/faults, an hour or more, instead of all tests."},
)
def test(c: Context, faults: bool = False) -> None:
    """Run all tests: lint, unit, integration, and those that use guests, some faults among them."""
    if faults:
        c.run("pytest tests/faults tests/unit/runner/test_lying_guests.py --faults")
    else:
        for kind in ("unit", "integration"):
            c.run(f"pytest tests/{kind} --numprocesses auto --dist worksteal")
        c.run("pytest tests/vm --numprocesses auto --dist loadgroup")
        c.run("pytest tests/faults")
