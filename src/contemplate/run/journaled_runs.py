"""Runs with a journal: recorded, continued after a crash, replayed, or aggregated again."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel

from ..decisions import Decision, HeldCall
from ..errors import ConfigurationError, ContemplateError, JournalError, OutputError, error_info, revived
from ..event_loops import call_in
from ..journal import Entry, Journal, RunRecord
from ..journal.entries import decision_entry, digest_of, held_call, message_of
from ..journal.holding import Holding
from ..journal.patience import PATIENCE, QUICK, in_thread, quickly
from ..journal.recording import Recording
from ..journal.replaying import Replaying
from ..limits import Limits
from ..messages import Message
from ..plan import Task
from ..result import RunResult, TaskResult
from .approvals import checked_decision
from .configuration import configuration_of, difference
from .context import RunContext
from .history import answer_of, with_history
from .output_type import OutputType
from .protocols import Answer, ParsedAnswer
from .run import Job, Parts, carry_out, new_run_id
from .task_context import TaskContext

SHARE_BEFORE = 0.1
_OTHERWISE = "give another run_id; in a batch or a comparison, another id or name"


async def keep_or_continue(
    parts: Parts,
    job: Job,
    journal: Journal,
    *,
    parent: str | None = None,
    decisions: Mapping[str, Decision | bool] | None = None,
) -> RunResult[Any]:
    """Run `job` and record it. A run with that id is continued; if it was answered, its stored result is returned.

    Args:
        parts: the parts of the run.
        job: the question.
        journal: where to record it.
        parent: the run whose results it aggregates again.
        decisions: those on calls for which it waits, by their ids.

    Raises:
        ConfigurationError: no such call waits, or something else was decided of it.
        ConfigurationError: the run with that id has another question, or was answered with another configuration.
        RunInProgress: the run is active already.
        JournalError: the journal cannot be read.
        ContemplateError: there is no answer.
    """
    run_id = job.run_id or new_run_id()
    job = replace(job, run_id=run_id, parent_run_id=parent)
    patience = _patience_before(job.limits)
    configuration = configuration_of(parts)
    await anyio.lowlevel.checkpoint()

    def load(seconds: float) -> RunRecord | None:
        return journal.load(run_id, patience=seconds)

    # Without a lock, as what is answered stays so: most of a batch that goes on is.
    before = await quickly(load, patience, remote=journal.remote)
    if not decisions and before is not None and _is_answered(before):
        return _answer_of(before, parts, job, configuration)
    async with Holding(journal, run_id, patience):
        before = await quickly(load, patience, remote=journal.remote)
        entries: list[Entry] = []
        if before is not None:
            _check_question(before, job)
            entries = await in_thread(lambda: journal.entries(run_id, patience=patience))
        if decisions:
            entries = await decide(journal, run_id, entries, decisions)
        if before is not None and _is_answered(before):
            return _answer_of(before, parts, job, configuration)
        record = before or RunRecord(
            run_id=run_id, question=job.question, images=job.images, history=job.history, model=""
        )
        record = record.model_copy(
            update={
                "model": parts.model.name,
                "status": "running",
                "configuration": configuration,
                "configuration_digest": digest_of(*configuration, *configuration.values()),
                "created": record.created or time.time(),
                "parent": parent or record.parent,
                "labels": record.labels | dict(job.labels),
            }
        )
        recording = Recording(journal, record, entries, job.answers)
        await recording.begin(patience)
        return await _record(parts, replace(job, seconds_before=record.seconds), recording)


def _is_answered(record: RunRecord) -> bool:
    return record.status == "answered" and record.result is not None


def _answer_of(record: RunRecord, parts: Parts, job: Job, configuration: Mapping[str, str]) -> RunResult[Any]:
    _check_question(record, job)
    _check_configuration(record, configuration)
    return stored_result(record, parts.output)


def _check_question(before: RunRecord, job: Job) -> None:
    if (before.question, before.images) != (job.question, job.images):
        raise another_question(before.run_id)
    if before.history != job.history:
        raise ConfigurationError(f"run {before.run_id!r} has another history", hint=_OTHERWISE)


def another_question(run_id: str) -> ConfigurationError:
    """Return the error for a run that was asked something else before."""
    return ConfigurationError(f"run {run_id!r} has another question", hint=_OTHERWISE)


def _check_configuration(before: RunRecord, now: Mapping[str, str]) -> None:
    # A run that is not over may go on with another configuration: what differs is asked anew.
    if before.configuration and before.configuration != now:
        raise ConfigurationError(
            f"run {before.run_id!r} was answered with another configuration: {difference(before.configuration, now)}",
            hint="give another run_id, or aggregate again: mind.reaggregate(run_id)",
        )


def _patience_before(limits: Limits) -> float:
    """Return how long a journal is waited for before the run starts: a small part of the time that the run has."""
    left = min(limits.seconds or math.inf, anyio.current_effective_deadline() - anyio.current_time())
    return min(PATIENCE, max(left * SHARE_BEFORE, QUICK))


async def _record(parts: Parts, job: Job, recording: Recording) -> RunResult[Any]:
    """Carry the run out and record how it ended; if another process takes it, end at once.

    Raises:
        RunTaken: another process has it.
        ContemplateError: there is no answer.
    """
    with anyio.CancelScope() as scope:
        # Who finds out may be a run within it, in an event loop of its own, by which this one is blocked.
        recording.end = partial(call_in, anyio.lowlevel.current_token(), scope.cancel)
        try:
            return await _recorded(parts, job, recording)
        except Exception:
            # Whatever it ended with, as none of its calls can be made any more.
            if recording.taken is None:
                raise
    assert recording.taken is not None  # noqa: S101
    recording.taken.partial = recording.so_far()
    raise recording.taken


async def _recorded(parts: Parts, job: Job, recording: Recording) -> RunResult[Any]:
    run = recording.run
    try:
        result = (await carry_out(parts, job, recording)).result
    except ContemplateError as error:
        partial = None if error.partial is None else _storable(parts, error.partial)
        ended = {"status": "failed", "error": error_info(error), "result": partial}
        await recording.finish(run.model_copy(update=ended))
        if error.partial is not None:
            error.partial = _with_problem(error.partial, recording)
        raise
    except BaseException as error:
        ended = {"status": "interrupted", "error": error_info(error), "result": recording.so_far() or run.result}
        # A coroutine that is closed cannot wait.
        await recording.interrupted(run.model_copy(update=ended), wait=not isinstance(error, GeneratorExit))
        raise
    stored, status = _storable(parts, result), "answered" if result.complete else "partial"
    if parts.output is not None and not result.pending:
        output = parts.output.dump(result.output)
        try:
            parts.output.load(output, result.text)
        except OutputError:
            # It cannot be read again: the type does not allow that, or a custom aggregator returned another type.
            output, status = None, "partial"
        stored = stored.model_copy(update={"output": output})
    ended = {"status": status, "error": None, "result": stored}
    if result.pending:
        ended |= {"status": "suspended", "seconds": result.seconds}
    await recording.finish(run.model_copy(update=ended))
    return _with_problem(result, recording)


def _with_problem(result: RunResult[Any], recording: Recording) -> RunResult[Any]:
    """Return `result` with a note if it could not be recorded, which came out after the run's end."""
    if recording.problem is None or recording.problem in result.notes:
        return result
    return result.model_copy(update={"notes": (*result.notes, recording.problem)})


