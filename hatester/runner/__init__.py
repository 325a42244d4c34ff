"""A run: queue, cell, protocol with the guest, probes from outside, selection, shell, bench."""
