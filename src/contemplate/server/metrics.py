"""What Prometheus is told. No label holds anything that a client wrote but the names of contemplators."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from .active_runs import ActiveRuns
from .visits import Visit

MEDIA_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_NO_KEY, _NO_ROUTE = "", "other"


class ServerMetrics:
    """The metrics of one application.

    Args:
        runs: those that go on.
        routes: all there are; requests are counted by them.
        label: returns what stands for the name by which a client asked for a contemplator.
    """

    def __init__(self, runs: ActiveRuns, routes: Iterable[BaseRoute], label: Callable[[str], str]) -> None:
        self._label = label
        self._routes = tuple(routes)
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "contemplate_requests", "Requests, by route and status", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "contemplate_request_seconds", "How long requests took", ("route",), buckets=_SECONDS, registry=registry
        )
        self._runs = Counter(
            "contemplate_runs",
            "Runs that ended, by model, key and outcome",
            ("model", "key", "outcome"),
            registry=registry,
        )
        self._run_seconds = Histogram(
            "contemplate_run_seconds", "How long runs took", ("model",), buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter(
            "contemplate_tokens", "Tokens of all model calls", ("model", "key", "kind"), registry=registry
        )
        self._calls = Counter("contemplate_model_calls", "Model calls", ("model", "key"), registry=registry)
        self._cost = Counter(
            "contemplate_cost_usd", "Cost of model calls whose price is known", ("model", "key"), registry=registry
        )
        active = Gauge("contemplate_runs_active", "Runs that go on", registry=registry)
        active.set_function(lambda: runs.active - runs.queued)
        queued = Gauge("contemplate_runs_queued", "Runs that wait for their turn", registry=registry)
        queued.set_function(lambda: runs.queued)

    def count(self, scope: Scope, visit: Visit, seconds: float) -> None:
        """Count one request that is over, and the run that ended with it."""
        route = self._route(scope)
        self._requests.labels(route, str(visit.status or 499)).inc()
        self._seconds.labels(route).observe(seconds)
        self.count_run(visit, seconds)

    def count_run(self, visit: Visit, seconds: float) -> None:
        """Count the run of a visit, if there was one."""
        if visit.model is None or visit.outcome is None:
            return
        model = self._label(visit.model)
        key = _NO_KEY if visit.key is None else visit.key.name
        self._runs.labels(model, key, visit.outcome).inc()
        self._run_seconds.labels(model).observe(seconds)
        self._calls.labels(model, key).inc(visit.usage.calls)
        self._tokens.labels(model, key, "input").inc(visit.usage.input_tokens)
        self._tokens.labels(model, key, "output").inc(visit.usage.output_tokens)
        self._cost.labels(model, key).inc(visit.usage.cost_usd or 0.0)

    def text(self) -> bytes:
        """Return all, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _route(self, scope: Scope) -> str:
        matching = (getattr(each, "path", _NO_ROUTE) for each in self._routes if each.matches(scope)[0] is Match.FULL)
        return next(matching, _NO_ROUTE)
