"""Fixtures that every test may use."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio alone (aiohttp does), so the tests do."""
    return "asyncio"
