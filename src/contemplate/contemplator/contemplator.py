"""`Contemplator`: a model with a planner, an agent and an aggregator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from pydantic import JsonValue

from ..arguments import checked_arguments
from ..batch.items import BatchItem, BatchResult
from ..batch.mapping import MapOptions, mapped
from ..batch.rules import GIVE_UP_AFTER, BatchRules, OnProgress, Order, Questions
from ..budget import Budget
from ..decisions import Approve
from ..errors import ConfigurationError
from ..estimate import Estimate, estimated, models_in
from ..events import EVERYONE, Speaker
from ..limits import Limits
from ..models import Model, resolve
from ..modes import Mode, Preset
from ..options import CHANGES, AnyTool, Options, ResumeOptions, RunOptions, Setup
from ..plan import Task
from ..prompts import DEFAULTS, Prompts
from ..prompts.instructions import Instructions, by_role
from ..result import OutputT, RunResult
from ..run.configuration import configuration_of, describe
from ..run.current_run import current_scope
from ..run.listeners import Listener
from ..run.nesting import back_here, in_loop_of
from ..run.protocols import AgentFunction, Aggregator, Answer, Planner, can_wait, needing_deps, toolsets_of
from ..run.run import Job, Parts, carry_out
from ..run.suspended_runs import NO_DECISIONS, Decisions, SuspendedRuns
from ..run.sync import run_blocking
from ..run.task_context import TaskContext
from ..run.task_run import answer_with_run
from ..settings import ModelSettings
from ..stream import RunStream, stream_of
from ..tools.toolset import Toolset
from .held_open import HeldOpen
from .jobs import EachRun, check_deps, checked_labels, checked_listeners, job_of

if TYPE_CHECKING:
    from ..journal import Journal
    from ..journal.shared_answers import SharedAnswers

_TEXT: Any = str
OtherT = TypeVar("OtherT")


class Contemplator(Generic[OutputT]):
    """A chat model that contemplates: it plans, fans out to subagents, and merges or votes on their answers.

    An instance holds no state of a run; any number of runs may be in progress at once.

    Args:
        model: the model, or its name, such as "openai:gpt-5" or "local:qwen2.5-coder-1.5b". If None:
            `CONTEMPLATE_MODEL`, else OpenAI's if `OPENAI_API_KEY` is set, else a local one.
        mode: a ready pair of planner and aggregator: "instant" (one plain call), "thinking" (one call with more
            reasoning), "contemplating" (plan, fan out, merge), "auto" (three samples, and then what they call for;
            `modes.auto(...)` takes a checker), "vote" (at most five samples), "refine" (an answer, criticised and
            rewritten), "council" (four strategies, and a chair; `modes.council(...)` makes one of several models),
            "verify" (solutions that are checked step by step, and mended until they pass), or "program" (the model
            writes a program that organises the subagents; `modes.program(...)` runs one of yours).
        planner, aggregator: replace those of the mode.
        agent: what answers a task; an `Agent` with `tools`, `instructions` and `settings` if None. It may be another
            contemplator: each task is then a run of its own, within the limits of the outer one.
        tools: functions that subagents may call, and toolsets such as `mcp_tools(...)`.
        output_type: the type of the output, usually a pydantic model; text if `str`. Type checkers infer the type of
            `RunResult.output` from a class; for a union or a `Literal` it is `Any`, unless it is said in an annotation.
        instructions: added to every subagent's system message; or texts by role, such as `{"planner": "...",
            "aggregator": "..."}`, each added to the system messages of that role's calls.
        prompts: texts of your own instead of the default prompts, as in `Prompts(synthesis="...")`, or
            `Prompts.from_folder("prompts/")`. They hold for this contemplator's runs, also within others' runs, and
            those of another contemplator, such as one that is its agent, do not change.
        settings: those of the subagents' calls. Planners and aggregators have settings of their own, as arguments of
            the functions that make them; `all_settings` reaches their calls, too.
        all_settings: settings of all calls of a run, whoever makes them, where nothing closer to the call sets them.
        seed: the one seed from which all others are derived: those of samples, the order in which answers are shown to
            a model, and who sees whom. If None: that of `settings`, else of `all_settings`. Without any, samples are
            numbered 0, 1, 2, ...
        limits: what a run may spend.
        budget: what all runs may spend together, with those of others that have the same `Budget`.
        stream: whether to stream the subagents' calls and the answer. If None, only when somebody listens or a time
            limit is set: then the text of a task that is cut off is worth the cost.
        images_to: the roles that see a question's images: any of "planner", "subagent", "aggregator".
        on_event: receives every event of every run.
        journal: records every call, so that a run can be continued, replayed, or aggregated again: "sqlite:///runs.db",
            "memory:", or a `Journal`.
        labels: JSON that the journal stores with each run.
        approve: decides tool calls that need an approval, or their result from outside, while other subagents go on: a
            function of the `PendingCall` that returns `Approved()` or True, `Denied("why")` or False,
            `Returned(value)`, or None to leave the call open; it may be async. Without it, or if it leaves a call open,
            the run goes on until nothing else can be done, and is then suspended: `RunResult.pending`, and `resume`.

    Raises:
        ConfigurationError: a setting is wrong, or the model cannot be set up.
    """

    @overload
    def __init__(
        self, model: str | Model | None = None, *, output_type: type[OutputT] = ..., **options: Unpack[Options]
    ) -> None: ...
    # What is not a class, such as a union or a `Literal`, has no type that could be written here.
    @overload
    def __init__(
        self: Contemplator[Any], model: str | Model | None = None, *, output_type: Any, **options: Unpack[Options]
    ) -> None: ...
    @checked_arguments
    def __init__(
        self,
        model: str | Model | None = None,
        *,
        mode: Mode | Preset = "contemplating",
        planner: Planner | None = None,
        aggregator: Aggregator | None = None,
        agent: AgentFunction | None = None,
        tools: Sequence[AnyTool] = (),
        output_type: type[OutputT] = _TEXT,
        instructions: str | Instructions | None = None,
        prompts: Prompts = DEFAULTS,
        settings: ModelSettings | None = None,
        all_settings: ModelSettings | None = None,
        seed: int | None = None,
        limits: Limits | None = None,
        budget: Budget | None = None,
        stream: bool | None = None,
        images_to: Collection[Speaker] = EVERYONE,
        on_event: Listener | None = None,
        journal: str | Journal | None = None,
        labels: Mapping[str, JsonValue] | None = None,
        approve: Approve | None = None,
    ) -> None:
        self._setup = Setup(
            model=resolve(model),
            mode=mode,
            planner=planner,
            aggregator=aggregator,
            agent=agent,
            tools=tuple(tools),
            output_type=output_type,
            instructions=by_role(instructions),
            prompts=prompts,
            settings=settings,
            all_settings=all_settings,
            seed=seed,
            stream=stream,
            images_to=images_to,
        )
        self._parts = self._setup.parts()
        self._each_run = EachRun(
            limits=limits or Limits(),
            budgets=() if budget is None else (budget,),
            listeners=checked_listeners(on_event),
            labels=checked_labels(labels),
            approve=approve,
        )
        self._journal = None if journal is None else opened_journal(journal)
        self._suspended = SuspendedRuns()
        self._models: dict[str, Model] = {}
        self._held_open = HeldOpen()

    def __repr__(self) -> str:
        said = configuration_of(self._parts) | {"limits": describe(self._each_run.limits)}
        return f"Contemplator({', '.join(f'{name}={value}' for name, value in said.items())})"

    @property
    def model(self) -> Model:
        """The model."""
        return self._parts.model

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that its runs may call, as far as its parts say.

        Raises:
            ConfigurationError: one of them does not exist, or cannot be set up.
        """
        return models_in(self._parts, None)

    @property
    def toolsets(self) -> tuple[Toolset, ...]:
        """The toolsets of its agent."""
        return tuple(toolsets_of(self._parts.agent))

    @property
    def journal(self) -> Journal | None:
        """The journal, if there is one."""
        return self._journal

    def with_journal(self, journal: str | Journal, *, answers: SharedAnswers | None = None) -> Self:
        """Return a contemplator that is the same, but records its runs in `journal`.

        Args:
            journal: the journal, or its name.
            answers: what its runs have in common with those of others: equal requests are asked once. If None, each
                asks for itself.

        Raises:
            ConfigurationError: it is neither a journal nor the name of one.
        """
        other = copy(self)
        other._journal, other._each_run = opened_journal(journal), replace(self._each_run, answers=answers)
        other._suspended, other._held_open = SuspendedRuns(), HeldOpen()
        return other

    @property
    def limits(self) -> Limits:
        """The limits of a run that is given none."""
        return self._each_run.limits

    @property
    def prompts(self) -> Prompts:
        """The prompts."""
        return self._parts.prompts

    @overload
    async def run(self, question: str, **options: Unpack[RunOptions]) -> RunResult[OutputT]: ...
    @overload
    async def run(
        self, question: str, *, output_type: type[OtherT], **options: Unpack[RunOptions]
    ) -> RunResult[OtherT]: ...
    @overload
    async def run(self, question: str, *, output_type: Any, **options: Unpack[RunOptions]) -> RunResult[Any]: ...
    async def run(self, question: str, *, output_type: Any = None, **options: Unpack[RunOptions]) -> RunResult[Any]:
        """Contemplate `question`.

        What is given here is for this run only, and has a say over what was given to the contemplator.

        Args:
            question: what to answer.
            output_type: the type of the output.
            images: paths, URLs, bytes or image parts that belong to it.
            history: the conversation before the question, oldest message first: `history` of an earlier result.
            model: the model, or its name.
            mode: the mode, in place of the contemplator's, and of its planner and aggregator.
            tools: more functions and toolsets; a function replaces one of the same name.
            instructions: in place of the contemplator's, for the roles that are named; a text is for subagents.
            settings: of the subagents' calls; what they leave open is the contemplator's.
            answer_settings: of the calls that write an answer to the whole question, such as `max_tokens` and `stop`:
                those of subagents that answer it, and the one that merges.
            seed: in place of the contemplator's.
            limits: in place of the contemplator's.
            deps: what tools with a `ToolContext` get as `ctx.deps`, such as the user and a database. No model, event,
                log or journal is told of it. Runs within this one inherit it.
            budget: one or more that the run draws from beside the contemplator's: all hold.
            labels: more of them.
            on_event: receives every event, as the contemplator's does.
            approve: in place of the contemplator's.
            run_id: the run's id: 1 to 64 letters, digits, ".", "_" or "-". With a journal, a run with that id is
                continued, and no recorded call is paid for twice; if it was answered in full, the stored result is
                returned, unless the configuration is another one. A suspended run is, too, without a journal.

        Raises:
            ContemplateError: there is no answer; the results so far are in the error's `partial`.
        """
        return await self._run(*self._prepared(question, output_type, options))

    @overload
    def run_sync(self, question: str, **options: Unpack[RunOptions]) -> RunResult[OutputT]: ...
    @overload
    def run_sync(
        self, question: str, *, output_type: type[OtherT], **options: Unpack[RunOptions]
    ) -> RunResult[OtherT]: ...
    @overload
    def run_sync(self, question: str, *, output_type: Any, **options: Unpack[RunOptions]) -> RunResult[Any]: ...
    def run_sync(self, question: str, *, output_type: Any = None, **options: Unpack[RunOptions]) -> RunResult[Any]:
        """Call `run` from synchronous code. Works where an event loop is running, too, as in a notebook."""
        return run_blocking(lambda: self.run(question, output_type=output_type, **options))

    def estimate(self, question: str, *, output_type: Any = None, **options: Unpack[RunOptions]) -> Estimate:
        """Estimate the calls, tokens and USD of a run, without making a call. Takes the arguments of `run`.

        Raises:
            ConfigurationError: the question is empty, an image cannot be read, or a model of a part does not exist.
        """
        return estimated(*self._prepared(question, output_type, options))

    @overload
    def stream(
        self, question: str, **options: Unpack[RunOptions]
    ) -> AbstractAsyncContextManager[RunStream[OutputT]]: ...
    @overload
    def stream(
        self, question: str, *, output_type: type[OtherT], **options: Unpack[RunOptions]
    ) -> AbstractAsyncContextManager[RunStream[OtherT]]: ...
    @overload
    def stream(
        self, question: str, *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AbstractAsyncContextManager[RunStream[Any]]: ...
    def stream(
        self, question: str, *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AbstractAsyncContextManager[RunStream[Any]]:
        """Contemplate `question`, and iterate over the run's events as they happen.

        Leaving the block cancels the run, also when an async generator around it is left or abandoned. Takes the
        arguments of `run`; the iteration raises the errors of `run`.
        """
        parts, job = self._prepared(question, output_type, options)
        return stream_of(lambda put: self._run(parts, replace(job, listeners=(put, *job.listeners))))

    @overload
    def map(
        self, questions: Questions, *, output_type: type[OtherT], **options: Unpack[MapOptions]
    ) -> AsyncGenerator[BatchResult[OtherT], None]: ...
    @overload
    def map(
        self, questions: Questions, **options: Unpack[MapOptions]
    ) -> AsyncGenerator[BatchResult[OutputT], None]: ...
    @overload
    def map(
        self, questions: Questions, *, output_type: Any, **options: Unpack[MapOptions]
    ) -> AsyncGenerator[BatchResult[Any], None]: ...
    def map(
        self, questions: Questions, *, output_type: Any = None, **options: Unpack[MapOptions]
    ) -> AsyncGenerator[BatchResult[Any], None]:
        """Contemplate many questions, a few at a time: `async for done in mind.map(questions): ...`.

        What comes of a question is a result or an error, so that one that fails does not end the others. Of an
        iterable, no more is fetched than is under way or waits to be read. Leaving the iteration cancels what is in
        progress; all that was answered by then is in the journal, if there is one.

        Args:
            questions: texts, or `BatchItem`s with ids and options of their own; an async iterable, or a plain one,
                which must not block.
            output_type: the type of the outputs.
            name: what to call the batch in the journal, which it needs: called again under the same name it goes on
                where it was. What was answered in full is not asked again, what failed is.
            concurrency: how many runs are in progress at the same time, 16 if not given. Calls in flight at one
                provider are a matter of `models.Limit`.
            order: "finished" gives results as they come, "given" in the order of the questions.
            on_progress: is called with a `BatchProgress` after each question.
            give_up_after: if so many questions in a row fail, the rest is not asked; 50 if not given, None for never.
            options: those of `run`, for all questions that do not have their own; limits hold for each run. What all
                may spend together is a `budget`.

        Raises:
            ConfigurationError: an option is wrong.
            BatchStopped: too many questions in a row failed.
        """
        return self._map(questions, output_type, **options)

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer a task of another contemplator's run: `Contemplator(agent=this)`.

        The answer is a run within that one, with its own limits, listeners and stream setting; the outer run's limits
        and listeners apply as well.

        Raises:
            ContemplateError: there is no answer.
        """
        return await answer_with_run(
            task,
            ctx,
            parts=self._parts,
            limits=self._each_run.limits,
            listeners=self._each_run.listeners,
            budgets=self._each_run.budgets,
            approve=self._each_run.approve,
        )

    @property
    def waits(self) -> bool:
        """Whether tool calls of its runs may have to wait for a decision, as far as its agent says."""
        return can_wait(self._parts.agent)

    @property
    def needs_deps(self) -> tuple[str, ...]:
        """The names of its agent's tools that cannot be used in a run without deps, as far as it says."""
        return tuple(needing_deps(self._parts.agent))

    @overload
    async def resume(
        self, run_id: str, decisions: Decisions = ..., **options: Unpack[ResumeOptions]
    ) -> RunResult[OutputT]: ...
    @overload
    async def resume(
        self,
        run_id: str,
        decisions: Decisions = ...,
        *,
        output_type: type[OtherT],
        **options: Unpack[ResumeOptions],
    ) -> RunResult[OtherT]: ...
    @overload
    async def resume(
        self, run_id: str, decisions: Decisions = ..., *, output_type: Any, **options: Unpack[ResumeOptions]
    ) -> RunResult[Any]: ...
    async def resume(
        self,
        run_id: str,
        decisions: Decisions = NO_DECISIONS,
        *,
        output_type: Any = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult[Any]:
        """Go on with a suspended run, in this or in another process: what was answered is not paid for again.

        Decisions are recorded before they are acted upon, and may come one by one: as long as some are missing, the run
        is suspended again, without new calls unless there is something to do.

        Args:
            run_id: the run.
            decisions: what was decided, by the ids of the calls (`RunResult.pending`): `Approved()` or True, with other
                arguments `Approved({...})`, `Denied("why")` or False, or `Returned(value)`.
            output_type: the type of the output, as it was given to `run`.
            options: those of `run`; what was given to it, such as tools, must be given again.

        Raises:
            RunInProgress: it is active already, here or in another process.
            JournalError: there is no such run.
            ConfigurationError: no such call waits, or something else was decided of it.
            ContemplateError: there is no answer; the results so far are in the error's `partial`.
        """
        parts, job = self._prepared_again(run_id, output_type, options)
        return await self._resumed(parts, job, decisions)

    def resume_sync(
        self,
        run_id: str,
        decisions: Decisions = NO_DECISIONS,
        *,
        output_type: Any = None,
        **options: Unpack[ResumeOptions],
    ) -> RunResult[Any]:
        """Call `resume` from synchronous code."""
        return run_blocking(lambda: self.resume(run_id, decisions, output_type=output_type, **options))

    def resume_stream(
        self,
        run_id: str,
        decisions: Decisions = NO_DECISIONS,
        *,
        output_type: Any = None,
        **options: Unpack[ResumeOptions],
    ) -> AbstractAsyncContextManager[RunStream[Any]]:
        """Go on with a suspended run, and iterate over its events. Takes the arguments of `resume`."""
        parts, job = self._prepared_again(run_id, output_type, options)
        return stream_of(lambda put: self._resumed(parts, replace(job, listeners=(put, *job.listeners)), decisions))

    def forget(self, run_id: str) -> None:
        """Forget a suspended run that is kept in memory, for want of a journal; nothing happens if there is none."""
        self._suspended.forget(run_id)

    async def replay(self, run_id: str) -> RunResult[OutputT]:
        """Replay a run of the journal from its recorded calls, without making any.

        Raises:
            ReplayError: the run differs from the recorded one; the message shows the call that differs.
            JournalError: there is no such run, or it was never finished.
            ContemplateError: the error that the run raised.
        """
        from ..run.journaled_runs import replay

        return await replay(self._parts, job_of(self._each_run, "replayed", run_id=run_id), self._require_journal())

    async def reaggregate(self, run_id: str) -> RunResult[OutputT]:
        """Aggregate again from what the subagents had answered: only the aggregator's calls are made.

        The journal records it as a run of its own.

        Raises:
            JournalError: there is no such run, or it was never finished.
            ContemplateError: there is no answer.
        """
        from ..run.journaled_runs import reaggregate

        return await reaggregate(
            self._parts,
            replace(job_of(self._each_run, "reaggregated", run_id=run_id), run_id=None),
            self._require_journal(),
            run_id,
        )

    def replay_sync(self, run_id: str) -> RunResult[OutputT]:
        """Call `replay` from synchronous code."""
        return run_blocking(lambda: self.replay(run_id))

    def reaggregate_sync(self, run_id: str) -> RunResult[OutputT]:
        """Call `reaggregate` from synchronous code."""
        return run_blocking(lambda: self.reaggregate(run_id))

    async def __aenter__(self) -> Self:
        """Keep connections and toolsets open between runs in this event loop, until the block is left.

        A toolset is opened when a run first uses it, and again for the next run if it has died. Toolsets that were
        given to one run live as long as that.
        """
        await self._held_open.enter(self.model, self.toolsets)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held_open.leave()

    @checked_arguments
    def _map(
        self,
        questions: Iterable[Any] | AsyncIterable[Any],
        output_type: Any = None,
        *,
        name: str | None = None,
        concurrency: int = 16,
        order: Order = "finished",
        on_progress: OnProgress | None = None,
        give_up_after: int | None = GIVE_UP_AFTER,
        **options: Any,
    ) -> AsyncGenerator[BatchResult[Any], None]:
        rules = BatchRules(
            name=name, concurrency=concurrency, order=order, give_up_after=give_up_after, on_progress=on_progress
        )
        rules.check(questions, options)
        if name is not None:
            self._require_journal()
        # A wrong option is an error here, and not one of each question.
        self._prepared("a question", output_type, options)  # type: ignore[arg-type]

        async def start(index: int, item: BatchItem) -> RunResult[Any]:
            of_run = rules.options_of(index, item, options)
            return await self.run(item.question, output_type=output_type, **of_run)

        return mapped(questions, start, rules)

    def _prepared(self, question: str, output_type: Any, options: RunOptions) -> tuple[Parts, Job]:
        """Return the parts and the job of one run."""
        job = job_of(self._each_run, question, **options)
        if output_type is None and not any(options.get(name) is not None for name in CHANGES):
            return self._parts, job
        model = options.get("model")
        setup = self._setup.changed(
            model=None if model is None else self._resolved(model),
            mode=options.get("mode"),
            tools=options.get("tools", ()),
            output_type=output_type,
            instructions=by_role(options.get("instructions")),
            settings=options.get("settings"),
            seed=options.get("seed"),
        )
        return setup.parts(), job

    def _prepared_again(self, run_id: str, output_type: Any, options: ResumeOptions) -> tuple[Parts, Job]:
        """Return the parts and the job of a resumed run; what it was asked is in its record."""
        given = RunOptions(run_id=run_id)
        given.update(options)  # type: ignore[typeddict-item]
        return self._prepared("resumed", output_type, given)

    def _resolved(self, model: str | Model) -> Model:
        # One object for each name: what a model learns, and its connections, serve all runs.
        return self._models.setdefault(model, resolve(model)) if isinstance(model, str) else model

    def _require_journal(self) -> Journal:
        if self._journal is None:
            raise ConfigurationError("there is no journal", hint='Contemplator(..., journal="sqlite:///runs.db")')
        return self._journal

    async def _run(self, parts: Parts, job: Job) -> RunResult[Any]:
        check_deps(parts, job)
        return await _in_its_loop(job, lambda job: self._run_here(parts, job))

    async def _run_here(self, parts: Parts, job: Job) -> RunResult[Any]:
        journal = self._journal
        if journal is not None:
            from ..run.journaled_runs import keep_or_continue

            return await keep_or_continue(parts, job, journal)
        if current_scope() is None and (job.run_id in self._suspended or can_wait(parts.agent)):
            return await self._suspended.run(parts, job)
        return (await carry_out(parts, job)).result

    async def _resumed(self, parts: Parts, job: Job, decisions: Decisions) -> RunResult[Any]:
        from ..run.journaled_runs import resume

        check_deps(parts, job)
        if not isinstance(decisions, Mapping):
            raise ConfigurationError(
                f"run {job.run_id!r}: the decisions are a {type(decisions).__name__}",
                hint="a decision for each call: {result.pending[0].id: Approved()}",
            )
        if self._journal is None and job.run_id in self._suspended:
            return await _in_its_loop(job, lambda job: self._suspended.run(parts, job, decisions))
        journal = self._require_journal()
        return await _in_its_loop(job, lambda job: resume(parts, job, journal, decisions))


async def _in_its_loop(job: Job, run: Callable[[Job], Awaitable[RunResult[Any]]]) -> RunResult[Any]:
    """Make a run in the event loop of the run around it, if there is one in another thread."""
    scope = current_scope()
    if scope is None or scope.here or scope.blocked is not None:
        return await run(job)
    job = replace(job, listeners=[back_here(listener) for listener in job.listeners])
    return await in_loop_of(scope, lambda: run(job))


def opened_journal(journal: str | Journal) -> Journal:
    """Return a journal, or the one of that name.

    Raises:
        ConfigurationError: it is neither, or the name has another form.
    """
    # Imported on use only, as it imports SQLite.
    from ..journal import Journal, open_journal

    if not isinstance(journal, (str, Journal)):
        raise ConfigurationError(f"journal=... is a {type(journal).__name__}", hint='journal="sqlite:///runs.db"')
    return open_journal(journal)
