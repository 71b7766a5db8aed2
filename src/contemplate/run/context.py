"""What planners, agents and aggregators may touch of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from ..errors import ConfigurationError
from ..events import EVERYONE, Event, Noted, Speaker
from ..messages import ImagePart, ToolCall
from ..models import DeltaSink, Model, ModelRequest, ModelResponse, ToolSpec, resolve
from ..plan import Task
from ..result import Conclusion
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import Usage
from .call_stream import StreamedCall
from .caller import Caller
from .calls import ToolResult
from .output_type import OutputType
from .state import Progress
from .within import Within

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class RunContext(Progress):
    """A run, as planners, agents and aggregators see it.

    Attributes:
        run_id: the run's id.
        question: what the user asked.
        images: what the user showed; `images_for` says who is shown it.
        output: the output type that was asked for; None for text.
        deadline: when the run must be over, on `anyio.current_time`'s clock; `math.inf` without a limit.
        depth: in how many other runs this one is nested.
        streaming: whether calls are streamed whose pieces somebody wants.
        tools: those that subagents have, for planners; empty where the agent does not say.
        expire: does what the deadline would do.
    """

    def __init__(
        self,
        *,
        run_id: str,
        question: str,
        model: Model,
        caller: Caller,
        images: tuple[ImagePart, ...] = (),
        images_to: Collection[Speaker] = EVERYONE,
        output: OutputType[Any] | None = None,
        deadline: float,
        depth: int = 0,
        streaming: bool = False,
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.question = question
        self.images = images
        self._images_to = images_to
        self.output = output
        self.deadline = deadline
        self.depth = depth
        self.streaming = streaming
        self.tools: Sequence[ToolSpec] = ()
        self.best: Callable[[], Conclusion] | None = None
        self.notes: list[str] = []
        self._caller = caller
        self._model = model
        self._models: dict[str, Model] = {model.name: model}
        self.spawn: Spawn | None = None
        self.stopped_by: str | None = None
        self.expire: Callable[[], None] = lambda: None

    # What is left

    def spent_on(self, task_id: str) -> Usage:
        """What the calls for a task have cost so far, failed ones included."""
        return self._caller.spent_on(task_id)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; `math.inf` without a limit."""
        return self.deadline - anyio.current_time()

    @property
    def calls_left(self) -> float:
        """How many more model calls the limits have room for; `math.inf` without a limit on calls."""
        return self._caller.ledger.calls_left

    @property
    def tripped(self) -> str | None:
        """The first limit on calls, tokens or USD that had no room for a call; None if there was room for all."""
        return self._caller.ledger.tripped

    def images_for(self, role: Speaker) -> tuple[ImagePart, ...]:
        """What the user showed, if `role` is to see it."""
        return self.images if role in self._images_to else ()

    def within(
        self,
        task: Task,
        question: str,
        *,
        model: Model,
        output: OutputType[Any] | None,
        deadline: float,
        images_to: Collection[Speaker] = EVERYONE,
    ) -> RunContext:
        """A run of its own for `task`, which spends what this one has left. Its events are not told, but for calls."""
        return RunContext(
            run_id=f"{self.run_id}/{task.id}",
            question=question,
            model=model,
            caller=Within(self._caller, task.id),
            images=self.images_for("subagent"),
            images_to=images_to,
            output=output,
            deadline=deadline,
            depth=self.depth + 1,
            streaming=self.streaming,
        )

    # What to tell

    @property
    def listening(self) -> bool:
        """Whether anybody listens: if not, an event need not even be built."""
        return self._caller.events.listening

    def emit(self, event: Event) -> None:
        """Tell whoever listens."""
        self._caller.events.emit(event)

    def note(self, message: str) -> None:
        """Say that something was mended, dropped or given up; the result carries it too."""
        self.notes.append(message)
        if self.listening:
            self.emit(Noted(message=message))

    def offer(self, conclusion: Callable[[], Conclusion]) -> None:
        """Leave behind what to conclude if the time runs out before the aggregator is done."""
        self.best = conclusion

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
        """The model called `name`; the run's own if None."""
        if name is None:
            return self._model
        if isinstance(name, str) and name in self._models:
            return self._models[name]
        return self._models[self.use(name)]

    def model_name(self, task: Task) -> str:
        """The name of the model that answers `task`."""
        return task.model or self._model.name

    async def call(
        self,
        role: Speaker,
        request: ModelRequest,
        *,
        model: str | Model | None = None,
        task: str | None = None,
        turn: int = 0,
        on_delta: DeltaSink | None = None,
    ) -> ModelResponse:
        """One model call, within the run's limits.

        Args:
            role: "planner", "subagent" or "aggregator": whose share it is paid from.
            request: what is asked.
            model: which model; the run's own if None.
            task: the id of the task that the call is for.
            turn: which of that task's calls it is, from 0.
            on_delta: is handed each piece as it arrives; without it the call is not streamed.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        chosen = self.model(model)
        response = await self._caller.call(role, chosen, request, task=task, turn=turn, on_delta=on_delta)
        for note in response.notes:
            self.note(f"{chosen.name}: {note}")
        return response

    async def use_tool(
        self, task: str, turn: int, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        """What `use` returns: a tool's text, error and images. If the run is continued, what it had returned then."""
        return await self._caller.tool(task, turn, call, use)

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """The tools of `toolset`, which is opened when it is first asked for, and closed with the run.

        Raises:
            ContemplateError: it cannot be opened.
        """
        return await self._caller.tools_of(toolset)

    @asynccontextmanager
    async def stream(
        self, role: Speaker, request: ModelRequest, *, model: str | Model | None = None, turn: int = 0
    ) -> AsyncIterator[StreamedCall]:
        """A model call whose pieces can be iterated over while it runs; leaving the block ends it.

        For async generators, which may not hold a task group open while they yield: the call runs in the run's own.
        """
        streamed = StreamedCall()
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    on_delta = streamed.deltas.put
                    streamed.response = await self.call(role, request, model=model, turn=turn, on_delta=on_delta)
                except Exception as error:
                    streamed.error = error
                finally:
                    streamed.deltas.close()

        if self.spawn is None:
            raise RuntimeError("RunContext.stream works only within a run")
        self.spawn(run)
        try:
            yield streamed
        finally:
            scope.cancel()
