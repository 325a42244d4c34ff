"""The command line: its program, flags and settings, exit codes, signals, and completion."""
