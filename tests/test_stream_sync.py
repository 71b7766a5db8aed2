"""Streams that are left, and code that is not async: what ends a run, and what comes out of it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from contemplate import Answer, Contemplator, Task, TaskContext, aggregators, planners
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError
from contemplate.events import Event, OutputDelta, TaskDelta
from contemplate.models import ModelRequest
from contemplate.run.sync import run_blocking
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .processes import run
from .support import Held, running, steps

pytestmark = pytest.mark.usefixtures("no_leftovers")


def hanging() -> tuple[Contemplator, Held]:
    model = Held(["one", "two"])
    return Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote()), model


@pytest.mark.anyio
class TestStreams:
    async def test_left_early(self) -> None:
        before = running()
        mind, model = hanging()
        async with mind.stream("q") as run:
            async for event in run:
                if isinstance(event, TaskDelta):
                    break
        assert (model.running, running()) == (0, before)
        with pytest.raises(RuntimeError, match="not over"):
            _ = run.result

    async def test_left_before_anything_happened(self) -> None:
        mind, model = hanging()
        async with mind.stream("q"):
            pass
        assert model.running == 0

    @pytest.mark.parametrize("error", [KeyError("mine"), StopAsyncIteration(), ExceptionGroup("two", [ValueError()])])
    async def test_left_with_an_error(self, error: Exception) -> None:
        mind, model = hanging()
        with pytest.raises(type(error)) as caught:
            async with mind.stream("q") as run:
                await anext(run)
                raise error
        assert caught.value is error
        assert model.running == 0

    async def test_left_by_return(self) -> None:
        mind, model = hanging()

        async def first_kind() -> str:
            async with mind.stream("q") as run:
                async for event in run:
                    return event.kind
            return "none"

        assert await first_kind() == "run_started"
        assert model.running == 0

    async def test_cancelled(self) -> None:
        mind, model = hanging()
        with anyio.move_on_after(0.05) as scope:
            async with mind.stream("q") as run:
                async for _ in run:
                    pass
        assert scope.cancelled_caught
        assert model.running == 0

    async def test_a_deadline_inside_of_the_block_leaves_the_run_alive(self) -> None:
        release = Held(["one"], reply="Answer: 4")
        mind = Contemplator(release, planner=planners.sample(3), aggregator=aggregators.vote())
        async with mind.stream("q") as run:
            with anyio.move_on_after(0.05):
                async for _ in run:
                    pass
            release.release.set()
            kinds = [event.kind async for event in run]
        assert kinds[-1] == "run_finished"
        assert run.result.text == "Answer: 4"

    async def test_an_error_of_the_run_comes_out_once_and_as_it_is(self) -> None:
        mind = Contemplator(ScriptedModel([ModelServerError("down", model="m")]))
        async with mind.stream("q") as run:
            with pytest.raises(ModelServerError) as caught:
                async for _ in run:
                    pass
            with pytest.raises(ModelServerError):
                _ = run.result
        assert caught.value.partial is not None
        assert caught.value.__cause__ is None

    async def test_an_error_before_the_run(self) -> None:
        with pytest.raises(ConfigurationError, match="empty"):
            async with Contemplator(ScriptedModel("")).stream("  ") as run:
                async for _ in run:
                    pass

    async def test_the_result_without_reading_the_events(self) -> None:
        mind = Contemplator(ScriptedModel("four"), mode="instant")
        async with mind.stream("q") as run:
            await steps(100)
            assert run.result.output == "four"

    async def test_two_streams_of_one_mind(self) -> None:
        mind = Contemplator(ScriptedModel(lambda request: request.messages[-1].text), mode="instant")
        async with mind.stream("one") as one, mind.stream("two") as two:
            texts = [[event.text async for event in run if isinstance(event, OutputDelta)] for run in (one, two)]
        assert texts == [["one"], ["two"]]

    @pytest.mark.parametrize("output_type", [str, int])
    async def test_the_pieces_make_up_the_answer(self, output_type: Any) -> None:
        """Also where it was said twice, because it did not fit at first."""

        def script(request: ModelRequest) -> str:
            repaired = "cannot be used" in request.messages[-1].text
            return '{"value": 4}' if repaired or output_type is str else "it is four, I should say"

        for planner, aggregator in (
            (planners.direct(), aggregators.first()),
            (planners.sample(2, instructions=""), aggregators.synthesize()),
        ):
            mind = Contemplator(
                ScriptedModel(script, chunk=3), planner=planner, aggregator=aggregator, output_type=output_type
            )
            heard = ""
            async with mind.stream("q") as run:
                async for event in run:
                    if isinstance(event, OutputDelta):
                        heard = event.text if event.restart else heard + event.text
            assert heard == run.result.text == '{"value": 4}'

    async def test_a_generator_around_it_is_left(self) -> None:
        """Its cleanup comes from another task: that cancels neither the caller nor anybody else, and leaves nothing."""
        before = running()
        mind, model = hanging()

        async def events() -> AsyncGenerator[Event, None]:
            async with mind.stream("q") as run:
                async for event in run:
                    yield event

        async with aclosing(events()) as told:
            async for event in told:
                if isinstance(event, TaskDelta):
                    break
            async with anyio.create_task_group() as group:
                group.start_soon(told.aclose)
        await anyio.lowlevel.checkpoint()
        assert (model.running, running()) == (0, before)

    @pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
    async def test_a_generator_around_it_is_abandoned(self) -> None:
        """Nobody closes it: the event loop does, when it is garbage."""
        before = running()
        mind, model = hanging()

        async def events() -> AsyncGenerator[Event, None]:
            async with mind.stream("q") as run:
                async for event in run:
                    yield event

        async for event in events():
            if isinstance(event, TaskDelta):
                break
        gc.collect()
        with anyio.fail_after(PATIENCE):
            while model.running or running() != before:
                await anyio.lowlevel.checkpoint()

    async def test_two_generators_are_left_in_the_order_in_which_they_were_opened(self) -> None:
        before = running()
        (one, first), (two, second) = hanging(), hanging()
        async with AsyncExitStack() as opened_first:
            await anext(await opened_first.enter_async_context(one.stream("q")))
            async with AsyncExitStack() as opened_second:
                await anext(await opened_second.enter_async_context(two.stream("q")))
                await opened_first.aclose()
                await second.started.wait()
                assert (first.running, second.running > 0) == (0, True)
        assert (second.running, running()) == (0, before)

    async def test_the_callers_time_is_the_streams_too(self) -> None:
        """A run within a run must know how much time there is, whatever task it is in."""
        seen: list[float] = []

        async def agent(task: Task, ctx: TaskContext) -> Answer:
            seen.append(anyio.current_effective_deadline())
            return Answer("a")

        mind = Contemplator(ScriptedModel("a"), mode="instant", agent=agent)
        with anyio.move_on_after(1000) as scope:
            async with mind.stream("q") as run:
                async for _ in run:
                    pass
        assert seen == [scope.deadline]

    async def test_what_is_no_error_of_a_run_comes_out_where_it_is_read(self) -> None:
        class Odd(BaseException):
            pass

        async def planner(question: str, ctx: object) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="p")
            raise Odd

        mind = Contemplator(ScriptedModel("a"), planner=planner)
        with pytest.raises(Odd):
            async with mind.stream("q") as run:
                async for _ in run:
                    pass

    async def test_connections_of_a_mind_that_is_opened_twice(self) -> None:
        """By two tasks at the same time, say: whoever leaves first closes nothing of the other's."""
        from contextlib import asynccontextmanager

        class Kept(ScriptedModel):
            users = 0

            @asynccontextmanager
            async def connect(self) -> Any:
                self.users += 1
                yield
                self.users -= 1

        model = Kept("a")
        mind = Contemplator(model, mode="instant")
        async with mind:
            async with mind:
                assert model.users == 2
            assert model.users == 1
            assert (await mind.run("q")).output == "a"
        assert model.users == 0

    async def test_whoever_leaves_first_closes_what_he_has_opened(self) -> None:
        """Tasks that overlap, which a model with a cancel scope of its own would not forgive."""
        model, first_in, second_in, first_out = InItsTask("a"), anyio.Event(), anyio.Event(), anyio.Event()
        mind = Contemplator(model, mode="instant")

        async def first() -> None:
            async with mind:
                first_in.set()
                await second_in.wait()
            first_out.set()

        async def second() -> None:
            await first_in.wait()
            async with mind:
                second_in.set()
                await first_out.wait()

        async with anyio.create_task_group() as group:
            group.start_soon(first)
            group.start_soon(second)
        assert (model.opened, model.closed, model.elsewhere) == (2, 2, 0)

    @pytest.mark.parametrize("other", ["asyncio", "trio"])
    async def test_threads_that_overlap(self, other: str) -> None:
        """Each event loop has its own connections, and closes no other's."""
        model, inside, leave = InItsTask("a"), threading.Event(), threading.Event()
        mind = Contemplator(model, mode="instant")

        async def elsewhere() -> None:
            async with mind:
                inside.set()
                await anyio.to_thread.run_sync(leave.wait)

        thread = threading.Thread(target=lambda: anyio.run(elsewhere, backend=other))
        async with mind:
            thread.start()
            await anyio.to_thread.run_sync(inside.wait)
        leave.set()
        await anyio.to_thread.run_sync(thread.join)
        assert (model.opened, model.closed, model.elsewhere) == (2, 2, 0)

    async def test_opened_in_one_task_and_closed_in_another(self) -> None:
        """As test frameworks and web frameworks do with what lives as long as they do."""
        from contemplate.models.openai import OpenAIModel

        mind = Contemplator(OpenAIModel("m", base_url="http://127.0.0.1:9/v1", api_key="k"), mode="instant")
        await mind.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(mind.__aexit__, None, None, None)
        with pytest.raises(RuntimeError, match="not open"):
            await mind.__aexit__(None, None, None)


