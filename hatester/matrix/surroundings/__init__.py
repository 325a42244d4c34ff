"""Surroundings of a HAProxy configuration: files, folders, variables, names, servers."""
