"""`Contemplator`: a model with a planner, an agent and an aggregator around it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Generic, Self
from uuid import uuid4

import anyio

from .agent import Agent, AgentFunction, Answer, TaskContext
from .aggregators import Aggregator
from .budget import Ledger
from .calls import Caller, Events, Listener
from .context import RunContext
from .engine import execute, needs_a_share
from .errors import ConfigurationError, ContemplateError, OutputError, sole
from .events import RunFailed, RunFinished, RunStarted
from .log import log_event, wanted
from .messages import ImagePart
from .models import Connectable, Model, resolve
from .modes import Mode, preset
from .nested import contemplate_within
from .plan import Plan, Task
from .planners import Planner
from .result import Conclusion, ErrorInfo, OutputT, RunResult
from .schema import OutputType
from .settings import ModelSettings
from .stream import RunStream
from .sync import run_blocking
from .tools import Tool
from .usage import Limits

Image = str | Path | bytes | ImagePart

_TEXT: Any = str


class Contemplator(Generic[OutputT]):
    """A chat model that contemplates: it plans, fans out to subagents, and merges or votes on their answers.

    An instance holds no state of any run, and any number of runs may go on at once.

    Args:
        model: the model, or its name, such as "openai:gpt-5" or "local:qwen2.5-coder-1.5b". If None:
            `CONTEMPLATE_MODEL`, else OpenAI's if `OPENAI_API_KEY` is set, else a local one.
        mode: a ready pair of planner and aggregator: "instant" (one plain call), "thinking" (one call that takes its
            time), "contemplating" (plan, fan out, merge), "auto" (the planner decides whether to fan out), "vote" (at
            most five samples), or "refine" (an answer, criticised and written anew).
        planner, aggregator: take the place of the mode's.
        agent: what answers a task; an `Agent` with `tools`, `instructions` and `settings` if None. Another contemplator
            will do as well: each task is then a run of its own, within the limits of the outer one.
        tools: functions that subagents may call.
        output_type: what the output must be, usually a pydantic model; text if `str`.
        instructions: said to every subagent.
        settings: of the subagents' calls.
        limits: what a run may spend.
        stream: whether subagents' calls are streamed. If None, when somebody listens or a time limit is set, since
            then what was written until a task is cut off is worth its cost.
        on_event: is told every event of every run.

    Raises:
        ConfigurationError: a setting is wrong, or the model cannot be set up.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        mode: Mode = "contemplating",
        planner: Planner | None = None,
        aggregator: Aggregator | None = None,
        agent: AgentFunction | None = None,
        tools: Sequence[Tool | Callable[..., Any]] = (),
        output_type: type[OutputT] = _TEXT,
        instructions: str | None = None,
        settings: ModelSettings | None = None,
        limits: Limits | None = None,
        stream: bool | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if agent is not None and (tools or instructions or settings):
            raise ConfigurationError(
                "tools, instructions and settings go to the usual agent, and agent= takes its place",
                hint="pass them to your Agent(...)",
            )
        self.model = resolve(model)
        usual = preset(mode)
        self._planner = planner or usual.planner
        self._aggregator = aggregator or usual.aggregator
        self._agent = agent or Agent(tools=tools, instructions=instructions, settings=settings)
        self._output = None if output_type is str else OutputType(output_type)
        if self._output is not None:
            _ = self._output.json_schema
        self._limits = limits or Limits()
        self._stream = stream
        self._on_event = on_event
        self._open: list[AsyncExitStack] = []

    async def run(
        self, question: str, *, images: Sequence[Image] = (), limits: Limits | None = None
    ) -> RunResult[OutputT]:
        """Contemplate `question`.

        Args:
            question: what to answer.
            images: paths, URLs, bytes or image parts that belong to it.
            limits: take the place of the contemplator's, for this run.

        Raises:
            ContemplateError: there is no answer; what was finished until then is in the error's `partial`.
        """
        return await self._run(question, images, limits, ())

    def run_sync(
        self, question: str, *, images: Sequence[Image] = (), limits: Limits | None = None
    ) -> RunResult[OutputT]:
        """`run`, for code that is not async. Works where an event loop is running, too, as in a notebook."""
        return run_blocking(lambda: self.run(question, images=images, limits=limits))

    @asynccontextmanager
    async def stream(
        self, question: str, *, images: Sequence[Image] = (), limits: Limits | None = None
    ) -> AsyncIterator[RunStream[OutputT]]:
        """Contemplate `question`, and iterate over the run's events while it goes on.

        Leaving the block ends the run. Takes what `run` takes, and the iteration raises what `run` raises.
        """
        stream: RunStream[OutputT] = RunStream()

        async def run() -> None:
            await stream.follow(self._run(question, images, limits, (stream.put,)))

        left: Exception | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                try:
                    yield stream
                except Exception as error:
                    # Raised after the group is closed, so that it does not come wrapped in an exception group.
                    left = error
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise sole(errors) from None
        if left is not None:
            raise left

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer a task of another contemplator's run: `Contemplator(agent=this)`.

        Calls and tokens are that run's to limit; of one's own limits, those on tasks and seconds hold.

        Raises:
            ContemplateError: there is no answer.
        """
        return await contemplate_within(
            task,
            ctx,
            model=self.model if task.model is None else ctx.run.model(task.model),
            planner=self._planner,
            agent=self._agent,
            aggregator=self._aggregator,
            limits=self._limits,
        )

    async def __aenter__(self) -> Self:
        """Keep connections from one run to the next, until the block is left."""
        stack = AsyncExitStack()
        if isinstance(self.model, Connectable):
            await stack.enter_async_context(self.model.connect())
        self._open.append(stack)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.pop().aclose()

    async def _run(
        self, question: str, images: Sequence[Image], limits: Limits | None, listeners: Sequence[Listener]
    ) -> RunResult[OutputT]:
        if not question.strip():
            raise ConfigurationError("the question is empty", hint="ask something")
        limits = limits or self._limits
        began = anyio.current_time()
        run_id = uuid4().hex[:12]
        events = Events([*listeners, *filter(None, (self._on_event, _logger()))])
        ledger = Ledger(limits, keep_for_aggregator=needs_a_share(self._aggregator))
        async with AsyncExitStack() as stack:
            ctx = RunContext(
                run_id=run_id,
                question=question,
                images=tuple(map(ImagePart.of, images)),
                output=self._output,
                model=self.model,
                caller=Caller(run_id, ledger, events, stack),
                deadline=math.inf if limits.seconds is None else began + limits.seconds,
            )
            if events.listening:
                events.emit(RunStarted(run_id=run_id, question=question, model=self.model.name))
            try:
                conclusion = await execute(
                    ctx,
                    planner=self._planner,
                    agent=self._agent,
                    aggregator=self._aggregator,
                    limits=limits,
                    streaming=self._streams(events, limits),
                )
                result = self._result(ctx, conclusion, ledger, began)
            except ContemplateError as error:
                error.partial = _collected(ctx, ledger, began, failed=True)
                _tell_failure(ctx, error, ledger, began)
                raise
            except BaseException as error:
                _tell_failure(ctx, error, ledger, began)
                raise
            if events.listening:
                events.emit(
                    RunFinished(
                        run_id=run_id,
                        text=result.text,
                        usage=result.usage,
                        seconds=result.seconds,
                        complete=result.complete,
                        stopped_by=result.stopped_by,
                    )
                )
            return result

    def _streams(self, events: Events, limits: Limits) -> bool:
        if self._stream is not None:
            return self._stream
        return events.listening or limits.seconds is not None

    def _result(self, ctx: RunContext, conclusion: Conclusion, ledger: Ledger, began: float) -> RunResult[OutputT]:
        output: Any = conclusion.text if conclusion.output is None else conclusion.output
        if self._output is not None and conclusion.output is None:
            try:
                output = self._output.parse(conclusion.text)
            except OutputError as error:
                raise OutputError(error.message, hint="the aggregator must return the output type") from None
        return _collected(ctx, ledger, began).model_copy(
            update={
                "output": output,
                "text": conclusion.text,
                "images": conclusion.images,
                "complete": conclusion.complete,
                "support": conclusion.support,
                "dissent": conclusion.dissent,
            }
        )


def _collected(ctx: RunContext, ledger: Ledger, began: float, *, failed: bool = False) -> RunResult[Any]:
    """What a run has reached, without its output."""
    tasks = sorted(ctx.results.values(), key=lambda result: result.index)
    lost = {result.id for result in tasks if result.outcome == "failed" or result.outcome == "capped"}
    if failed or ctx.stopped_by is not None:
        lost |= {task.id for task in ctx.planned if task.id not in ctx.results}
        lost |= {result.id for result in tasks if result.outcome == "cancelled"}
    # The bare class, as one with a parameter cannot be pickled.
    return RunResult.model_construct(
        run_id=ctx.run_id,
        question=ctx.question,
        output=None,
        text="",
        plan=Plan.model_construct(tasks=tuple(ctx.planned)),
        tasks=tuple(tasks),
        usage=ledger.spent,
        seconds=anyio.current_time() - began,
        complete=False,
        missing=tuple(task.id for task in ctx.planned if task.id in lost),
        stopped_by=ctx.stopped_by or ledger.tripped,
        notes=tuple(ctx.notes),
    )


def _tell_failure(ctx: RunContext, error: BaseException, ledger: Ledger, began: float) -> None:
    if ctx.listening:
        seconds = anyio.current_time() - began
        ctx.emit(RunFailed(run_id=ctx.run_id, error=ErrorInfo.of(error), usage=ledger.spent, seconds=seconds))


def _logger() -> Listener | None:
    return log_event if wanted() else None
