"""Toolsets that an open contemplator keeps: who uses them, when they start, and that nothing of them is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from contemplate import Agent, Contemplator, Limits, Message, checked
from contemplate.errors import ToolError, ToolServerError
from contemplate.models import ModelRequest, ToolSpec, current_run
from contemplate.run.current_run import current_scope
from contemplate.testing import ScriptedModel
from contemplate.tools.toolset import OpenToolset

from .patience import PATIENCE
from .still_clock import let_pass, on_a_still_clock
from .support import cancelled_after, steps
from .test_mcp import asks, local, processes, servers, token, until

__all__ = ["token"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]


class Shelf:
    """A toolset that counts how often it is opened, and has the tools "look", "wait" and "die"."""

    def __init__(self, *, fails: int = 0, slow: bool = False) -> None:
        self.name = "shelf"
        self.opened = self.closed = 0
        self.marks: list[object] = []
        self._fails = fails
        self._slow = slow

    @asynccontextmanager
    async def open_tools(self) -> AsyncIterator[OpenToolset]:
        self.opened += 1
        self.marks.append(current_run.get())
        try:
            if self._slow:
                await steps(20)
            if self.opened <= self._fails:
                raise ToolServerError("not today")
            yield _Open()
        finally:
            # As servers do, it takes its time.
            with anyio.CancelScope(shield=True):
                await steps(5)
            self.closed += 1


class _Open:
    def __init__(self) -> None:
        self._dead = False

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        return tuple(ToolSpec(name, name, schema) for name in ("look", "wait", "die"))

    async def call(self, name: str, arguments: str) -> str:
        if name == "wait":
            await anyio.sleep_forever()
        if name == "die":
            self._dead = True
        if self._dead:
            raise ToolServerError("it is gone")
        if arguments != "{}":
            raise ToolError("no arguments")
        return "seen"


def using(*names: str) -> ScriptedModel:
    """A model that calls the tools one after the other in each task, and then repeats what it was told last."""

    def script(request: ModelRequest) -> Message | str:
        turn = sum(each.role == "tool" for each in request.messages)
        return asks((names[turn], {})) if turn < len(names) else request.messages[-1].text

    return ScriptedModel(script)


# With a real server


class Counting:
    """A server's toolset, and how often it was opened."""

    def __init__(self, token: str) -> None:
        self._inner = local(token)
        self.name = self._inner.name
        self.opened = 0

    @asynccontextmanager
    async def open_tools(self) -> AsyncIterator[OpenToolset]:
        self.opened += 1
        async with self._inner.open_tools() as opened:
            yield opened


def adding() -> ScriptedModel:
    return ScriptedModel(
        lambda request: request.messages[-1].text if len(request.messages) > 1 else asks(("add", {"a": 1}))
    )


async def test_a_server_starts_once_for_five_runs(token: str) -> None:
    toolset = Counting(token)
    mind = Contemplator(adding(), mode="instant", tools=[toolset])
    pids = set()
    async with mind:
        assert not processes(token)
        for _ in range(5):
            assert (await mind.run("?")).output == "2"
            pids |= {each.pid for each in servers(token)}
    assert (toolset.opened, len(pids)) == (1, 1)
    await until(lambda: not processes(token))
    for _ in range(5):
        await mind.run("?")
        await until(lambda: not processes(token))
    assert toolset.opened == 6


async def test_a_server_that_was_killed_is_started_for_the_next_run(token: str) -> None:
    mind = Contemplator(adding(), mode="instant", tools=[toolset := Counting(token)])
    async with mind:
        assert (await mind.run("?")).output == "2"
        (server,) = servers(token)
        server.kill()
        await until(lambda: not servers(token))
        # The end of its output arrives here some time after its end.
        with anyio.fail_after(PATIENCE):
            while (await mind.run("?")).output != "2":
                await anyio.sleep(0.01)
        assert [each.pid for each in servers(token)] != [server.pid]
    assert 2 <= toolset.opened <= 3
    await until(lambda: not processes(token))


