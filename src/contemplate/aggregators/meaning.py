"""Free text, sorted by what it says: a model is asked whether two answers say the same."""

from __future__ import annotations

from ..agents.output import parsed, with_schema
from ..answers.markers import marked_answer
from ..data import Data
from ..errors import ModelError, OutputError
from ..messages import Message
from ..models import Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced, render
from ..result import TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..settings import ModelSettings

MAX_REPAIRS = 1


class _Verdict(Data):
    same: bool


_VERDICT = OutputType(_Verdict)


class Meanings:
    """Sorts answers into groups; each is compared with the first member of each group, in the order of the groups.

    Judged equivalence is not transitive, so that the order of the answers matters: give them in that of their launch.
    A key that was sorted once is never asked about again. A judge that fails has not said that two are the same.
    """

    def __init__(self, question: str, ctx: RunContext, model: str | Model | None, settings: ModelSettings) -> None:
        self._question = question
        self._ctx = ctx
        self._model = model
        self._settings = settings
        self._firsts: dict[str, str] = {}
        self._group_of: dict[str, str] = {}

    def known(self, key: str) -> str:
        """The group of a key that was sorted before; else one of its own."""
        return self._group_of.get(key, key)

    async def group(self, key: str, result: TaskResult) -> str:
        """The key of the first answer that says what `result` says; `key` if none does.

        Raises:
            LimitExceeded: a limit leaves no room for asking.
        """
        if key not in self._group_of:
            said = marked_answer(result.text) or result.text
            self._group_of[key] = await self._sorted(key, said)
        return self._group_of[key]

    async def _sorted(self, key: str, said: str) -> str:
        for group, first in self._firsts.items():
            if await self._same(first, said):
                return group
        self._firsts[key] = said
        return key

    async def _same(self, one: str, other: str) -> bool:
        texts = [("answer 1", one), ("answer 2", other)]
        mark = fence_mark(self._ctx.run_id, texts)
        said = render("same_meaning", question=self._question, mark=mark, answers=fenced(texts, mark))
        request = with_schema(ModelRequest((Message.user(said),), self._settings), _VERDICT)
        try:
            verdict, _ = await parsed(await self._ask(request), request, self._ask, _VERDICT, repairs=MAX_REPAIRS)
        except (ModelError, OutputError) as error:
            self._ctx.note(f"two answers count as different, as the judge failed: {error.message}")
            return False
        return bool(verdict.same)

    async def _ask(self, request: ModelRequest) -> ModelResponse:
        return await self._ctx.call("aggregator", request, model=self._model)
