"""Surroundings of a configuration: files, variables and servers that it needs."""