class InItsTask(ScriptedModel):
    """Notices whether connections are closed in another task than the one that opened them."""

    opened = closed = elsewhere = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        self.opened += 1
        mine = (threading.get_ident(), anyio.get_current_task().id)
        yield
        self.closed += 1
        self.elsewhere += mine != (threading.get_ident(), anyio.get_current_task().id)


VAR: ContextVar[str] = ContextVar("VAR", default="unset")


class TestSync:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_within_a_loop_of_anyios(self, backend: str) -> None:
        async def notebook() -> str:
            return Contemplator(ScriptedModel("a"), mode="instant").run_sync("q").output

        assert anyio.run(notebook, backend=backend) == "a"

    def test_within_a_loop_of_asyncios(self) -> None:
        async def notebook() -> str:
            return Contemplator(ScriptedModel("a"), mode="instant").run_sync("q").output

        assert asyncio.run(notebook()) == "a"

    def test_within_a_callback_of_asyncios(self) -> None:
        """There a loop runs and no task does."""
        outputs: list[str] = []

        async def main() -> None:
            done = asyncio.Event()

            def callback() -> None:
                outputs.append(Contemplator(ScriptedModel("a"), mode="instant").run_sync("q").output)
                done.set()

            asyncio.get_running_loop().call_soon(callback)
            await done.wait()

        asyncio.run(main())
        assert outputs == ["a"]

    def test_in_a_thread_without_a_loop(self) -> None:
        outputs: list[str] = []
        mind = Contemplator(ScriptedModel("a"), mode="instant")
        thread = threading.Thread(target=lambda: outputs.append(mind.run_sync("q").output))
        thread.start()
        thread.join()
        assert outputs == ["a"]

    def test_an_error_comes_out_as_it_is(self) -> None:
        async def notebook() -> None:
            Contemplator(ScriptedModel([ValueError("down")]), mode="instant").run_sync("q")

        for call in (lambda: asyncio.run(notebook()), lambda: anyio.run(notebook, backend="trio")):
            with pytest.raises(AggregationError, match="ValueError: down") as caught:
                call()  # type: ignore[no-untyped-call]
            assert caught.value.partial is not None

    def test_the_callers_context_is_the_runs(self) -> None:
        async def look() -> str:
            return VAR.get()

        async def notebook() -> str:
            VAR.set("mine")
            return run_blocking(look)

        assert asyncio.run(notebook()) == "mine"

    def test_nothing_is_left_in_the_thread(self) -> None:
        async def notebook() -> None:
            Contemplator(ScriptedModel("a"), mode="instant").run_sync("q")

        before = set(threading.enumerate())
        asyncio.run(notebook())
        left = set(threading.enumerate()) - before
        assert not [thread.name for thread in left if "contemplate" in thread.name]


