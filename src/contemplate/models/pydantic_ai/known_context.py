"""How much fits into a model's context, learnt from refusals, and kept where what is learnt of other endpoints is."""

from __future__ import annotations

import anyio
import anyio.to_thread

from ...errors import ModelContextError
from ..base import ModelRequest, ModelResponse
from ..context_size import ContextSize
from ..openai.learning import OUTGROWN
from ..openai.lesson_store import page_of, write_down
from ..openai.lessons import Lesson, size_lesson
from ..openai.profile import PLAIN, Profile
from ..tokens import request_tokens


class KnownContext:
    """What is known of the context of a model at an endpoint; all objects for it in a process share it.

    Args:
        place: the endpoint, without secrets.
        model: the provider's name for the model.
    """

    def __init__(self, place: str, model: str) -> None:
        self._page = page_of(place, model)
        self._read: tuple[tuple[Lesson, ...], ContextSize | None] = ((), None)

    @property
    def size(self) -> ContextSize | None:
        """How much fits; None if unknown."""
        lessons = self._page.lessons
        if lessons is not self._read[0]:
            self._read = lessons, self._profile().context_size
        return self._read[1]

    async def learn(self, error: ModelContextError, request: ModelRequest) -> None:
        """Learn from the refusal of a prompt."""
        if not error.context_tokens:
            return
        lesson = size_lesson(error.context_tokens, error.prompt_tokens, request_tokens(request), self._profile())
        if lesson is not None:
            await self._add(lesson)

    async def compare(self, response: ModelResponse) -> None:
        """Forget what was learnt if a longer prompt was answered."""
        if self.size is not None and response.usage.input_tokens > self.size.tokens:
            await self._add(OUTGROWN)

    def _profile(self) -> Profile:
        profile = PLAIN
        for lesson in self._page.lessons:
            profile = lesson.applied_to(profile)
        return profile

    async def _add(self, lesson: Lesson) -> None:
        self._page.add(lesson, proven=True)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(write_down, self._page)
