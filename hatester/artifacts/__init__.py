"""The cache and what is made in it: downloads, apt, kernels, systems, HAProxy trees, keys."""
