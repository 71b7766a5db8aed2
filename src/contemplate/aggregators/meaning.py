"""Semantic clustering of free-text answers: a model decides whether two answers mean the same."""

from __future__ import annotations

from ..agents.output import parse_with_repair, with_schema
from ..answers.markers import marked_answer
from ..data import Data
from ..errors import ModelError, OutputError
from ..messages import Message
from ..models import Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced
from ..result import TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..settings import ModelSettings

MAX_REPAIRS = 1


class _Verdict(Data):
    same: bool


_VERDICT = OutputType(_Verdict)


class Meanings:
    """Groups answers by meaning, comparing each with the first member of each group, in the order of the groups.

    Judged equivalence is not transitive, so the order of the answers matters: pass them in the order of their launch. A
    key is compared only once. If the judge fails, two answers count as different.
    """

    def __init__(self, question: str, ctx: RunContext, model: str | Model | None, settings: ModelSettings) -> None:
        self._question = question
        self._ctx = ctx
        self._model = model
        self._settings = settings
        self._firsts: dict[str, str] = {}
        self._group_of: dict[str, str] = {}

    def known(self, key: str) -> str:
        """Return the group of a key that was grouped before; else the key itself."""
        return self._group_of.get(key, key)

    async def group(self, key: str, result: TaskResult) -> str:
        """Return the key of the first answer with the same meaning as `result`; `key` if there is none.

        Raises:
            LimitExceeded: a limit does not allow the call.
        """
        if key not in self._group_of:
            answer = marked_answer(result.text) or result.text
            self._group_of[key] = await self._find_group(key, answer)
        return self._group_of[key]

    async def _find_group(self, key: str, answer: str) -> str:
        for group, first in self._firsts.items():
            if await self._same(first, answer):
                return group
        self._firsts[key] = answer
        return key

    async def _same(self, one: str, other: str) -> bool:
        texts = [("answer 1", one), ("answer 2", other)]
        mark = fence_mark(texts)
        prompts = self._ctx.prompts
        user = prompts.render("same_meaning", question=self._question, mark=mark, answers=fenced(texts, mark))
        request = with_schema(ModelRequest((Message.user(user),), self._settings), _VERDICT)
        try:
            verdict, _ = await parse_with_repair(
                await self._ask(request), request, self._ask, _VERDICT, repairs=MAX_REPAIRS, prompts=prompts
            )
        except (ModelError, OutputError) as error:
            self._ctx.note(f"two answers count as different because the judge failed: {error.message}")
            return False
        return bool(verdict.same)

    async def _ask(self, request: ModelRequest) -> ModelResponse:
        return await self._ctx.call("aggregator", request, model=self._model)
