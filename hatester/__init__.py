"""hatester finds out, on full virtual machines, what a HAProxy reload does to its addresses."""

__version__ = "0.1.0"
