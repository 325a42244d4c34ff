"""Fixtures of the tests that need tools of the host, and no guest."""

from tests.factories.cache import own_cache as own_cache