INTERRUPTED = """
import asyncio, os, signal, sys, threading
import anyio
from contemplate import Contemplator, aggregators, planners
from contemplate.testing import ScriptedModel

# A shell has what it runs in the background ignore this signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
ended = threading.Event()
loop = asyncio.new_event_loop()

async def hang(request):
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        await anyio.sleep_forever()
    finally:
        ended.set()

mind = Contemplator(ScriptedModel(hang), planner=planners.direct(), aggregator=aggregators.first())

async def notebook():
    return mind.run_sync("q")

async def handled():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    return mind.run_sync("q")

async def stream():
    async with mind.stream("q") as run:
        async for event in run:
            pass

try:
    {
        "sync": lambda: mind.run_sync("q"),
        "asyncio": lambda: asyncio.run(mind.run("q")),
        "stream": lambda: asyncio.run(stream()),
        "trio": lambda: anyio.run(mind.run, "q", backend="trio"),
        # As a kernel does it: asyncio.run would take the first signal for itself.
        "run_sync in asyncio.run": lambda: asyncio.run(notebook()),
        "run_sync in trio.run": lambda: anyio.run(notebook, backend="trio"),
        "run_sync in a handler": lambda: asyncio.run(handled()),
        "notebook": lambda: loop.run_until_complete(notebook()),
    }[os.environ["HOW"]]()
except KeyboardInterrupt:
    loop.close()
    assert ended.is_set(), "the run goes on"
    assert threading.active_count() <= 2, threading.enumerate()
    print("interrupted")
"""


RUN_SYNC = ["run_sync in asyncio.run", "run_sync in trio.run", "run_sync in a handler"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way there")
@pytest.mark.parametrize("how", ["sync", "asyncio", "stream", "trio", "notebook", *RUN_SYNC])
def test_ctrl_c_ends_the_run_before_it_comes_out(how: str) -> None:
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED]
    done = run(command, PATIENCE, env={**os.environ, "HOW": how})
    assert (done.stdout.strip(), done.stderr) == ("interrupted", "")
