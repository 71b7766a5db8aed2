"""What planners and aggregators may see and ask of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..errors import ConfigurationError
from ..events import EVERYONE, Event, Noted, Speaker
from ..messages import ImagePart, ToolCall
from ..models import DeltaSink, Model, ModelRequest, ModelResponse, ToolSpec, resolve
from ..plan import Task
from ..result import Conclusion, TaskResult
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import Usage
from .call_stream import CallStream
from .calls import Calls, ToolResult
from .output_type import OutputType
from .state import RunState


@dataclass(frozen=True, eq=False, kw_only=True)
class RunContext:
    """A run, as planners, agents and aggregators see it.

    Attributes:
        run_id: the run's id; of a run within another, with the tasks in which it is nested.
        question: what the user asked.
        images: what the user showed; `images_for` says who is shown it.
        output: the output type that was asked for; None for text.
        deadline: when the run must be over, on `anyio.current_time`'s clock; `math.inf` without a limit.
        streaming: whether calls are streamed whose pieces somebody wants.
    """

    run_id: str
    question: str
    images: tuple[ImagePart, ...] = ()
    images_to: Collection[Speaker] = EVERYONE
    output: OutputType[Any] | None = None
    deadline: float
    streaming: bool = False
    _model: Model
    _calls: Calls
    _state: RunState = field(default_factory=RunState)
    _models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._models[self._model.name] = self._model

    # How far the run has come

    @property
    def planned(self) -> Sequence[Task]:
        """The tasks planned so far, in order."""
        return self._state.planned

    @property
    def plan_done(self) -> bool:
        """Whether the planner has finished."""
        return self._state.plan_done

    @property
    def expected(self) -> int | None:
        """How many tasks there will be at most, if the planner says so: a vote may be decided before they are."""
        return self._state.expected

    @property
    def results(self) -> Mapping[str, TaskResult]:
        """The results so far, by task id, in the order in which they came."""
        return self._state.results

    def is_planned(self, task_id: str) -> bool:
        """Return whether a task of that id was planned so far."""
        return task_id in self._state.places

    async def finished(self, task_id: str) -> TaskResult:
        """Wait for the result of a task that was planned.

        Raises:
            PlanError: no such task was planned so far: its result might never come.
        """
        return await self._state.finished(task_id)

    def when_planned(self, call: Callable[[], None]) -> None:
        """Have `call` called when the planner has finished, if it has not."""
        self._state.when_planned(call)

    # What a planner may ask for

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The tools that subagents have; empty where the agent does not say."""
        return self._state.tools

    def expect(self, tasks: int) -> None:
        """Say how many tasks there will be at most: a vote may be decided before they are planned."""
        self._state.expected = tasks

    async def undecided(self) -> None:
        """Wait until the aggregator has seen every result so far and wants more; if it concludes, the planner ends."""
        await self._state.outbox.read_out()

    def release(self, *task_ids: str) -> None:
        """Pass on to the aggregator the results of tasks that were `held`.

        Raises:
            PlanError: one of them has no result yet.
        """
        self._state.release(*task_ids)

    def interrupt(self, task_id: str) -> bool:
        """Stop a task, and return whether it was running. What it had written is kept; it counts as cancelled."""
        return self._state.interrupt(task_id)

    def tell(self, task_id: str, text: str) -> bool:
        """Say something to the subagent of a task, who hears it before its next turn; return whether it is running."""
        return self._state.tell(task_id, text)

    # What an agent may ask for

    def declare_tools(self, tools: Sequence[ToolSpec]) -> None:
        """Say which tools subagents have, for planners."""
        self._state.tools = tools

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """Return the tools of `toolset`, which is opened when it is first asked for, and closed with the run.

        Raises:
            ContemplateError: it cannot be opened.
        """
        return await self._calls.tools_of(toolset)

    async def use_tool(self, task: str, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Return what `use` returns: a tool's text, error and images.

        If the run is continued, return what it returned then.
        """
        return await self._calls.tool(task, call, use)

    # What is left

    def spent_on(self, task_id: str) -> Usage:
        """Return what the calls for a task have cost so far, failed ones included."""
        return self._calls.spent_on(task_id)

    @property
    def depth(self) -> int:
        """In how many other runs this one is nested."""
        return self._calls.depth

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; `math.inf` without a limit."""
        return self.deadline - anyio.current_time()

    @property
    def calls_left(self) -> float:
        """How many more model calls the limits have room for; `math.inf` without a limit on calls."""
        return self._calls.ledger.calls_left

    @property
    def tripped(self) -> str | None:
        """The first limit on calls, tokens or USD that had no room for a call; None if there was room for all."""
        return self._calls.ledger.tripped

    def images_for(self, role: Speaker) -> tuple[ImagePart, ...]:
        """Return what the user showed, if `role` is to see it."""
        return self.images if role in self.images_to else ()

    # What to tell

    @property
    def listening(self) -> bool:
        """Whether anybody listens: if not, an event need not even be built."""
        return self._calls.listeners.listening

    def emit(self, event: Event) -> None:
        """Tell whoever listens."""
        self._calls.emit(event)

    def note(self, message: str) -> None:
        """Say that something was mended, dropped or given up; the result carries it too."""
        self._state.notes.append(message)
        if self.listening:
            self.emit(Noted(message=message))

    def note_all(self, task: str, notes: Sequence[str]) -> None:
        """Keep what was noted in a run within `task`; whoever listens has been told."""
        self._state.notes += [f"within {task!r}: {note}" for note in notes]

    def offer(self, conclusion: Callable[[], Conclusion]) -> None:
        """Leave behind what to conclude if the time runs out before the aggregator is done."""
        self._state.best = conclusion

    # Models

    def use(self, model: str | Model) -> str:
        """Make a model known to the run, and return the name by which a `Task` can ask for it.

        Raises:
            ConfigurationError: there is no such model.
        """
        found = resolve(model)
        known = self._models.setdefault(found.name, found)
        return known.name if known is found or isinstance(model, str) else self._rename(found)

    def _rename(self, model: Model) -> str:
        for number in range(2, 1000):
            name = f"{model.name}#{number}"
            if self._models.setdefault(name, model) is model:
                return name
        raise ConfigurationError(f"more than 1,000 different models are called {model.name!r}")

    def model(self, name: str | Model | None = None) -> Model:
        """Return the model called `name`; the run's own if None."""
        if name is None:
            return self._model
        if isinstance(name, str) and name in self._models:
            return self._models[name]
        return self._models[self.use(name)]

    def model_name(self, task: Task) -> str:
        """Return the name of the model that answers `task`."""
        return task.model or self._model.name

    async def call(
        self,
        role: Speaker,
        request: ModelRequest,
        *,
        model: str | Model | None = None,
        task: str | None = None,
        on_delta: DeltaSink | None = None,
    ) -> ModelResponse:
        """Make one model call, within the run's limits.

        Args:
            role: "planner", "subagent" or "aggregator": whose share it is paid from.
            request: what is asked.
            model: which model; the run's own if None.
            task: the id of the task that the call is for.
            on_delta: is handed each piece as it arrives; without it the call is not streamed.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        chosen = self.model(model)
        response = await self._calls.call(role, chosen, request, task=task, on_delta=on_delta)
        for note in response.notes:
            self.note(f"{chosen.name}: {note}")
        return response

    @asynccontextmanager
    async def stream(
        self, role: Speaker, request: ModelRequest, *, model: str | Model | None = None
    ) -> AsyncIterator[CallStream]:
        """Make a model call whose pieces can be iterated over while it runs; leaving the block ends it.

        For async generators, which may not hold a task group open while they yield: the call runs in the run's own.

        Raises:
            RuntimeError: the run is not going on.
        """
        stream = CallStream()
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    stream.response = await self.call(role, request, model=model, on_delta=stream.deltas.put)
                except Exception as error:
                    stream.error = error
                finally:
                    stream.deltas.close()

        if self._state.spawn is None:
            raise RuntimeError("RunContext.stream works only within a run, while it goes on")
        self._state.spawn(run)
        try:
            yield stream
        finally:
            scope.cancel()
