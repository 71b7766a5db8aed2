"""Every async test runs on asyncio and on trio, unless its module says otherwise."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test runs on."""
    return str(request.param)
