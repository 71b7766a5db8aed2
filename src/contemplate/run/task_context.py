"""What an agent may see of a run, and do with it: its task, and what has been reached so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..data import readable
from ..errors import LimitExceeded
from ..events import ContextCondensed, OutputDelta, Speaker, TaskDelta
from ..messages import Message, TokenLogprob
from ..models import Condensed, Delta, Model, ModelRequest, ModelResponse
from ..plan import Task
from ..result import TaskResult
from ..usage import Usage
from .answer import Answer
from .context import RunContext
from .given_schema import type_by_schema
from .output_type import OutputType


@dataclass(slots=True)
class _Reached:
    """What a task has reached so far, kept in case it is cut off."""

    messages: tuple[Message, ...] = ()
    written: list[str] = field(default_factory=list)
    capped_by: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    condensed: int = 0
    offered: Answer | None = None


class TaskContext:
    """A task's view of its run. It keeps what the task has reached, in case it is cut off.

    Args:
        run: the run.
        task: the task.
        inputs: the results of the tasks that it needs, failed ones included.
        role: the role of its calls: "aggregator" for an aggregator that works as an agent.
        model: the model to call; the task's if None.
    """

    def __init__(
        self,
        run: RunContext,
        task: Task,
        inputs: Sequence[TaskResult] = (),
        *,
        role: Speaker = "subagent",
        model: str | Model | None = None,
    ) -> None:
        self._run = run
        self._task = task
        self._inputs = inputs
        self._role = role
        self._model = model
        self._reached = _Reached()

    @property
    def run(self) -> RunContext:
        """The run."""
        return self._run

    @property
    def task(self) -> Task:
        """The task."""
        return self._task

    @cached_property
    def output(self) -> OutputType[Any] | None:
        """The type of its answer: the run's, or for a part that of `Task.output_schema`; None for text.

        Raises:
            ConfigurationError: the task's `output_schema` is no JSON schema.
        """
        schema = self._task.output_schema
        if schema is not None and self._task.kind == "part":
            return OutputType(type_by_schema(schema, "answer"))
        return None if self._task.kind == "part" else self._run.output

    @property
    def inputs(self) -> Sequence[TaskResult]:
        """The results of the tasks that it needs, failed ones included."""
        return self._inputs

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far."""
        return self._reached.messages

    @property
    def text(self) -> str:
        """What the model has written in the current turn."""
        return "".join(self._reached.written)

    @property
    def capped_by(self) -> str | None:
        """The limit of the run that cut off the last answer, if one did."""
        return self._reached.capped_by

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """The tokens of the last answer with their log-probabilities, if the model gave them."""
        return self._reached.logprobs

    @property
    def usage(self) -> Usage:
        """The usage of the task so far, failed calls included."""
        return self._run.spent_on(self._task.id)

    def keep(self, messages: Sequence[Message]) -> None:
        """Set the conversation so far, which becomes `TaskResult.messages`.

        Raises:
            TypeError: one of them is not a `Message`.
        """
        kept = tuple(messages)
        if not all(isinstance(each, Message) for each in kept):
            raise TypeError(f"TaskContext.keep({messages!r:.100}): keep messages")
        self._reached.messages = kept

    @property
    def offered(self) -> Answer | None:
        """The answer that counts if the task is cut off from now on."""
        return self._reached.offered

    def offer(self, answer: Answer) -> None:
        """Set the answer that counts if the task is cut off from now on.

        Its further calls then count as such that can be spared: where calls are limited, those of other tasks go first.
        """
        self._reached.offered = answer
        self._run._calls.ledger.spared.add(self._task.id)

    def with_inputs(self, inputs: Sequence[TaskResult]) -> TaskContext:
        """Return a context with other inputs that shares what was reached with this one."""
        other = TaskContext(self._run, self._task, inputs, role=self._role, model=self._model)
        other._reached = self._reached
        return other

    def adopt(self, other: TaskContext) -> None:
        """Copy what was reached in another context into this one."""
        self._reached.messages = other._reached.messages
        self._reached.capped_by = other._reached.capped_by
        self._reached.written[:] = other._reached.written
        self._reached.logprobs = other._reached.logprobs
        self._reached.condensed = other._reached.condensed

    def messages_from_others(self) -> Sequence[str]:
        """Return the messages sent to this subagent (`RunContext.tell`) since the last call of this."""
        return self._run._state.messages_for(self._task.id)

    async def call(self, request: ModelRequest, *, context: float = math.inf) -> ModelResponse:
        """Make one model call for this task.

        A prompt of more than `context` tokens is shortened, like one that does not fit into the model's context
        (`RunContext.call`). The conversation is kept in full.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit does not allow another call.
        """
        reached = self._reached
        streaming = self._run.streaming and self._role == "subagent"
        watched = bool(self._run._state.watchers) and self._role == "subagent"
        if watched:
            self._tell_watchers(Delta(restart=True))
        if reached.written and streaming and request.messages[-1].role != "tool":
            # The last turn again, not the next one.
            self.hear(Delta(restart=True))
        before = self.text
        reached.written.clear()
        reached.logprobs = None
        reached.messages = request.messages

        def keep(response: ModelResponse) -> None:
            reached.capped_by = response.capped_by
            reached.written[:] = [response.message.text]
            reached.logprobs = response.logprobs
            reached.messages = (*request.messages, response.message)

        try:
            response = await self._run.call(
                self._role,
                request,
                model=self._model or self._task.model,
                task=self._task.id if self._role == "subagent" else None,
                on_delta=self._receive if streaming or watched else None,
                on_cut=keep,
                context=context,
            )
        except LimitExceeded:
            # Nothing was written: what was said in the turn before is all there will be.
            reached.written[:] = [before]
            raise
        keep(response)
        if response.condensed is not None:
            self._tell_condensed(response.condensed)
        return response

    def _tell_condensed(self, condensed: Condensed) -> None:
        """Tell, once for each time that more turns were condensed."""
        if condensed.turns > self._reached.condensed and self._run.listening:
            self._run.emit(ContextCondensed(task_id=self._task.id, **condensed.model_dump()))
        self._reached.condensed = max(condensed.turns, self._reached.condensed)

    def _receive(self, delta: Delta) -> None:
        """Take in a piece of the task's own call, which need not be streamed to listeners."""
        self._tell_watchers(delta)
        if not (delta.text or delta.reasoning or delta.restart):
            return
        if self._run.streaming:
            self.hear(delta)
        else:
            self._write(delta)

    def _tell_watchers(self, delta: Delta) -> None:
        for watch in self._run._state.watchers:
            watch(self._task.id, delta)

    def hear(self, delta: Delta) -> None:
        """Add a delta to what the task has written, and send it to the listeners."""
        self._write(delta)
        run = self._run
        if run.listening:
            said = readable(delta.text), readable(delta.reasoning), delta.restart
            run.emit(TaskDelta.of(self._task.id, *said))
            if self._task.kind == "answer":
                run.emit(OutputDelta.of(*said))

    def _write(self, delta: Delta) -> None:
        if delta.restart:
            self._reached.written.clear()
        if delta.text:
            self._reached.written.append(delta.text)
