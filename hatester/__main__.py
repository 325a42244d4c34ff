"""`python -m hatester` is what `./bootstrap invoke` runs, and `hatester` of a package."""

import sys


def run() -> None:
    """Run hatester, or print in one sentence why it cannot start."""
    try:
        from hatester.cli.program import main  # noqa: PLC0415 # it may fail
    except Exception as error:
        print(f"hatester cannot start: {error!r}. Remove .venv and start again.", file=sys.stderr)
        # Python's own 1 would be a verdict of `bisect`.
        sys.exit(129 if "bisect" in sys.argv else 4)
    main()


if __name__ == "__main__":
    run()
