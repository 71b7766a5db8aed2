from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contemplate.cluster.worker import Worker

from ..journal.conftest import postgres
from ..postgres import PostgresServer
from . import stage
from .stage import Stage


@pytest.fixture(scope="session")
def url(postgres: PostgresServer) -> str:
    """A database, in which workers tell often that they are alive."""
    pytest.importorskip("dbos", reason="dbos comes with the extra `cluster`")
    return postgres.address(heartbeat=0.5)


# Not longer: its threads draw by chance, which properties that are tried in the same process do not bear.
@pytest.fixture(scope="module")
def worker(url: str) -> Iterator[Worker]:
    """A worker on it in this process."""
    minds = {"voters": stage.voters, "careful": stage.careful}
    with stage.worker_in_thread(url, minds, metrics="0") as running:
        yield running


@pytest.fixture(scope="module")
def workers(url: str, worker: Worker) -> str:
    """The same database, with the worker."""
    return url


@pytest.fixture
def on_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """What models are asked in this test."""
    monkeypatch.setattr(stage.STAGE, "folder", tmp_path)
    return stage.STAGE


__all__ = ["postgres"]
