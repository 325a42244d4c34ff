"""The programs that make and enter a guest."""
