"""Fixtures of the tests that need neither tools of the host nor guests."""

from tests.factories.cache import own_cache as own_cache