async def test_a_server_that_dies_at_work_is_started_for_the_next_run(token: str) -> None:
    def script(request: ModelRequest) -> Message | str:
        if len(request.messages) > 1:
            return request.messages[-1].text
        return asks(("die", {})) if len(model.requests) == 1 else asks(("add", {"a": 1}))

    model = ScriptedModel(script)
    mind = Contemplator(model, mode="instant", tools=[toolset := Counting(token)])
    async with mind:
        assert "is gone" in (await mind.run("?")).output
        assert (await mind.run("?")).output == "2"
        assert (await mind.run("?")).output == "2"
        assert len(servers(token)) == 1
    assert toolset.opened == 2
    await until(lambda: not processes(token))


async def test_a_cancelled_run_leaves_the_server_to_others(token: str) -> None:
    def script(request: ModelRequest) -> Message | str:
        if len(request.messages) > 1:
            return request.messages[-1].text
        return asks(("hang", {})) if "hang" in request.messages[-1].text else asks(("add", {"a": 1}))

    mind = Contemplator(ScriptedModel(script), mode="instant", tools=[toolset := Counting(token)])
    async with mind:
        assert (await mind.run("add")).output == "2"
        with anyio.move_on_after(0.2):
            await mind.run("hang")
        assert (await mind.run("add")).output == "2"
    assert toolset.opened == 1
    await until(lambda: not processes(token))


# In every order


@pytest.mark.parametrize("agent", ["tools", "agent", "checked", "contemplator"])
async def test_those_of_whatever_agent(agent: str) -> None:
    shelf, model = Shelf(), using("look")
    inner = Agent(tools=[shelf])
    minds = {
        "tools": Contemplator(model, mode="instant", tools=[shelf]),
        "agent": Contemplator(model, mode="instant", agent=inner),
        "checked": Contemplator(model, mode="instant", agent=checked(inner, lambda _: True)),
        "contemplator": Contemplator(model, mode="instant", agent=Contemplator(model, mode="vote", agent=inner)),
    }
    mind = minds[agent]
    assert mind.toolsets == (shelf,)
    async with mind:
        for _ in range(3):
            assert (await mind.run("?")).output == "seen"
        assert (shelf.opened, shelf.closed) == (1, 0)
    assert (shelf.opened, shelf.closed) == (1, 1)
    await mind.run("?")
    assert (shelf.opened, shelf.closed) == (2, 2)


async def test_an_agent_may_be_anything() -> None:
    class Odd:
        toolsets = 5

        async def __call__(self, task: object, ctx: object) -> object:
            raise NotImplementedError

    odd: Any = Odd()
    assert Contemplator(ScriptedModel("x"), agent=odd).toolsets == ()


async def test_runs_at_once_share_them() -> None:
    shelf = Shelf(slow=True)
    mind = Contemplator(using("look"), mode="vote", tools=[shelf])
    async with mind, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(mind.run, "?")
    assert (shelf.opened, shelf.closed) == (1, 1)


async def test_blocks_within_blocks_and_minds_beside_minds() -> None:
    shelf = Shelf()
    mind, other = (Contemplator(using("look"), mode="instant", tools=[shelf, shelf][:1]) for _ in range(2))
    async with mind:
        async with mind, other:
            await mind.run("?")
        await mind.run("?")
        await other.run("?")
        assert (shelf.opened, shelf.closed) == (1, 0)
    assert (shelf.opened, shelf.closed) == (1, 1)


async def test_those_of_one_run_live_for_that() -> None:
    own, given = Shelf(), Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[])
    async with mind:
        await mind.run("?", tools=[given])
        await mind.run("?", tools=[given])
        assert (given.opened, given.closed) == (2, 2)
    named = Contemplator(using("look"), mode="instant", tools=[own])
    async with named:
        await named.run("?", instructions="Be kind.")
        await named.run("?", model=using("look"))
    assert (own.opened, own.closed) == (1, 1)


async def test_a_block_without_a_run_opens_nothing() -> None:
    shelf = Shelf()
    async with Contemplator(using("look"), mode="instant", tools=[shelf]):
        pass
    assert shelf.opened == 0


async def test_a_replay_opens_nothing() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf], journal="memory:")
    await mind.run("?", run_id="r")
    assert shelf.opened == 1
    async with mind:
        assert (await mind.replay("r")).output == "seen"
        await mind.run("?", run_id="r")
    assert shelf.opened == 1


async def test_one_that_cannot_be_opened_is_tried_again_by_the_next_run() -> None:
    shelf = Shelf(fails=2)
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])
    async with mind:
        for _ in range(2):
            with pytest.raises(ToolServerError, match="not today"):
                await mind.run("?")
        assert (await mind.run("?")).output == "seen"
        assert (await mind.run("?")).output == "seen"
    assert (shelf.opened, shelf.closed) == (3, 3)


