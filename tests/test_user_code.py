"""Functions that users wrote, and that try to end more than their part: the rest of the run goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import anyio
import pytest

from contemplate import Agent, Answer, Contemplator, Task, TaskContext, TaskResult, aggregators, checked, planners
from contemplate.errors import ToolError
from contemplate.messages import Message, ToolCall
from contemplate.testing import ScriptedModel
from contemplate.tools.tool import tool
from contemplate.tools.user_code import MAX_ITEMS, contained

from . import processes
from .patience import PATIENCE

pytestmark = pytest.mark.anyio


class Own(BaseException):
    """An exception that nobody else knows."""


def leave() -> str:
    """Leave."""
    sys.exit(3)


def parse() -> str:
    """Parse a wrong argument."""
    argparse.ArgumentParser(exit_on_error=True).parse_args(["--unknown"])
    return "unreachable"


def interrupt() -> str:
    """Raise, in a worker thread, what a terminal raises in the main one."""
    raise KeyboardInterrupt


def yields_and_leaves() -> Iterator[int]:
    """Yield, and leave."""
    yield 1
    sys.exit(3)


async def leave_async() -> str:
    """Leave."""
    await anyio.lowlevel.checkpoint()
    raise SystemExit("bye")


async def own_async() -> str:
    """Raise an exception of its own."""
    raise Own("own")


async def generator_exit() -> str:
    """Raise an exception of the interpreter."""
    raise GeneratorExit


async def group_async() -> str:
    """Raise a group."""
    raise BaseExceptionGroup("both", [Own("own"), ValueError("a value")])


async def yields_async() -> AsyncIterator[int]:
    """Yield, and leave."""
    yield 1
    raise SystemExit(3)


LEAVING = [
    leave,
    parse,
    interrupt,
    yields_and_leaves,
    leave_async,
    own_async,
    generator_exit,
    group_async,
    yields_async,
]


def call_of(function: Callable[..., Any]) -> Message:
    return Message.assistant("", (ToolCall(id="1", name=function.__name__, arguments="{}"),))


@pytest.mark.parametrize("function", LEAVING)
async def test_a_tool_that_would_end_the_run_has_failed(function: Callable[..., Any]) -> None:
    model = ScriptedModel([call_of(function), "Then without."])
    result = await Contemplator(model, mode="instant", tools=[function]).run("q")
    assert result.output == "Then without."
    assert "The tool failed. RuntimeError: it " in result.tasks[0].messages[2].text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_process_ends_afterwards(backend: str) -> None:
    """A real process, as worker threads that nobody ends would keep it alive."""
    program = f"""
import sys, anyio
from contemplate import Contemplator
from contemplate.messages import Message, ToolCall
from contemplate.testing import ScriptedModel

def leave() -> str:
    sys.exit(3)

model = ScriptedModel([Message.assistant("", (ToolCall(id="1", name="leave", arguments="{{}}"),)), "over"])
print(anyio.run(Contemplator(model, mode="instant", tools=[leave]).run, "q", backend={backend!r}).output)
"""
    ended = processes.run([sys.executable, "-c", program], PATIENCE)
    assert (ended.stdout, ended.returncode) == ("over\n", 0), ended.stderr


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_the_process_ends_although_a_tool_has_ended_the_event_loop(anyio_backend: str) -> None:
    """On asyncio, `SystemExit` in a task that a tool starts ends the event loop, whoever catches it."""
    program = """
import sys, anyio
from contemplate import Contemplator
from contemplate.messages import Message, ToolCall
from contemplate.testing import ScriptedModel

def thread() -> str:
    return "used a thread"

async def leave() -> str:
    async def inner() -> None:
        sys.exit(3)
    async with anyio.create_task_group() as group:
        group.start_soon(inner)

def call(name):
    return Message.assistant("", (ToolCall(id=name, name=name, arguments="{}"),))

model = ScriptedModel([call("thread"), call("leave"), "over"])
anyio.run(Contemplator(model, mode="instant", tools=[thread, leave]).run, "q")
"""
    ended = processes.run([sys.executable, "-c", program], PATIENCE)
    assert ended.returncode == 3, ended.stderr


async def test_the_terminal_interrupt_stays_what_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), contained():
        raise KeyboardInterrupt
    with pytest.raises(BaseExceptionGroup), contained():
        raise BaseExceptionGroup("both", [Own(), KeyboardInterrupt()])


async def test_a_cancellation_stays_what_it_is() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        with contained():
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_one_that_leaves_while_it_is_cancelled_is_cancelled() -> None:
    started = anyio.Event()

    async def stubborn() -> str:
        """Leave on the way out."""
        try:
            started.set()
            await anyio.sleep_forever()
        finally:
            sys.exit(3)

    mind = Contemplator(ScriptedModel([call_of(stubborn), "never"]), mode="instant", tools=[stubborn])
    answered: list[object] = []

    async def run() -> None:
        answered.append(await mind.run("q"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await started.wait()
        group.cancel_scope.cancel()
    assert not answered


async def test_an_agent_that_leaves_is_a_failed_task() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "sample-1":
            sys.exit(3)
        return Answer("here")

    mind = Contemplator(ScriptedModel("unused"), planner=planners.sample(2), agent=agent, aggregator=aggregators.vote())
    result = await mind.run("q")
    assert result.output == "here"
    assert [each.outcome for each in result.tasks] == ["failed", "answered"]


async def test_a_check_that_leaves_has_failed() -> None:
    def check(result: TaskResult) -> bool:
        sys.exit(3)

    mind = Contemplator(
        ScriptedModel("a"), planner=planners.sample(2), agent=checked(Agent(), check), aggregator=aggregators.first()
    )
    with pytest.raises(Exception, match="the check raised RuntimeError"):
        await mind.run("q")


async def test_what_a_tool_yields_is_a_list_and_comes_from_a_thread() -> None:
    import threading

    def numbers() -> Iterator[Any]:
        yield 1
        yield threading.current_thread() is threading.main_thread()

    async def letters() -> AsyncIterator[str]:
        yield "a"
        await anyio.lowlevel.checkpoint()
        yield "b"

    assert await tool(numbers).call("{}") == "[1,false]"
    assert await tool(letters).call("{}") == '["a","b"]'
    assert await tool(letters).value() == ["a", "b"]


async def test_a_tool_that_yields_for_ever_is_stopped() -> None:
    closed: list[str] = []

    def numbers() -> Iterator[int]:
        yield from count()

    async def numbers_async() -> AsyncIterator[int]:
        try:
            for number in count():
                yield number
        finally:
            closed.append("closed")

    for endless in (numbers, numbers_async):
        with pytest.raises(ToolError, match=f"more than {MAX_ITEMS:,} items"):
            await tool(endless).call("{}")
    assert closed == ["closed"]
