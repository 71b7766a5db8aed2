"""What Prometheus is told of a worker, and of the cluster as it sees it. No label has anything that was asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ..errors import ClusterError, ConfigurationError
from ..events import Event, ModelCalled
from ..journal.entries import Status
from ..run.listeners import Listener
from .engine.run_queue import QueueStatus
from .roster import WorkerInfo

HERE, MOST = "127.0.0.1", 65535
_ADDRESS = re.compile(r"((?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):)?(?P<port>\d{1,5})", re.ASCII)


class WorkerMetrics:
    """The metrics of one worker.

    Args:
        worker: says what there is to say of the worker.
        takeovers: returns how many runs of dead workers it has given to others.
        queues: reads the queues of the cluster from the database.
    """

    def __init__(
        self,
        worker: Callable[[], WorkerInfo],
        takeovers: Callable[[], int],
        queues: Callable[[], Sequence[QueueStatus]],
    ) -> None:
        self._worker = worker
        self._takeovers = takeovers
        self._queues = queues
        self.registry = registry = CollectorRegistry()
        self._runs = Counter(
            "contemplate_worker_runs", "Runs that ended here, by status", ("mind", "status"), registry=registry
        )
        self._calls = Counter(
            "contemplate_worker_model_calls", "Model calls, by outcome", ("mind", "outcome"), registry=registry
        )
        self._tokens = Counter("contemplate_worker_tokens", "Tokens of calls", ("mind", "kind"), registry=registry)
        self._cost = Counter(
            "contemplate_worker_cost_usd", "Cost of model calls whose price is known", ("mind",), registry=registry
        )
        registry.register(self)

    def run_ended(self, mind: str, status: Status) -> None:
        """Count a run that has ended here, for now or for good."""
        self._runs.labels(mind, status).inc()

    def listener(self, mind: str) -> Listener:
        """Return what counts the calls of a run by its events."""

        def count(event: Event) -> None:
            if isinstance(event, ModelCalled) and not event.recorded:
                self._calls.labels(mind, "answered" if event.error is None else "failed").inc()
                self._tokens.labels(mind, "input").inc(event.usage.input_tokens)
                self._tokens.labels(mind, "output").inc(event.usage.output_tokens)
                self._cost.labels(mind).inc(event.usage.cost_usd or 0.0)

        return count

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is to collect takes the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield what is read when it is asked for. That of the cluster is left out while the database is away."""
        worker = self._worker()
        yield GaugeMetricFamily("contemplate_worker_runs_active", "Runs that go on here", worker.runs)
        yield GaugeMetricFamily(
            "contemplate_worker_places", "Runs that may go on here at once", worker.concurrency * len(worker.minds)
        )
        yield CounterMetricFamily(
            "contemplate_worker_takeovers", "Runs of dead workers given to others from here", self._takeovers()
        )
        try:
            queues = self._queues()
        except ClusterError:
            return
        for name, help_, value in _OF_QUEUES:
            family = GaugeMetricFamily(f"contemplate_cluster_{name}", f"{help_}; each worker says it", labels=("mind",))
            for queue in queues:
                family.add_metric((queue.mind,), value(queue))
            yield family


_OF_QUEUES: tuple[tuple[str, str, Callable[[QueueStatus], float]], ...] = (
    ("runs_waiting", "Runs that wait", lambda queue: queue.queued),
    ("runs_active", "Runs that workers have", lambda queue: queue.running),
    ("oldest_wait_seconds", "For how long the oldest run has waited", lambda queue: queue.oldest_seconds),
    ("workers_alive", "Workers that are alive", lambda queue: queue.workers),
)


@contextmanager
def served(registry: CollectorRegistry, address: str) -> Iterator[str]:
    """Serve metrics in the block, in threads of their own, and lend their URL.

    Args:
        registry: what is served.
        address: a port of this machine only, or "host:port".

    Raises:
        ConfigurationError: it is no such address, or cannot be listened on.
    """
    host, port = address_of(address)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(f"metrics at {address}: {error}", hint="another port; 0 is a free one") from None
    try:
        at = f"[{host}]" if ":" in host else host
        yield f"http://{at}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address_of(address: str) -> tuple[str, int]:
    """Return host and port of a port, which is one of this machine only, or of "host:port".

    Raises:
        ConfigurationError: it is neither.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None or int(parts["port"]) > MOST:
        raise ConfigurationError(f"metrics={address!r} is no port", hint='a port, such as "9464", or "0.0.0.0:9464"')
    return (parts["host"] or HERE).strip("[]"), int(parts["port"])
