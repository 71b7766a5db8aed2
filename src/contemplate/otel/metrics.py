"""The histograms of the conventions: tokens and seconds of calls, agents, tools and runs."""

from __future__ import annotations

from opentelemetry.metrics import Histogram, Meter
from opentelemetry.util.types import AttributeValue

from ..usage import Usage
from . import conventions as names

Attributes = dict[str, AttributeValue]


class RunMetrics:
    """What is measured of runs.

    Args:
        meter: makes the histograms.
    """

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, of: str) -> Histogram:
            return meter.create_histogram(
                name, unit="s", description=of, explicit_bucket_boundaries_advisory=names.SECONDS
            )

        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of model calls.",
            explicit_bucket_boundaries_advisory=names.TOKENS,
        )
        self._first = seconds("gen_ai.client.operation.time_to_first_chunk", "Seconds to the first piece of an answer.")
        self._seconds = {
            names.CHAT: seconds("gen_ai.client.operation.duration", "Seconds of model calls."),
            names.INVOKE_WORKFLOW: seconds("gen_ai.workflow.duration", "Seconds of runs."),
            names.INVOKE_AGENT: seconds("gen_ai.invoke_agent.duration", "Seconds of tasks."),
            names.EXECUTE_TOOL: seconds("gen_ai.execute_tool.duration", "Seconds of tool calls."),
        }

    def took(self, operation: str, seconds: float, attributes: Attributes) -> None:
        """Record how long an operation took; of planning, nothing is told but its calls."""
        histogram = self._seconds.get(operation)
        if histogram is not None:
            histogram.record(seconds, {names.OPERATION: operation, **attributes})

    def called(self, usage: Usage, first: float | None, attributes: Attributes) -> None:
        """Record the tokens of a model call, and the seconds to its first piece, if it came in pieces."""
        told = {names.OPERATION: names.CHAT, **attributes}
        self._tokens.record(usage.input_tokens, {**told, names.TOKEN_TYPE: "input"})
        self._tokens.record(usage.output_tokens, {**told, names.TOKEN_TYPE: "output"})
        if first is not None:
            self._first.record(first, told)
