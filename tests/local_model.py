"""The real model that the tests run on: small, in-process, fetched on first use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from contemplate import ModelSettings
from contemplate.models import LocalModel
from contemplate.models.local import KNOWN, pull

from . import network

NAME = "qwen2.5-coder-0.5b"
# Planned in 80 tokens, where for others it repeats itself until the schema ends it: in more than 200.
SHORT_QUESTION = "Which is taller, Mont Blanc or Ben Nevis?"

# It takes every core: two of them at once would each be slower than one after the other.
alone = pytest.mark.usefixtures("one_at_a_time")


@contextmanager
def turn() -> Iterator[None]:
    """Among all processes that test, one at a time goes on from here."""
    with FileLock(Path(tempfile.gettempdir()) / "contemplate-tests.lock"):
        yield


def on_one_thread(settings: ModelSettings) -> LocalModel:
    """The small local model beside other tests: threads that wait for each other get in each other's way."""
    return LocalModel(name().removeprefix("local:"), threads=1, settings=settings)


@contextmanager
def on_one_core() -> Iterator[None]:
    """What is started here has one core: beside other tests, its threads would wait for each other by spinning."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def name() -> str:
    """The small local model's name, fetched if need be; skips where that was forbidden."""
    if os.environ.get("CONTEMPLATE_SKIP_LOCAL"):
        pytest.skip("CONTEMPLATE_SKIP_LOCAL is set: nothing is tried on a real model")
    with network.allowed():
        pull(KNOWN[NAME])
    return f"local:{NAME}"
