"""Utilities: errors, text, log, progress, paths, files, locks, processes, validation, versions."""
