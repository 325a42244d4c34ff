"""Guests: Vagrant, QMP, checkpoints, the machines of a run, the host's capabilities."""
