"""`python -m hatester` is what `./bootstrap invoke` runs."""

import sys

try:
    from hatester.cli import main
except Exception as error:
    print(f"hatester cannot start: {error!r}. Remove .venv and start again.", file=sys.stderr)
    # Python's own 1 would be a verdict of `bisect`.
    sys.exit(129 if "bisect" in sys.argv else 4)

main()
