"""What planners and aggregators may see of a run, and do with it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random
from typing import Any

import anyio

from ..data import readable
from ..errors import ConfigurationError
from ..events import EVERYONE, Event, Noted, Speaker, TaskTold
from ..messages import ImagePart, Message, ToolCall, instructed
from ..models import Delta, DeltaSink, Model, ModelRequest, ModelResponse, ToolSpec, resolve
from ..plan import Task
from ..prompts import DEFAULTS, Prompts
from ..result import Conclusion, TaskResult
from ..settings import ModelSettings, derived_seed
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import Usage
from .answer import Answer
from .call_stream import CallStream
from .calls import Calls
from .history import History
from .output_type import OutputType
from .state import RunState
from .tool_calls import HeldUse, ToolPlace, ToolResult

# Tokens, by the estimate. A part needs of a conversation what it refers to, and there are many parts.
ROOM_FOR_CHAT = 32_000
ROOM_FOR_TRANSCRIPT: Mapping[Speaker, int] = {"planner": 16_000, "subagent": 4_000, "aggregator": 16_000}
LEAST_ROOM_FOR_HISTORY = 400


@dataclass(frozen=True, eq=False, kw_only=True)
class RunContext:
    """A run as planners, agents and aggregators see it. Its attributes are read-only.

    Attributes:
        run_id: the run's id; for a run within another, the outermost run's id and the path to this one.
        parent_run_id: the run of the journal whose results this one aggregates again, or None.
        question: the user's question.
        history: the conversation before the question.
        images: the user's images; `images_for` returns those that a role may see.
        images_to: the roles that may see them.
        output: the output type; None for text.
        deadline: when the run must end, in seconds on `anyio.current_time`'s clock; `math.inf` without a limit.
        streaming: whether to stream calls whose deltas somebody reads.
        seed: the seed given to the contemplator, or to the run around this one, from which all others are derived; None
            without one.
        settings: settings of all calls of the run, where a call has none of its own.
        subagent_settings: those that the aggregator needs for the subagents' calls, where nobody says otherwise.
        prompts: the prompts of the run; `ctx.prompts.render(name, ...)` is one with its placeholders filled in.
        instructions: what is added to the system messages of planners and aggregators, by role.
        answer_settings: settings of the calls that write an answer to the whole question, over their own.
    """

    run_id: str
    parent_run_id: str | None = None
    question: str
    history: tuple[Message, ...] = ()
    images: tuple[ImagePart, ...] = ()
    images_to: Collection[Speaker] = EVERYONE
    output: OutputType[Any] | None = None
    deadline: float
    streaming: bool = False
    seed: int | None = None
    settings: ModelSettings | None = None
    subagent_settings: ModelSettings | None = None
    prompts: Prompts = DEFAULTS
    instructions: Mapping[Speaker, str] = field(default_factory=dict)
    answer_settings: ModelSettings | None = None
    _model: Model
    _calls: Calls
    _state: RunState = field(default_factory=RunState)
    _models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._models[self._model.name] = self._model

    # Chance

    def seed_of(self, number: int, *given: int | None) -> int:
        """Return the seed of sample `number`, derived from the first of the `given` seeds, else from the run's."""
        return derived_seed(self._first_seed(given), self._calls.recorded_path, number)

    def random(self, purpose: str, texts: Iterable[str] = (), *given: int | None) -> Random:
        """Return a source of random numbers for `purpose`, which depends on the seed and on `texts` only.

        So a run that is repeated or resumed, under whatever id, draws the same.
        """
        drawn_from = "\0".join((str(self._first_seed(given)), self._calls.recorded_path, purpose, *texts))
        return Random(drawn_from.encode(errors="surrogatepass"))  # noqa: S311

    def _first_seed(self, given: Sequence[int | None]) -> int | None:
        return next((seed for seed in (*given, self.seed) if seed is not None), None)

    # Progress

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
        """The most tasks that there will be, if the planner called `expect`; else None."""
        return self._state.expected

    @property
    def results(self) -> Mapping[str, TaskResult]:
        """The results so far, by task id, in order of arrival."""
        return self._state.results

    @property
    def suspended(self) -> bool:
        """Whether the run is ended to wait for decisions, so that what was begun goes on when it is resumed."""
        return self._state.activity.waiting.suspended

    def is_planned(self, task_id: str) -> bool:
        """Return whether a task with this id has been planned."""
        return task_id in self._state.places

    async def finished(self, task_id: str) -> TaskResult:
        """Wait for the result of a planned task, and return it.

        Raises:
            PlanError: no task with this id has been planned, so that its result might never come.
        """
        return await self._state.finished(task_id)

    async def first_finished(self, task_ids: Collection[str]) -> TaskResult:
        """Wait until any of these planned tasks has a result, and return the one that arrived first.

        Raises:
            PlanError: one of them has not been planned, or there are none.
        """
        return await self._state.first_finished(task_ids)

    def when_planned(self, call: Callable[[], None]) -> None:
        """Call `call` when the planner finishes; never, if it has finished already."""
        self._state.when_planned(call)

    # For planners

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The subagents' tools; empty if the agent did not declare them."""
        return self._state.tools

    @property
    def side_effects(self) -> Collection[str]:
        """The names of the subagents' tools that must not be called for each of several attempts at a question."""
        return self._state.side_effects

    def expect(self, tasks: int) -> None:
        """Declare the most tasks that there will be, so that a vote can be decided before all are planned."""
        self._state.expected = tasks

    def assign(self, task_id: str, agent: Callable[..., Coroutine[Any, Any, Answer]]) -> None:
        """Have `agent`, an `AgentFunction`, answer a task that is not yielded yet, in place of the run's agent."""
        self._state.assigned[task_id] = agent

    async def undecided(self) -> None:
        """Wait until the aggregator has read all results and wants more; if it returns instead, the planner ends."""
        await self._state.undecided()

    def release(self, *task_ids: str) -> None:
        """Pass the results of `held` tasks on to the aggregator.

        Raises:
            PlanError: one of the tasks has no result yet.
        """
        self._state.release(*task_ids)

    def interrupt(self, task_id: str) -> bool:
        """Cancel a task, and return whether it was running. What it has written so far is kept."""
        return self._state.interrupt(task_id)

    def tell(self, task_id: str, text: str) -> bool:
        """Send a message to the subagent of a task, read before its next turn; return whether the task is running."""
        text = readable(text)
        told = self._state.tell(task_id, text)
        if told and self.listening:
            self.emit(TaskTold(task_id=task_id, text=text))
        return told

    def unheard(self, task_id: str) -> Sequence[str]:
        """Return the messages to the subagent of a task (`tell`) that it has not read."""
        return self._state.unheard(task_id)

    def give_up(self, message: str) -> None:
        """Note that something was given up without which the run's result is not complete."""
        self._state.given_up = True
        self.note(message)

    def settings_for_answer(self, own: ModelSettings) -> ModelSettings:
        """Return the settings of a call that writes an answer to the whole question, which has `own`."""
        return own if self.answer_settings is None else self.answer_settings.over(own)

    # For agents

    def declare_tools(self, tools: Sequence[ToolSpec], side_effects: Collection[str] = ()) -> None:
        """Declare the subagents' tools, for planners, and the names of those with side effects.

        Raises:
            ConfigurationError: the run has side effects, and answers what others answer in parallel.
        """
        self._state.tools = tools
        self._state.declare_side_effects(side_effects, within=self._calls.activity)

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """Return the tools of `toolset`, which is opened on first use and closed at the end of the run.

        Raises:
            ContemplateError: the toolset cannot be opened.
        """
        return await self._calls.tools.of(toolset)

    async def use_tool(
        self,
        task: str,
        call: ToolCall,
        use: Callable[[], Awaitable[ToolResult]],
        held: HeldUse | None = None,
        place: ToolPlace | None = None,
    ) -> ToolResult:
        """Return what `use` returns: a tool's text, error and images; or its recorded result, with a journal.

        With `held`, a call that needs a decision waits for it. The place is the next one if None.
        """
        return await self._calls.tools.use(task, call, use, held, place)

    def place_of_tool(self, task: str, call: ToolCall) -> ToolPlace:
        """Take the place of a tool call before it starts, so that equal ones in parallel keep their order."""
        return self._calls.tools.place(task, call)

    async def recorded(self, name: str, find: Callable[[], str]) -> str:
        """Return the text that `find` returns, or the one that was recorded under this name.

        For what a run that is resumed or replayed could find otherwise, and would then go another way: what depends on
        the time, on limits, or on a function of the user's.
        """

        async def found() -> ToolResult:
            return ToolResult(find())

        return (await self._calls.tools.use(None, ToolCall(id=name, name=name, arguments=""), found)).text

    # Usage and limits

    def spent_on(self, task_id: str) -> Usage:
        """Return the usage of a task so far, failed calls included."""
        return self._calls.spent_on(task_id)

    def answered_by(self, task_id: str) -> str | None:
        """Return the name of the model that answered a task, where a wrapper such as `Fallback` chose among several."""
        return self._calls.answered_by(task_id)

    @property
    def depth(self) -> int:
        """The number of runs around this one."""
        return self._calls.depth

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; `math.inf` without a limit."""
        return self.deadline - anyio.current_time()

    @property
    def tasks_left(self) -> float:
        """How many more tasks the limits allow; `math.inf` without a limit on tasks."""
        most = self._calls.ledger.limits.tasks
        return math.inf if most is None else most - len(self._state.planned)

    @property
    def calls_left(self) -> float:
        """How many more model calls the limits allow; `math.inf` without a limit on calls."""
        return self._calls.ledger.calls_left + self._calls.booked_ahead.calls

    @property
    def tokens_left(self) -> float:
        """How many more tokens the limits allow, without the aggregator's share; `math.inf` without a limit on them."""
        return self._calls.ledger.tokens_left

    @property
    def cost_usd_left(self) -> float:
        """How many more USD the limits allow, without the aggregator's share; `math.inf` without a limit on them."""
        return self._calls.ledger.cost_usd_left

    @property
    def tripped(self) -> str | None:
        """The first limit on calls, tokens or USD that refused a call; None if none did."""
        return self._calls.ledger.tripped

    def prompt_room(self, role: Speaker, wanted: int) -> float:
        """Return how many tokens a prompt of `role` may have within the limits; `math.inf` without a limit.

        If `wanted` are more, the limit counts as reached.
        """
        ahead = self._calls.booked_ahead.total_tokens
        return self._calls.ledger.prompt_room(role, wanted - ahead) + ahead

    def images_for(self, role: Speaker) -> tuple[ImagePart, ...]:
        """Return the user's images if `role` may see them, else none."""
        return self.images if role in self.images_to else ()

    def opening(
        self, role: Speaker, system: str, text: str, *, as_chat: bool = False, tools: bool = False
    ) -> tuple[Message, ...]:
        """Return the messages with which a prompt of `role` begins: the system's, the history, and what is asked.

        Args:
            role: whose prompt it is; it sees the images that it may.
            system: the instructions; those of the history come after them.
            text: what is asked.
            as_chat: whether the history is shown as messages, as to who answers the user; if not, as a transcript.
            tools: whether the request has tools.
        """
        if not self.history:
            told = (self._history.told(system),) if system else ()
            return (*told, Message.user(text, self.images_for(role)))
        instructions, last = self._history.instructions, ""
        if instructions and system:
            theirs = self.prompts.render("history_instructions", instructions=instructions)
            # Who writes the answer from what others found is told its form last.
            system, last = (system, theirs) if role == "aggregator" else (f"{system}\n\n{theirs}", "")
        first = (self._history.told(system or instructions),) if system or instructions else ()
        room = self._room_for_history(ROOM_FOR_CHAT if as_chat else ROOM_FOR_TRANSCRIPT[role])
        seen = role in self.images_to
        if as_chat:
            shown = self._history.as_messages(room, images=seen, tools=tools)
        else:
            shown = self._history.as_transcript(room, images=seen)
        if shown.shortened:
            self._tell_shortened(
                f"the conversation is long: {shown.shortened} of its messages are shown shortened or left out",
                unread=False,
            )
        asked = "\n\n".join(filter(None, (shown.text, text, last)))
        return (*first, *shown.messages, Message.user(asked, (*shown.images, *self.images_for(role))))

    @cached_property
    def _history(self) -> History:
        return History(self.history, self.prompts)

    def _room_for_history(self, most: int) -> int:
        limit = self._calls.ledger.limits.total_tokens
        # Some twenty calls may have to read it.
        return most if limit is None else max(min(most, limit // 20), LEAST_ROOM_FOR_HISTORY)

    # Events and notes

    @property
    def listening(self) -> bool:
        """Whether anybody listens; if not, events need not be built."""
        return self._calls.listeners.listening

    def emit(self, event: Event) -> None:
        """Send `event` to the listeners."""
        self._calls.emit(event)

    def note(self, message: str) -> None:
        """Note that something was decided, repaired, dropped or given up: an event, and one of `RunResult.notes`."""
        message = readable(message)
        self._state.notes.append(message)
        if self.listening:
            self.emit(Noted(message=message))

    def _tell_shortened(self, message: str, *, unread: bool) -> None:
        """Note, once, that a model was shown less; if it had not read all of it before, the run is not complete."""
        self._state.given_up |= unread
        if readable(message) not in self._state.notes:
            self.note(message)

    def note_all(self, task: str, notes: Sequence[str]) -> None:
        """Keep the notes of a run within `task`, whose events the listeners have received already."""
        self._state.notes += [f"within {task!r}: {note}" for note in notes]

    def offer(self, conclusion: Callable[[], Conclusion]) -> None:
        """Set a function for the conclusion to use if time runs out before the aggregator returns."""
        self._state.best = conclusion

    # For aggregators

    def watch(self, sink: Callable[[str, Delta], None]) -> None:
        """Call `sink` with the task's id and each piece that a subagent's model writes; its calls are streamed for it.

        A piece that restarts also comes before each of a task's calls. `sink` may `interrupt` the task.
        """
        self._state.watchers.append(sink)

    async def run_tasks(self, tasks: Iterable[Task]) -> tuple[TaskResult, ...]:
        """Add tasks to the run, also when the planner has finished, and return their results in the order of `tasks`.

        They are tasks like the planner's: they may need earlier ones, draw from the same limits, and stand in the plan,
        where they are `held`: their results are returned here, and are not in the stream. A task that the limits on
        tasks or seconds leave no room for is not started, and has no result here; the run then counts as stopped by
        that limit. A task that was planned already, with the same prompt and needs, is not run again: so a run finds
        its tasks again when it is aggregated again.

        Raises:
            PlanError: an id is taken, or a task needs one that there is not.
            RuntimeError: the run is not in progress.
        """
        if self._state.run_tasks is None:
            raise RuntimeError("RunContext.run_tasks works only while the run is in progress")
        return await self._state.run_tasks(tasks)

    # Models

    def use(self, model: str | Model) -> str:
        """Register a model with the run, and return the name to use as `Task.model`.

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
        on_cut: Callable[[ModelResponse], None] | None = None,
        context: float = math.inf,
        whole: bool = False,
    ) -> ModelResponse:
        """Make one model call, within the run's limits; an answer that they cut off goes on when others leave more.

        A prompt that does not fit into the model's context is asked again with old turns condensed, and then with what
        others wrote shortened: results of tools, and texts between fences. The run is then not complete, unless the
        model had seen them in full before. The journal has the whole prompt.

        Args:
            role: who calls; an aggregator may use the share of the limits kept for it.
            request: the request.
            model: the model; the run's own if None.
            task: the id of the task that the call is for.
            on_delta: receives each delta as it arrives; without it the call is not streamed.
            on_cut: receives an answer that was cut off, before it is waited for more.
            context: the tokens that a prompt may have, by the estimate; a longer one is sent shortened at once.
            whole: whether a prompt that does not fit is an error instead.

        Raises:
            ModelError: the call failed. A `ModelContextError`: the prompt does not fit, however much is shortened.
            LimitExceeded: a limit does not allow another call.
        """
        chosen = self.model(model)
        if self.settings is not None:
            request = replace(request, settings=request.settings.over(self.settings))
        if self.subagent_settings is not None and role == "subagent":
            request = replace(request, settings=request.settings.over(self.subagent_settings))
        if self.prompts is not DEFAULTS and self.prompts is not request.prompts:
            request = replace(request, prompts=self.prompts)
        if role in self.instructions:
            request = replace(request, messages=instructed(request.messages, self.instructions[role]))
        response = await self._calls.call(
            role, chosen, request, task=task, on_delta=on_delta, on_cut=on_cut, context=context, whole=whole
        )
        for note in response.notes:
            self._tell_shortened(f"{chosen.name}: {note}", unread=response.shortened)
        return response

    @asynccontextmanager
    async def stream(
        self, role: Speaker, request: ModelRequest, *, model: str | Model | None = None
    ) -> AsyncIterator[CallStream]:
        """Make a model call whose deltas can be iterated over while it runs; leaving the block cancels it.

        For planners and aggregators. An async generator must not hold a task group open across a `yield`, so the call
        runs in the run's task group.

        Raises:
            RuntimeError: the run is not in progress.
        """
        stream = CallStream()
        scope = anyio.CancelScope()

        async def run() -> None:
            if role == "planner":
                self._state.planner.stream_began()
            with scope:
                try:
                    stream.response = await self.call(role, request, model=model, on_delta=stream.deltas.put)
                except Exception as error:
                    stream.error = error
                finally:
                    stream.deltas.close()
                    if role == "planner":
                        self._state.planner.stream_ended(awaited=stream.deltas.awaited)

        if self._state.spawn is None:
            raise RuntimeError("RunContext.stream works only while the run is in progress")
        self._state.spawn(run)
        try:
            yield stream
        finally:
            scope.cancel()
