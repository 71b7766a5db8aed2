"""Every async test runs on asyncio and on trio, unless its module says otherwise. None reaches beyond this machine."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from . import network


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test runs on."""
    return str(request.param)


@pytest.fixture(scope="module")
def one_at_a_time() -> Iterator[None]:
    """Among all processes that test, one at a time goes on from here."""
    with FileLock(Path(tempfile.gettempdir()) / "contemplate-tests.lock"):
        yield


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    with network.refused() as attempts:
        yield
    assert not attempts


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fails a test after which something was left: a task whose error nobody saw, an open generator, a socket.

    Warnings are errors, those of the garbage collector too, so that collecting here is enough to see them.
    """
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("asyncio").addHandler(handler)
    try:
        yield
        gc.collect()
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    assert not complaints