def _storable(parts: Parts, result: RunResult[Any]) -> RunResult[Any]:
    """Return `result` with the tasks' values as JSON data, and the answer as its history: the record has the rest."""
    tasks = tuple(_storable_task(parts, each) for each in result.tasks)
    return result.model_copy(update={"tasks": tasks, "history": answer_of(result)})


def _storable_task(parts: Parts, result: TaskResult) -> TaskResult:
    if parts.output is None or not _is_typed(result):
        return result
    return result.model_copy(update={"output": parts.output.dump(result.output)})


def _is_typed(result: TaskResult) -> bool:
    return result.answered and result.task.kind != "part"


def stored_result(record: RunRecord, output: OutputType[Any] | None = None) -> RunResult[Any]:
    """Return the result in the record of a run that has one.

    Args:
        record: the record.
        output: the type of the output; None leaves that as JSON data.

    Raises:
        ConfigurationError: the output does not fit the type.
    """
    result = record.result
    assert result is not None  # noqa: S101
    result = with_history(result, record.history, record.images, result.history)
    if output is None:
        return result
    try:
        value = output.load(result.output, result.text)
    except OutputError:
        raise ConfigurationError(
            f"run {result.run_id!r} was answered, but its output does not fit {output.name}",
            hint="give another run_id, or aggregate again: mind.reaggregate(run_id)",
        ) from None
    return result.model_copy(update={"output": value})


