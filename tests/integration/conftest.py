"""Fixtures of the tests that need tools of the host, and no guest."""

from tests.factories.cache import own_cache

__all__ = ["own_cache"]
