"""Streams that are left, and code that is not async: what ends a run, and what comes out of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from contemplate import Contemplator, aggregators, planners
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError
from contemplate.events import OutputDelta, TaskDelta
from contemplate.models import ModelRequest
from contemplate.run.sync import run_blocking
from contemplate.testing import ScriptedModel

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

        asyncio.run(notebook())
        assert not [thread.name for thread in threading.enumerate() if "contemplate" in thread.name]


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
        "notebook": lambda: loop.run_until_complete(notebook()),
    }[os.environ["HOW"]]()
except KeyboardInterrupt:
    loop.close()
    assert ended.is_set(), "the run goes on"
    assert threading.active_count() <= 2, threading.enumerate()
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way there")
@pytest.mark.parametrize("how", ["sync", "asyncio", "stream", "trio", "notebook"])
def test_ctrl_c_ends_the_run_before_it_comes_out(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        env={**os.environ, "HOW": how},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("interrupted", "")