async def resume(parts: Parts, job: Job, journal: Journal, decisions: Mapping[str, Decision | bool]) -> RunResult[Any]:
    """Go on with the run `job.run_id` as it was decided on the calls for which it waits.

    Raises:
        RunInProgress: the run is active already.
        JournalError: there is no such run.
        ConfigurationError: no such call waits, or something else was decided of it.
        ContemplateError: there is no answer.
    """
    run_id = job.run_id or ""
    record = await in_thread(journal.load, run_id)
    if record is None:
        raise _no_such_run(run_id)
    job = replace(job, question=record.question, images=record.images, history=record.history)
    return await keep_or_continue(parts, job, journal, decisions=decisions)


async def decide_on(journal: Journal, run_id: str, decisions: Mapping[str, Decision | bool]) -> None:
    """Record decisions on the calls for which a run waits, which goes on elsewhere.

    Raises:
        RunInProgress: the run is active.
        JournalError: there is no such run, or they cannot be recorded.
        ConfigurationError: no such call waits, or something else was decided of it.
    """
    async with Holding(journal, run_id, PATIENCE):
        if await in_thread(journal.load, run_id) is None:
            raise _no_such_run(run_id)
        await decide(journal, run_id, await in_thread(journal.entries, run_id), decisions)


async def decide(
    journal: Journal, run_id: str, entries: Sequence[Entry], decisions: Mapping[str, Decision | bool]
) -> list[Entry]:
    """Record decisions on the calls for which a run waits, and return its entries with them.

    The same decision once more changes nothing, so that whoever was killed after it was recorded can give it again.

    Raises:
        ConfigurationError: no such call waits, or something else was decided of it.
        JournalError: they cannot be recorded.
    """
    held = {each.call.id: each for each in map(held_call, (entry for entry in entries if entry.role == "decision"))}
    made: dict[str, Entry] = {}
    for call_id, given in decisions.items():
        if call_id not in held:
            raise ConfigurationError(f"run {run_id!r}: no call {call_id!r} waits for a decision", hint=_open(held))
        call = held[call_id].call
        decision, before = checked_decision(given, call), held[call_id].decision
        if before is not None and before != decision:
            raise ConfigurationError(f"call {call_id!r} was decided: {before!r}, not {decision!r}", hint=_open(held))
        if before is None:
            entry = decision_entry(call, decision)
            made[entry.slot] = entry
    # Shielded, as what is recorded must be known to be: otherwise it might be decided again, and differently.
    with anyio.CancelScope(shield=True):
        await in_thread(lambda: journal.append(run_id, list(made.values()), {}))
    return [made.get(entry.slot, entry) for entry in entries]


def _open(held: Mapping[str, HeldCall]) -> str:
    waiting = [str(each.call) for each in held.values() if each.decision is None]
    return f"these wait: {'; '.join(waiting)}" if waiting else "none waits any more"


async def replay(parts: Parts, job: Job, journal: Journal) -> RunResult[Any]:
    """Replay a run from its recorded calls, without making any.

    Raises:
        ReplayError: the run differs from the recorded one.
        JournalError: there is no such run, or it was never finished.
        ContemplateError: the error that the run raised.
    """
    run_id = job.run_id or ""
    record = await finished(journal, run_id)
    entries = await in_thread(journal.entries, run_id)
    recording = Replaying(journal, record, entries)
    job = replace(job, question=record.question, images=record.images, history=record.history).without_clock()
    try:
        result = (await carry_out(parts, job, recording)).result
    except ContemplateError:
        if recording.divergence is not None:
            raise recording.divergence from None
        raise
    recording.compare(result)
    return result


