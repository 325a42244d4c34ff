"""Fixtures of the tests that need neither tools of the host nor guests."""

from tests.factories.cache import own_cache

__all__ = ["own_cache"]
