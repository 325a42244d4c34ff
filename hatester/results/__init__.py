"""The store of runs and their evidence."""
