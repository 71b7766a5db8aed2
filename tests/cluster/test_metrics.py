"""What Prometheus is told of a worker."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

pytest.importorskip("dbos", reason="dbos comes with the extra `cluster`")

from prometheus_client import generate_latest

from contemplate.cluster import QueueStatus
from contemplate.cluster.metrics import WorkerMetrics, address_of, served
from contemplate.cluster.roster import this_worker
from contemplate.errors import ClusterBusy, ConfigurationError, error_info
from contemplate.events import CallName, ModelCalled
from contemplate.usage import Usage

from .stage import read, samples

QUEUE = QueueStatus(mind="mind", queued=3, running=2, oldest_seconds=7.5, workers=1)


def metrics(queues: Sequence[QueueStatus] | None = (QUEUE,)) -> WorkerMetrics:
    def read() -> Sequence[QueueStatus]:
        if queues is None:
            raise ClusterBusy("away")
        return queues

    return WorkerMetrics(lambda: this_worker(("mind", "other"), 4, 5.0), lambda: 6, read)


def test_what_ends_and_what_is_asked_is_counted() -> None:
    told = metrics()
    told.run_ended("mind", "answered")
    told.run_ended("mind", "answered")
    told.run_ended("mind", "failed")
    count = told.listener("mind")
    usage = Usage(calls=1, input_tokens=5, output_tokens=3)
    call = ModelCalled(name=CallName(run="r", role="subagent"), model="m", usage=usage, seconds=1.0)
    count(call.model_copy(update={"usage": usage.model_copy(update={"cost_usd": 0.25})}))
    count(call.model_copy(update={"usage": usage.model_copy(update={"cost_usd": None})}))
    count(call.model_copy(update={"error": error_info(ValueError("no")), "usage": Usage()}))
    count(call.model_copy(update={"recorded": True}))
    found = samples(generate_latest(told.registry).decode())
    assert found["contemplate_worker_runs_total", "mind", "answered"] == 2
    assert found["contemplate_worker_runs_total", "mind", "failed"] == 1
    assert found["contemplate_worker_model_calls_total", "mind", "answered"] == 2
    assert found["contemplate_worker_model_calls_total", "mind", "failed"] == 1
    assert found["contemplate_worker_tokens_total", "input", "mind"] == 10
    assert found["contemplate_worker_tokens_total", "output", "mind"] == 6
    assert found["contemplate_worker_cost_usd_total", "mind"] == 0.25


def test_the_cluster_is_told_of_while_it_can_be_read() -> None:
    found = samples(generate_latest(metrics().registry).decode())
    assert found["contemplate_worker_places",] == 8
    assert found["contemplate_worker_runs_active",] == 0
    assert found["contemplate_worker_takeovers_total",] == 6
    names = ("runs_waiting", "runs_active", "oldest_wait_seconds", "workers_alive")
    assert [found[f"contemplate_cluster_{name}", "mind"] for name in names] == [3, 2, 7.5, 1]
    away = samples(generate_latest(metrics(None).registry).decode())
    assert away["contemplate_worker_places",] == 8
    assert not any("cluster" in each[0] for each in away)


def test_they_are_served_until_the_end_and_a_port_is_one_workers() -> None:
    with served(metrics().registry, "0") as url:
        assert url.startswith("http://127.0.0.1:")
        assert samples(read(url))["contemplate_worker_places",] == 8
        port = url.removesuffix("/metrics").rpartition(":")[2]
        with pytest.raises(ConfigurationError, match=rf"metrics at {port}: .*in use"), served(metrics().registry, port):
            pass
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(port)))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("65535", ("127.0.0.1", 65535)),
        ("localhost:9464", ("localhost", 9464)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_a_port_is_one_of_this_machine_if_nothing_else_is_said(said: str, meant: tuple[str, int]) -> None:
    assert address_of(said) == meant


@pytest.mark.parametrize("said", ["", "port", "-1", "65536", ":9464", "host:", "me@host:1", "http://host:1", "1/x"])
def test_what_is_no_port_is_told(said: str) -> None:
    with pytest.raises(ConfigurationError, match="is no port"):
        address_of(said)