async def reaggregate(parts: Parts, job: Job, journal: Journal, of: str) -> RunResult[Any]:
    """Aggregate the results of the run `of` again; only the aggregator's calls are made.

    Raises:
        JournalError: there is no such run, or it was never finished.
        ContemplateError: there is no answer.
    """
    record = await finished(journal, of)
    assert record.result is not None  # noqa: S101
    entries = await in_thread(journal.entries, of)
    conversations = await in_thread(_conversations, journal, entries)
    recorded = _Recorded(record.result, conversations, parts.output)
    # The tasks are those that there were, whatever another run might start, or the aggregator might add.
    limits = job.limits.model_copy(update={"tasks": max(1, len(record.result.plan.tasks))})
    job = replace(job, question=record.question, images=record.images, history=record.history, limits=limits)
    parts = replace(parts, planner=recorded.plan, agent=recorded.answer)
    return await keep_or_continue(parts, job, journal, parent=of)


async def finished(journal: Journal, run_id: str) -> RunRecord:
    """Load the record of a run that has finished.

    Raises:
        JournalError: there is no such run, or it was never finished.
    """
    record = await in_thread(journal.load, run_id)
    if record is None:
        raise _no_such_run(run_id)
    if record.status == "suspended" and record.result is not None:
        waits = "; ".join(map(str, record.result.pending))
        raise JournalError(f"run {run_id!r} is suspended, and waits for: {waits}", hint="resume it first: mind.resume")
    if record.result is None or record.status in ("running", "interrupted"):
        raise JournalError(
            f"run {run_id!r} is not finished ({record.status})", hint="continue it first, with this run_id"
        )
    return record


def _no_such_run(run_id: str) -> JournalError:
    return JournalError(f"there is no run {run_id!r} in the journal", hint="`contemplate runs` lists them")


def _conversations(journal: Journal, entries: list[Entry]) -> dict[str, tuple[Message, ...]]:
    """Return each subagent's conversation by task: the request of its last call, and the response."""
    last = {each.task_path: each for each in entries if each.role == "subagent" and each.task and each.response}
    conversations: dict[str, tuple[Message, ...]] = {}
    for task, entry in last.items():
        request = tuple(map(message_of, journal.parts(entry.parts)[1:]))
        if task is not None and entry.response is not None:
            conversations[task] = (*request, entry.response.message)
    return conversations


class _Recorded:
    """A planner and an agent that repeat a recorded run: the same tasks, with the results in the same order."""

    def __init__(
        self,
        result: RunResult[Any],
        conversations: Mapping[str, tuple[Message, ...]],
        output: OutputType[Any] | None,
    ) -> None:
        self._output = output
        self._tasks = result.plan.tasks
        self._results = {each.id: each for each in result.tasks}
        self._conversations = conversations
        order = sorted(result.tasks, key=lambda each: each.started + each.seconds)
        self._after = {later.id: earlier.id for earlier, later in pairwise(order)}
        self._arrived = {task.id: anyio.Event() for task in self._tasks}

    async def plan(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Yield the recorded tasks."""
        for task in self._tasks:
            yield task

    async def answer(self, task: Task, ctx: TaskContext) -> Answer:
        """Return the recorded result of `task`."""
        before = self._after.get(task.id)
        try:
            if before is not None:
                await self._arrived[before].wait()
        finally:
            # Also if this task is interrupted: others wait for it.
            self._arrived[task.id].set()
        result = self._results.get(task.id)
        speaker = result.support[0] if result is not None and task.samples > 1 and result.support else task.id
        ctx.keep(self._conversations.get(speaker, ()))
        return _recorded_answer(result, self._output)


def _recorded_answer(result: TaskResult | None, output: OutputType[Any] | None) -> Answer:
    if result is None:
        return Answer("", outcome="cancelled")
    if result.outcome == "failed" and result.error is not None:
        raise revived(result.error)
    typed = output is not None and _is_typed(result)
    value = output.load(result.output, result.text) if output is not None and typed else result.output
    return ParsedAnswer(
        result.text,
        value,
        result.images,
        result.outcome,
        result.support,
        result.dissent,
        result.complete,
        result.logprobs,
        result.metadata,
    )
