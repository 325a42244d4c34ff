"""Capture of a production host: SSH, what is read, what is kept."""
