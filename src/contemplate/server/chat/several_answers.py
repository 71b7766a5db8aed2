"""Several answers to one request: as many runs, at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio

from ...result import RunResult
from ...settings import derived_seed
from ...usage import NOTHING
from ..active_runs import ActiveRuns
from ..answer_runs import answer
from ..api_errors import Failure
from ..asgi_run import AsgiRun, MakeReply
from ..deltas import FinishReason, ReplyDelta
from ..neutral_request import Asked
from ..visits import Visit
from .replies import StreamedReply, WholeReply

ChatReply = WholeReply | StreamedReply


class SeveralAnswers(AsgiRun[ChatReply]):
    """The ASGI application that answers one request several times."""

    def __init__(self, asked: Asked, answers: int, make_reply: MakeReply[ChatReply], runs: ActiveRuns) -> None:
        super().__init__(asked, make_reply, runs)
        self._answers = answers

    async def answer(self, reply: ChatReply, visit: Visit) -> None:
        """Answer what is asked; all or nothing.

        Raises:
            RequestError, ContemplateError: one run has no answer.
        """
        choices = [_ChoiceReply(reply, index) for index in range(self._answers)]
        failed: list[Exception] = []

        async def one(choice: _ChoiceReply) -> None:
            try:
                await answer(_of(self._asked, choice.index), choice, self._runs, visit)
            except Exception as error:
                failed.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for each in choices:
                group.start_soon(one, each)
        if failed:
            raise failed[0]
        await reply.end_all(sum((each.usage for each in choices), NOTHING))


def _of(asked: Asked, index: int) -> Asked:
    """Return what is asked for one of the answers: a run that waits for the client's tools goes on as the first."""
    return replace(asked, seed=derived_seed(asked.seed, "", index), returned={}) if index else asked


class _ChoiceReply:
    """One of the answers, as a part of the reply."""

    def __init__(self, reply: ChatReply, index: int) -> None:
        self.index = index
        self.usage = NOTHING
        self._reply = reply

    @property
    def run_id(self) -> str:
        """The id of the run that began first, after which the completion is called."""
        return self._reply.run_id

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._reply.run_id = self._reply.run_id or run_id

    async def say(self, delta: ReplyDelta) -> None:
        await self._reply.say(delta, self.index)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        self.usage = result.usage
        await self._reply.end_choice(self.index, result, text, finish_reason)

    async def fail(self, error: Failure) -> None:
        """Fail with the others, as that is told of the whole request."""

    async def keep_alive(self) -> None:
        """Leave that to the whole reply."""