async def test_one_that_dies_is_not_opened_again_within_the_run() -> None:
    shelf = Shelf()
    mind = Contemplator(using("die", "look"), mode="instant", tools=[shelf])
    async with mind:
        assert "it is gone" in (await mind.run("?")).output
        assert shelf.opened == 1
        assert (await mind.run("?", model=using("look"))).output == "seen"
        assert shelf.opened == 2
    assert shelf.closed == 2


@on_a_still_clock
async def test_the_time_of_the_run_that_opens_it_is_not_its_time() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])
    async with mind:
        await mind.run("?", limits=Limits(seconds=30))
        assert let_pass(40)
        await steps(100)
        assert shelf.closed == 0
        assert (await mind.run("?")).output == "seen"
    assert (shelf.opened, shelf.closed) == (1, 1)


async def test_it_belongs_to_no_run() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])
    async with mind:
        await mind.run("?")
    assert shelf.marks == [None]
    await mind.run("?")
    assert current_scope() is None


@pytest.mark.parametrize("count", [*range(0, 60, 3), 80, 120])
async def test_a_run_that_is_cancelled_at_any_step(count: int) -> None:
    shelf = Shelf(slow=True)
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])
    async with mind:
        await cancelled_after(count, lambda: mind.run("?"))
        assert (await mind.run("?")).output == "seen"
        assert (shelf.opened, shelf.closed) == (1, 0)
    assert (shelf.opened, shelf.closed) == (1, 1)


@pytest.mark.parametrize("count", range(0, 60, 6))
async def test_a_block_that_is_cancelled_at_any_step(count: int) -> None:
    shelf = Shelf(slow=True)
    mind = Contemplator(using("look", "wait"), mode="instant", tools=[shelf])

    async def block() -> None:
        async with mind:
            await mind.run("?")

    await cancelled_after(count, block)
    assert shelf.opened == shelf.closed <= 1
    assert (await Contemplator(using("look"), mode="instant", tools=[shelf]).run("?")).output == "seen"


async def test_a_run_that_outlives_the_block_is_told() -> None:
    shelf = Shelf()
    outputs = []
    at_work, go_on = anyio.Event(), anyio.Event()

    async def script(request: ModelRequest) -> Message | str:
        if len(request.messages) > 1:
            return request.messages[-1].text
        at_work.set()
        await go_on.wait()
        return asks(("look", {}))

    mind = Contemplator(ScriptedModel(script), mode="instant", tools=[shelf])

    async def run() -> None:
        outputs.append((await mind.run("?")).output)

    async with anyio.create_task_group() as group:
        async with mind:
            group.start_soon(run)
            await at_work.wait()
        assert shelf.closed == 1
        go_on.set()
    assert "toolset 'shelf' is closed" in outputs[0]


async def test_a_block_may_end_in_another_task() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])

    async def begin() -> None:
        await mind.__aenter__()
        await mind.run("?")

    for function in (begin, lambda: mind.__aexit__(None, None, None)):
        async with anyio.create_task_group() as group:
            group.start_soon(function)
    assert (shelf.opened, shelf.closed) == (1, 1)


async def test_an_error_of_the_block_comes_as_it_is() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])
    with pytest.raises(ZeroDivisionError):
        async with mind:
            await mind.run("?")
            raise ZeroDivisionError
    assert (shelf.opened, shelf.closed) == (1, 1)


def test_an_event_loop_that_ends_within_the_block(anyio_backend_name: str) -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])

    async def main() -> None:
        await mind.__aenter__()
        await mind.run("?")

    for number in (1, 2):
        with suppress(RuntimeError):
            anyio.run(main, backend=anyio_backend_name)
        assert (shelf.opened, shelf.closed) == (number, number)


def test_each_event_loop_has_its_own() -> None:
    shelf = Shelf()
    mind = Contemplator(using("look"), mode="instant", tools=[shelf])

    async def main() -> None:
        async with mind:
            await mind.run("?")
            await anyio.to_thread.run_sync(mind.run_sync, "?")
            assert (shelf.opened, shelf.closed) == (2, 1)

    anyio.run(main)
    assert (shelf.opened, shelf.closed) == (2, 2)
