"""What planners, agents and aggregators may touch: results, models, notes, and the one door for calls."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from contemplate import Contemplator, RunContext, Task, TaskResult, Usage, planners
from contemplate.errors import ConfigurationError, ModelServerError, PlanError
from contemplate.events import Event, ModelCalled, Noted
from contemplate.limits import Limits
from contemplate.messages import ImagePart, Message, ToolCall
from contemplate.models import Delta, DeltaSink, Model, ModelRequest, ModelResponse, OutputSchema, ToolSpec
from contemplate.models.tokens import request_tokens
from contemplate.run.budget import Ledger
from contemplate.run.calls import Calls
from contemplate.run.listeners import Listeners
from contemplate.run.resources import resources
from contemplate.run.state import RunState
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .support import Held, cancelled_after, out, steps

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def a_run(model: Model | None = None, **limits: int) -> AsyncIterator[tuple[RunContext, list[Event]]]:
    heard: list[Event] = []
    ledger = Ledger(Limits.model_validate(limits), keep_for_aggregator=False)
    async with resources() as opened:
        calls = Calls("run", ledger, Listeners([heard.append]), opened)
        model = model or ScriptedModel("yes")
        yield RunContext(run_id="run", question="q", deadline=math.inf, _model=model, _calls=calls), heard


def state_of(ctx: RunContext) -> RunState:
    return ctx._state


def asking(text: str = "hello") -> ModelRequest:
    return ModelRequest((Message.user(text),))


class Mute:
    """A model that never streams, whatever it is given."""

    name = "mute"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await steps(1)
        return ModelResponse(message=Message.assistant("said"), finish="stop", usage=Usage(calls=1), model="mute")


class Breaking:
    """A model that breaks off in the middle."""

    name = "breaking"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        assert on_delta is not None
        on_delta(Delta("x" * 30))
        raise ModelServerError("broke off", model="breaking")


class TestResults:
    async def test_waiting_for_one(self) -> None:
        async with a_run() as (ctx, _):
            task = Task(id="a", prompt="")
            state_of(ctx).add(task)
            result = TaskResult(task=task, outcome="answered")
            found: list[TaskResult] = []

            async def wait() -> None:
                found.append(await ctx.finished("a"))

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wait)
                await steps(3)
                assert found == []
                state_of(ctx).record(result)
            assert found == [result] * 3
            assert await ctx.finished("a") is result

    async def test_waiting_may_be_given_up(self) -> None:
        async with a_run() as (ctx, _):
            task = Task(id="a", prompt="")
            state_of(ctx).add(task)
            assert not await cancelled_after(3, lambda: ctx.finished("a"))
            state_of(ctx).record(TaskResult(task=task, outcome="failed"))
            assert (await ctx.finished("a")).outcome == "failed"

    async def test_nobody_has_planned_it(self) -> None:
        async with a_run() as (ctx, _):
            with anyio.fail_after(PATIENCE), pytest.raises(PlanError, match="no task 'a' was planned"):
                await ctx.finished("a")

    async def test_results_can_be_looked_at_and_not_changed(self) -> None:
        async with a_run() as (ctx, _):
            with pytest.raises(TypeError):
                ctx.results["a"] = None  # type: ignore[index]

    async def test_a_note_is_kept_and_told(self) -> None:
        async with a_run() as (ctx, heard):
            ctx.note("mended")
            assert state_of(ctx).notes == ["mended"]
            assert [each.model_copy(update={"at": 0.0}) for each in heard] == [Noted(run_id="run", message="mended")]


class TestModels:
    async def test_the_runs_own(self) -> None:
        model = ScriptedModel("")
        async with a_run(model) as (ctx, _):
            assert ctx.model() is ctx.model("scripted") is ctx.model(model) is model
            assert ctx.model_name(Task(id="a", prompt="")) == "scripted"

    async def test_a_name_that_is_asked_for_again_is_the_same_model(self) -> None:
        async with a_run() as (ctx, _):
            name = ctx.use("http://127.0.0.1:9/v1#m")
            assert ctx.use("http://127.0.0.1:9/v1#m") == name
            assert ctx.model(name) is ctx.model("http://127.0.0.1:9/v1#m")

    async def test_models_of_one_name_are_told_apart(self) -> None:
        one, two, three = ScriptedModel("1"), ScriptedModel("2"), ScriptedModel("3")
        async with a_run(one) as (ctx, _):
            names = [ctx.use(model) for model in (one, two, three, two)]
            assert names == ["scripted", "scripted#2", "scripted#3", "scripted#2"]
            assert [ctx.model(name) for name in names] == [one, two, three, two]

    async def test_no_such_model(self) -> None:
        async with a_run() as (ctx, _):
            with pytest.raises(ConfigurationError, match="nobody"):
                ctx.use("nobody:x")


class TestCalls:
    async def test_a_call_is_named_paid_and_told(self) -> None:
        async with a_run() as (ctx, heard):
            response = await ctx.call("subagent", asking(), task="a")
            assert response.message.text == "yes"
            assert ctx.spent_on("a") == response.usage == ctx._calls.ledger.spent
            (_, event) = heard
            assert isinstance(event, ModelCalled)
            assert event.name.model_dump() == {"run": "run", "path": "", "role": "subagent", "task": "a", "turn": 0}
            assert (event.finish, event.error, event.usage) == ("stop", None, response.usage)

    async def test_a_model_that_does_not_stream_is_heard_all_the_same(self) -> None:
        pieces: list[Delta] = []
        async with a_run(Mute()) as (ctx, _):
            await ctx.call("planner", asking(), on_delta=pieces.append)
        assert pieces == [Delta("said")]

    async def test_what_was_written_before_a_failure_was_paid_for(self) -> None:
        async with a_run(Breaking()) as (ctx, heard):
            with pytest.raises(ModelServerError):
                await ctx.call("subagent", asking(), task="a", on_delta=lambda _: None)
            assert ctx.spent_on("a").output_tokens == 10
            assert ctx.spent_on("a").calls == 1
            (_, event) = heard
            assert isinstance(event, ModelCalled)
            assert event.error is not None
            assert event.error.kind == "ModelServerError"

    async def test_a_call_that_is_cancelled_is_settled_at_any_step(self) -> None:
        for count in range(12):
            async with a_run(Held(["one"]), total_tokens=1000, calls=5, concurrency=1) as (ctx, _):
                over = await cancelled_after(
                    count,
                    lambda ctx=ctx: ctx.call("subagent", asking(), task="a", on_delta=lambda _: None),  # type: ignore[misc]
                )
                assert not over
                assert out(ctx._calls.ledger) == (0, 0)
                (slots,) = ctx._calls.slots
                assert slots.value == 1

    async def test_a_listener_that_raises_in_the_middle_costs_no_call(self) -> None:
        async with a_run() as (ctx, heard):

            def broken(event: Event) -> None:
                raise RuntimeError("bad")

            ctx._calls.listeners._listeners.insert(0, broken)
            await ctx.call("planner", asking())
            assert [event.kind for event in heard] == ["call_started", "model_called"]
            assert broken not in ctx._calls.listeners._listeners


class TestConnections:
    async def test_a_model_is_connected_once_and_closed_with_the_run(self) -> None:
        class Kept(ScriptedModel):
            opened = closed = 0

            @asynccontextmanager
            async def connect(self) -> AsyncIterator[None]:
                self.opened += 1
                yield
                self.closed += 1

        model = Kept("yes")
        async with a_run(model) as (ctx, _):
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(ctx.call, "subagent", asking())
            assert (model.opened, model.closed) == (1, 0)
        assert (model.opened, model.closed) == (1, 1)

    async def test_a_connection_that_fails_is_tried_again(self) -> None:
        class Late(ScriptedModel):
            tries = 0

            @asynccontextmanager
            async def connect(self) -> AsyncIterator[None]:
                self.tries += 1
                if self.tries == 1:
                    raise ConfigurationError("not yet")
                yield

        model = Late("yes")
        async with a_run(model) as (ctx, _):
            with pytest.raises(ConfigurationError, match="not yet"):
                await ctx.call("subagent", asking())
            await ctx.call("subagent", asking())
        assert model.tries == 2


class TestEstimates:
    def test_bytes_and_not_characters_are_counted(self) -> None:
        assert request_tokens(asking("思" * 300)) >= 300
        assert 100 <= request_tokens(asking("x" * 300)) <= 120

    def test_images_tools_and_schemas_count(self) -> None:
        plain = asking()
        picture = ModelRequest((Message.user("hello", (ImagePart(url="http://127.0.0.1/a.png"),)),))
        tools = ModelRequest(plain.messages, tools=(ToolSpec("t", "x" * 300, {"type": "object"}),))
        schema = ModelRequest(plain.messages, output_schema=OutputSchema("s", {"description": "x" * 300}))
        assert request_tokens(picture) >= request_tokens(plain) + 1000
        assert request_tokens(tools) >= request_tokens(plain) + 100
        assert request_tokens(schema) >= request_tokens(plain) + 100

    def test_half_a_character_is_no_obstacle(self) -> None:
        assert request_tokens(asking("\ud83d")) > 0


@pytest.mark.parametrize("watches", [True, False])
async def test_who_watches_is_told_of_each_piece_and_before_each_call(watches: bool) -> None:
    heard: list[tuple[str, str, bool]] = []
    streamed: list[bool] = []

    class Model(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            streamed.append(on_delta is not None)
            return await super().request(request, on_delta)

    async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        if watches:
            ctx.watch(lambda task, delta: heard.append((task, delta.text, delta.restart)))
        return " ".join([result.text async for result in results])

    def look() -> str:
        """Look."""
        return "42"

    call = Message.assistant("", (ToolCall(id="c", name="look", arguments="{}"),))
    model = Model([call, "It is"])
    mind = Contemplator(model, planner=planners.sample(1), aggregator=conclude, tools=[look], stream=False)
    assert (await mind.run("q")).text == "It is"
    assert streamed == [watches] * 2
    restarts = [number for number, (_, _, restart) in enumerate(heard) if restart]
    assert len(restarts) == 2 * watches
    if watches:
        assert {task for task, _, _ in heard} == {"sample-1"}
        assert restarts[0] == 0
        assert "".join(text for _, text, _ in heard[restarts[1] :]) == "It is"
