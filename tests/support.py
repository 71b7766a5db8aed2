"""What the tests of the core share: ways to stop a run at any step, and to see what it leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio
import anyio.lowlevel

from contemplate import RunContext, Task, TaskResult
from contemplate.events import Event, ModelCalled, TaskFinished, TaskStarted
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.run.budget import Ledger
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

MAX_STEPS = 2000


async def steps(count: int) -> None:
    """Let everyone else take `count` steps."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def cancelled_after(count: int, function: Callable[[], Awaitable[object]]) -> bool:
    """Start `function`, cancel it after `count` steps, and wait for its end; whether it was over before that."""
    over = False

    async def run() -> None:
        nonlocal over
        await function()
        over = True

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await steps(count)
        was_over = over
        group.cancel_scope.cancel()
    return was_over


def running() -> set[int]:
    """The tasks of this event loop, by id."""
    return {task.id for task in anyio.get_running_tasks()}


class Watched:
    """A listener that keeps all events, and a planner's wrapper that gets hold of the run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ctx: RunContext | None = None

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def planner(self, inner: Planner) -> Planner:
        """`inner`, with its run remembered."""

        def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            self.ctx = ctx
            return inner(question, ctx)

        return plan

    @property
    def started(self) -> list[str]:
        """The tasks of the run itself; those of runs within it have a path."""
        return [event.task_id for event in self.events if isinstance(event, TaskStarted) and not event.path]

    @property
    def finished(self) -> list[TaskResult]:
        return [event.result for event in self.events if isinstance(event, TaskFinished) and not event.path]

    def calls(self, role: str) -> list[ModelCalled]:
        return [event for event in self.events if isinstance(event, ModelCalled) and event.name.role == role]

    def check(self) -> None:
        """What must hold after a run, however it ended."""
        assert sorted(self.started) == sorted(result.id for result in self.finished)
        if self.ctx is not None:
            ledger = self.ctx._calls.ledger
            assert out(ledger) == (0, 0)
            assert list(self.ctx.results.values()) == self.finished
            assert ledger.spent.calls == sum(
                event.usage.calls for event in self.events if isinstance(event, ModelCalled)
            )


def out(ledger: Ledger) -> tuple[int, int]:
    """The calls and the tokens that `ledger` has promised and not settled."""
    return ledger.shares.calls_out, ledger.shares.tokens_out


class Held:
    """A model that says `pieces`, and then waits to be cancelled; or, with a reply, until `release` is set."""

    name = "held"

    def __init__(self, pieces: Sequence[str] = (), reply: str | None = None) -> None:
        self.started = anyio.Event()
        self.release = anyio.Event()
        self.running = 0
        self._pieces = pieces
        self._script = None if reply is None else ScriptedModel(reply)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.running += 1
        try:
            for piece in self._pieces:
                if on_delta is not None:
                    on_delta(Delta(piece))
            self.started.set()
            if self._script is None:
                await anyio.sleep_forever()
                raise AssertionError
            await self.release.wait()
            return await self._script.request(request)
        finally:
            self.running -= 1
