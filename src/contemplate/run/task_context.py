"""What an agent is, and what it may touch of a run: its task, and what that has come to so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..events import OutputDelta, TaskDelta
from ..messages import Message
from ..models import Delta, ModelRequest, ModelResponse
from ..plan import Task
from ..result import TaskResult
from ..usage import Usage
from .context import RunContext


class TaskContext:
    """A task's view of its run; it keeps what was reached, for the case that the task is cut off.

    Attributes:
        run: the run.
        task: the task.
        inputs: the results of what the task needs, failed ones too.
        text: what has been written so far.
        messages: the conversation so far.
        usage: what the task's calls have cost so far, failed ones included.
        turn: how many of its model calls have been answered.
    """

    def __init__(self, run: RunContext, task: Task, *, streaming: bool) -> None:
        self.run = run
        self.task = task
        self.inputs: Sequence[TaskResult] = run.inputs(task)
        self.messages: tuple[Message, ...] = ()
        self._written: list[str] = []
        self.turn = 0
        self._on_delta: Callable[[Delta], None] | None = self._hear if streaming else None

    @property
    def text(self) -> str:
        """What has been written in the current turn."""
        return "".join(self._written)

    @property
    def usage(self) -> Usage:
        """What the task's calls have cost so far, failed ones included."""
        return self.run.spent_on(self.task.id)

    async def call(self, request: ModelRequest) -> ModelResponse:
        """One model call of this task.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        if self._written and self._on_delta is not None and request.messages[-1].role != "tool":
            # Not the next turn, but the last one again.
            self._on_delta(Delta(restart=True))
        self._written.clear()
        self.messages = request.messages
        response = await self.run.call(
            "subagent",
            request,
            model=self.task.model,
            task=self.task.id,
            turn=self.turn,
            on_delta=self._on_delta,
        )
        self.turn += 1
        self._written[:] = [response.message.text]
        self.messages = (*request.messages, response.message)
        return response

    def adopt(self, other: TaskContext) -> None:
        """Take what was reached in another context for what was reached in this one."""
        self.messages = other.messages
        self._written[:] = other._written

    def _hear(self, delta: Delta) -> None:
        if delta.restart:
            self._written.clear()
        if delta.text:
            self._written.append(delta.text)
        if self.run.listening:
            text, reasoning, restart = delta.text, delta.reasoning, delta.restart
            self.run.emit(TaskDelta(task_id=self.task.id, text=text, reasoning=reasoning, restart=restart))
            if self.task.kind == "answer":
                self.run.emit(OutputDelta(text=text, reasoning=reasoning, restart=restart))
