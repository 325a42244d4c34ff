"""Fixtures of the tests that need tools of the host, and no guest."""

from tests.factories.cache import own_cache
from tests.factories.failing_disk import memory

__all__ = ["memory", "own_cache"]
