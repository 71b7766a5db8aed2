"""A listener that makes OpenTelemetry's spans and metrics of the events of runs."""

from __future__ import annotations

import time
from typing import final

from ..errors import MissingDependencyError
from ..events import Event

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    raise MissingDependencyError("making traces", "otel") from error

from .metrics import RunMetrics
from .run_trace import RunTrace

SCOPE = "contemplate"


@final
class Traces:
    """Spans and metrics of runs, by OpenTelemetry's conventions for generative AI: `Contemplator(on_event=Traces())`.

    Each run is one tree: `invoke_workflow contemplate`, in it `plan`, an `invoke_agent` for each task and for the
    aggregator, and in these `chat` for each model call and `execute_tool` for each tool call. A run within a run is
    within the span of its task. Retries, hedges and fallbacks are events of their call's span; votes, limits and
    condensed contexts those of the run's. Only `chat` has models and tokens, so that nobody counts them twice; a call
    whose answer came from the journal has none. The tree hangs in whatever span is current where the run is begun.

    What was asked and answered, arguments and results of tools, and the words of errors are told with `content=True`
    only. One object serves any number of runs, also at once and from several threads.

    Args:
        tracer_provider: where spans go; the global one if None.
        meter_provider: where metrics go; the global one if None.
        content: whether to tell what was asked, answered, and given to tools.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._metrics = RunMetrics(metrics.get_meter(SCOPE, meter_provider=meter_provider))
        self._content = content
        self._runs: dict[str, RunTrace] = {}

    def __call__(self, event: Event) -> None:
        """Make of `event` what it says."""
        run = self._runs.get(event.run_id)
        if run is None:
            began = time.time() - event.at
            run = RunTrace(self._tracer, self._metrics, content=self._content, began=began)
            self._runs[event.run_id] = run
        run.add(event)
        if run.over:
            del self._runs[event.run_id]
