"""A viewer of its own for each test, and a browser for the module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from contemplate.server.viewer.alone import viewer_app
from contemplate.server.viewer.shown_runs import ShownRuns

from ..browser import CHROMIUM
from ..server.conftest import serve, serving_app

__all__ = ["serve"]

KEY = "the-key-of-these-tests"
Show = Callable[[ShownRuns], str]

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM HERE: pages are not tested (apt-get install chromium)"
)


@pytest.fixture
def show() -> Iterator[Show]:
    """Serves a viewer until the test is over, and returns its address, without the key."""
    with ExitStack() as stack:
        yield lambda shown: stack.enter_context(serving_app(viewer_app(shown, KEY, 0)))
