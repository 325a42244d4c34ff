"""`python -m hatester` is what `./bootstrap invoke` runs."""

from hatester.cli import main

main()
