"""Traces and metrics, as OpenTelemetry's own SDK receives them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from contemplate import (
    Contemplator,
    Message,
    Price,
    Returned,
    RunContext,
    Task,
    aggregators,
    external_tool,
    planners,
    tool,
)
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest, Retry
from contemplate.otel import Traces
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

SECRET = "hunter2-secret"


class Receiver:
    """OpenTelemetry's SDK, which keeps in memory what it is given."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader])

    def traces(self, *, content: bool = False) -> Traces:
        return Traces(tracer_provider=self.tracers, meter_provider=self._meters, content=content)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def tree(self, within: int | None = None, depth: int = 0) -> list[str]:
        """The names of all spans, each below and two spaces to the right of the one around it, in order of time."""
        lines: list[str] = []
        for span in sorted(self.spans, key=lambda each: each.start_time or 0):
            if (None if span.parent is None else span.parent.span_id) == within:
                lines += ["  " * depth + span.name, *self.tree(span.context.span_id, depth + 1)]
        return lines

    def named(self, name: str) -> list[ReadableSpan]:
        return [each for each in self.spans if each.name == name]

    def total(self, attribute: str) -> float:
        return sum(_number(told(each).get(attribute, 0)) for each in self.spans)

    def measured(self) -> dict[str, list[HistogramDataPoint]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        found: dict[str, list[HistogramDataPoint]] = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = [each for each in metric.data.data_points if isinstance(each, HistogramDataPoint)]
                    found[metric.name] = points
        return found


def told(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


async def two_tasks(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="What of a?", title="The first")
    yield Task(id="b", prompt="What of b?")


def look() -> str:
    """Look."""
    return f"seen {SECRET}"


def script(request: ModelRequest) -> Message | str:
    if request.messages[-1].role == "tool" or not request.tools:
        return f"It is 4. {SECRET}"
    return Message.assistant("", (ToolCall(id="c1", name="look", arguments="{}"),))


PRICED = Price(input=1, output=2)


async def test_a_run_is_one_tree(receiver: Receiver) -> None:
    model = ScriptedModel(script, price=PRICED)
    inner = Contemplator(model, mode="instant", tools=[look])
    result = await Contemplator(model, planner=two_tasks, agent=inner, on_event=receiver.traces()).run("?")
    within = [
        "    invoke_workflow contemplate",
        "      invoke_agent Answer",
        "        chat scripted",
        "        execute_tool look",
        "        chat scripted",
    ]
    assert receiver.tree() == [
        "invoke_workflow contemplate",
        "  invoke_agent The first",
        *within,
        "  invoke_agent b",
        *within,
        "  invoke_agent aggregator",
        "    chat scripted",
    ]
    # Every token is told once, and by calls only.
    assert receiver.total("gen_ai.usage.input_tokens") == result.usage.input_tokens
    assert receiver.total("gen_ai.usage.output_tokens") == result.usage.output_tokens
    assert receiver.total("contemplate.cost_usd") == pytest.approx(result.usage.cost_usd)
    for span in receiver.spans:
        is_call = span.name.startswith("chat ")
        assert ("gen_ai.usage.input_tokens" in told(span)) == is_call
        assert ("gen_ai.request.model" in told(span)) == is_call
        assert span.kind == (SpanKind.CLIENT if is_call else SpanKind.INTERNAL)
        assert span.name.startswith(told(span)["gen_ai.operation.name"])
        assert (span.start_time or 0) <= (span.end_time or 0)
    assert len({each.context.trace_id for each in receiver.spans}) == 1
    assert told(receiver.named("invoke_workflow contemplate")[-1])["contemplate.run_id"] == result.run_id


async def test_planning_has_a_span_of_its_own(receiver: Receiver) -> None:
    plan = '{"tasks": [{"id": "1", "prompt": "What of a?"}, {"id": "2", "prompt": "What of b?"}]}'
    model = ScriptedModel([plan, "A.", "B.", "Both."])
    await Contemplator(model, on_event=receiver.traces()).run("?")
    assert receiver.tree()[:3] == ["invoke_workflow contemplate", "  plan contemplate", "    chat scripted"]
    assert told(receiver.named("plan contemplate")[0])["contemplate.tasks"] == 2


async def test_nothing_that_was_said_is_told_unless_asked_for() -> None:
    @tool
    def break_down() -> str:
        raise ValueError(SECRET)

    both = Message.assistant(
        "", (ToolCall(id="c1", name="look", arguments="{}"), ToolCall(id="c2", name="break_down", arguments="{}"))
    )
    replies: list[Message | str] = [both, f"It is {SECRET}."] * 2

    async def one(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        ctx.note(SECRET)
        yield Task(id="a", prompt=SECRET, kind="answer")

    async def told_by(*, content: bool) -> str:
        receiver = Receiver()
        traces = receiver.traces(content=content)
        model = ScriptedModel(replies)
        await Contemplator(model, planner=one, tools=[look, break_down], on_event=traces).run(SECRET)
        return "".join(each.to_json() for each in receiver.spans) + repr(receiver.measured())

    assert SECRET not in await told_by(content=False)
    whole = await told_by(content=True)
    assert "gen_ai.tool.call.result" in whole
    assert whole.count(SECRET) >= 7


async def test_what_went_wrong(receiver: Receiver) -> None:
    def fails(request: ModelRequest) -> Exception:
        return ModelServerError("it is down", model="scripted", status=503)

    with pytest.raises(AggregationError):
        await Contemplator(ScriptedModel(fails), mode="instant", on_event=receiver.traces()).run("?")
    call, task, run = receiver.spans
    assert [each.status.status_code for each in (run, task, call)] == [StatusCode.ERROR] * 3
    assert told(call)["error.type"] == told(task)["error.type"] == "ModelServerError"
    assert told(run)["error.type"] == "AggregationError"
    assert told(task)["contemplate.outcome"] == "failed"


async def test_a_retry_is_an_event_of_its_call(receiver: Receiver) -> None:
    model = Retry(ScriptedModel([ModelServerError("busy", model="scripted", retry_after=0), "4"]))
    await Contemplator(model, mode="instant", on_event=receiver.traces()).run("?")
    (call,) = receiver.named("chat scripted")
    assert [each.name for each in call.events] == ["retried"]


async def test_votes_and_their_ends_are_events_of_the_run(receiver: Receiver) -> None:
    await Contemplator(ScriptedModel("7"), mode="vote", on_event=receiver.traces()).run("?")
    (run,) = receiver.named("invoke_workflow contemplate")
    votes = [each for each in run.events if each.name == "vote_counted"]
    assert votes
    assert votes[-1].attributes is not None
    assert votes[-1].attributes["contemplate.decided"] is True
    assert len(receiver.named("chat scripted")) == len(
        [each for each in receiver.spans if each.name.startswith("invoke_agent")]
    )


async def test_the_standings_of_a_tournament_are_events_of_the_run(receiver: Receiver) -> None:
    def script(request: ModelRequest) -> str:
        return "ab"[request.settings.seed or 0] if request.output_schema is None else '{"reason": "so", "better": "1"}'

    mind = Contemplator(
        ScriptedModel(script),
        planner=planners.sample(2),
        aggregator=aggregators.tournament(),
        on_event=receiver.traces(),
    )
    await mind.run("?")
    (run,) = receiver.named("invoke_workflow contemplate")
    begin, end = [each.attributes or {} for each in run.events if each.name == "standings_changed"]
    assert (begin["contemplate.counts"], begin["contemplate.decided"]) == ((0.0, 0.0), False)
    assert (end["contemplate.pair"], end["contemplate.score"]) == (("sample-1", "sample-2"), 0.5)
    assert end["contemplate.decided"] is True


async def test_a_cancelled_run_leaves_nothing_open(receiver: Receiver) -> None:
    traces = receiver.traces()
    began = anyio.Event()

    async def hang(request: ModelRequest) -> str:
        began.set()
        await anyio.sleep_forever()
        return ""

    async with anyio.create_task_group() as group:
        group.start_soon(Contemplator(ScriptedModel(hang), mode="vote", on_event=traces).run, "?")
        await began.wait()
        group.cancel_scope.cancel()
    assert receiver.tree()[0] == "invoke_workflow contemplate"
    assert traces._runs == {}


async def test_a_run_that_waits_and_one_that_is_resumed(receiver: Receiver) -> None:
    ask = Message.assistant("", (ToolCall(id="c1", name="ask_ann", arguments="{}"),))
    model = ScriptedModel([ask, "She says yes."])
    mind = Contemplator(
        model, mode="instant", tools=[external_tool("ask_ann")], journal="memory:", on_event=receiver.traces()
    )
    waiting = await mind.run("?")
    assert told(receiver.named("invoke_workflow contemplate")[0])["contemplate.suspended"] is True
    done = await mind.resume(waiting.run_id, {waiting.pending[0].id: Returned("yes")})
    assert len(receiver.named("invoke_workflow contemplate")) == 2
    # The call that is recorded was told of in the first trace.
    assert receiver.total("gen_ai.usage.input_tokens") == done.usage.input_tokens
    assert [told(each).get("contemplate.recorded", False) for each in receiver.named("chat scripted")].count(True) == 1


async def test_runs_at_once_and_what_is_around_them(receiver: Receiver) -> None:
    mind = Contemplator(ScriptedModel("4"), mode="vote", on_event=receiver.traces())
    tracer = receiver.tracers.get_tracer("user")

    async def ask(name: str) -> None:
        with tracer.start_as_current_span(name):
            await mind.run("?")

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(ask, f"request {number}")
    tree = receiver.tree()
    assert tree.count("  invoke_workflow contemplate") == 5
    assert len({each.context.trace_id for each in receiver.spans}) == 5
    assert {each for each in tree if not each.startswith(" ")} == {f"request {number}" for number in range(5)}


async def test_metrics(receiver: Receiver) -> None:
    inner = Contemplator(ScriptedModel(script), mode="instant", tools=[look])
    mind = Contemplator(ScriptedModel(script), planner=two_tasks, agent=inner, on_event=receiver.traces(), stream=True)
    result = await mind.run("?")
    measured = receiver.measured()
    tokens = {
        str((each.attributes or {})["gen_ai.token.type"]): each.sum for each in measured["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": result.usage.input_tokens, "output": result.usage.output_tokens}
    counts = {name: sum(each.count for each in points) for name, points in measured.items()}
    assert counts == {
        "gen_ai.client.token.usage": 2 * result.usage.calls,
        "gen_ai.client.operation.duration": result.usage.calls,
        "gen_ai.client.operation.time_to_first_chunk": counts["gen_ai.client.operation.time_to_first_chunk"],
        "gen_ai.workflow.duration": 3,
        "gen_ai.invoke_agent.duration": 5,
        "gen_ai.execute_tool.duration": 2,
    }
    assert 1 <= counts["gen_ai.client.operation.time_to_first_chunk"] <= result.usage.calls


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [each for each in sys.modules if each.startswith("contemplate.otel")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"contemplate-ai\[otel\]"):
        import contemplate.otel  # noqa: F401
