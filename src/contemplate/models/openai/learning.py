"""Ask a server in its dialect, and learn it from what the server refuses, within the same call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.to_thread

from ..base import ModelResponse
from ..per_loop import PerLoop
from .completion import ReportedError
from .lesson_store import ModelLessons, page_of, write_down
from .lessons import Lesson, context_lesson, lesson_from, room_left
from .profile import Api, Profile
from .refusals import MAY_REFUSE, Refusal, may_refuse, refusal_of
from .transport import BadStatus

MAX_LESSONS = 8
MAX_ROUNDS = 2 * MAX_LESSONS
# How long others wait for the one that tries a new lesson; a whole answer may take longer than its acceptance.
PATIENCE = 5.0
UNHEEDED = Lesson(
    changes={"schema_form": "words"}, words="the server takes no notice of schemas; they are told in words"
)
# A longer prompt than that was answered.
OUTGROWN = Lesson(
    changes={"context_tokens": None, "tokens_per_estimate": None}, words="more fits into the context than was known"
)

# Of each event loop: who tries what was just learnt.
_turns: PerLoop[dict[ModelLessons, anyio.Lock]] = PerLoop("lessons", dict)


class Dialect:
    """The dialect of a model at an endpoint: what was stated or known of it, and what was learnt on top.

    Args:
        stated: the profile to start with.
        place: the endpoint, without secrets; None to share what is learnt with nobody.
        model: the server's name for the model.
        api: the API that was asked for, and is not to be changed by what is learnt; None for any.
    """

    def __init__(self, stated: Profile, place: str | None, model: str, *, api: Api | None = None) -> None:
        self._stated = stated
        self._model = model
        self._api = api
        self._page = ModelLessons("") if place is None else page_of(place, model)
        self._taught: tuple[Lesson, ...] = ()
        self._profile = stated

    @property
    def profile(self) -> Profile:
        """The profile in force. The same object until something is learnt."""
        lessons = self._page.lessons
        if lessons is not self._taught:
            profile = self._stated
            for lesson in lessons:
                profile = lesson.applied_to(profile)
            if self._api is not None:
                profile = profile.model_copy(update={"api": self._api})
            self._taught, self._profile = lessons, profile
        return self._profile

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What was learnt, from the first to the last."""
        return self._page.lessons

    def forbids(self, lesson: Lesson) -> bool:
        """Return whether a lesson would change what was asked for."""
        return self._api is not None and "api" in lesson.changes

    async def ask(self, asking: Asking) -> ModelResponse:
        """Return the response to a request, once the server does not refuse how it is written.

        The first refused call tries what it learnt, and others wait for it for a moment, so that all of them learn
        from one. What was learnt is a note on the response.

        Raises:
            TransportFailure: the call failed.
            BadCompletion: it failed, or its answer is not one.
        """
        response = await self._answered(asking)
        known, read = self.profile.context_tokens, response.usage.input_tokens
        # A number that is the estimate was not reported.
        if known is not None and read > known and read != asking.prompt_estimate:
            self._page.add(OUTGROWN, proven=self._page.proven)
            await self.write_down()
        if asking.unheeded and self.profile.schema_form != UNHEEDED.changes["schema_form"]:
            # The answer is paid for; the next one, such as its repair, will be of use.
            self._page.add(UNHEEDED, proven=True)
            await self.write_down()
            return _noted(response, [f"learnt from an answer: {UNHEEDED.words}"])
        return response

    async def _answered(self, asking: Asking) -> ModelResponse:
        page = self._page
        if not page.proven:
            return await _Call(self, page, asking).answered(None)
        profile = self.profile
        try:
            response = await asking.send(profile)
        except (BadStatus, ReportedError) as error:
            refusal = _refusal(error, asking)
            if refusal is None:
                raise
            return await _Call(self, page, asking).answered(_Failure(error, refusal, profile))
        if page.remembered:
            page.remembered = False
            return _noted(response, [f"known from earlier: {each.words}" for each in page.lessons])
        return response

    async def write_down(self) -> None:
        """Keep what was learnt for other processes, also if the call is cancelled."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(write_down, self._page)


class Asking(Protocol):
    """A request that can be made in any dialect."""

    @property
    def model(self) -> str:
        """The server's name for the model."""
        ...

    @property
    def begun(self) -> bool:
        """Whether the caller has received a part of the answer; then it is too late to ask again."""
        ...

    @property
    def unheeded(self) -> bool:
        """Whether the answer shows that the server takes no notice of schemas."""
        ...

    @property
    def prompt_estimate(self) -> int:
        """How many tokens the prompt is estimated to have."""
        ...

    def body(self, profile: Profile) -> Mapping[str, Any]:
        """Return the request as it is written in a dialect."""
        ...

    async def send(self, profile: Profile) -> ModelResponse:
        """Make the request in a dialect.

        Raises:
            TransportFailure: the call failed.
            BadCompletion: it failed, or its answer is not one.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """A refusal of a request that was written in `profile`."""

    error: BadStatus | ReportedError
    refusal: Refusal
    profile: Profile


class _Call:
    """One call that was refused, or that came while another one was trying what it learnt."""

    def __init__(self, dialect: Dialect, page: ModelLessons, asking: Asking) -> None:
        self._dialect = dialect
        self._page = page
        self._asking = asking
        self._notes: list[str] = []
        self._tried: list[Profile] = []
        self._lessons = 0
        self._room: int | None = None

    async def answered(self, outcome: _Failure | ModelResponse | None) -> ModelResponse:
        """Return the response, after at most eight lessons."""
        for _ in range(MAX_ROUNDS):
            async with _turn(self._page):
                outcome = await self._until_proven(outcome)
            if not isinstance(outcome, ModelResponse):
                outcome = await self._ask()
            if isinstance(outcome, ModelResponse):
                return _noted(outcome, self._notes)
        assert isinstance(outcome, _Failure)  # noqa: S101
        raise outcome.error

    async def _until_proven(self, outcome: _Failure | ModelResponse | None) -> _Failure | ModelResponse | None:
        """Learn from a refusal, and try what was learnt, until nothing is refused or others have learnt the same."""
        for _ in range(MAX_ROUNDS):
            if isinstance(outcome, _Failure) and (
                outcome.refusal.is_too_long or outcome.profile is self._dialect.profile
            ):
                await self._learn(outcome)
            if self._page.proven:
                break
            outcome = await self._try()
            if isinstance(outcome, ModelResponse):
                break
        return outcome

    async def _ask(self) -> _Failure | ModelResponse:
        profile = self._dialect.profile
        try:
            return await self._asking.send(_capped(profile, self._room))
        except (BadStatus, ReportedError) as error:
            refusal = _refusal(error, self._asking)
            if refusal is None:
                raise
            return _Failure(error, refusal, profile)

    async def _try(self) -> _Failure | ModelResponse:
        """Ask with what was just learnt, and let the others go on unless it is refused again."""
        refused = False
        try:
            outcome = await self._ask()
            refused = isinstance(outcome, _Failure)
        finally:
            self._page.proven = not refused
        if not refused:
            await self._dialect.write_down()
        return outcome

    async def _learn(self, failure: _Failure) -> None:
        """Learn from a refusal.

        Raises:
            BadStatus: nothing can be learnt from it, or only that the same is not to be asked again.
            ReportedError: the same.
        """
        self._tried.append(failure.profile)
        await self._learn_context(failure)
        body, refusal = self._asking.body(_capped(failure.profile, self._room)), failure.refusal
        room = room_left(refusal, body)
        if room is not None:
            self._room = room
            self._notes.append(f"the answer has at most {room} tokens, as no more fit beside the prompt")
            return
        lesson = None if self._lessons == MAX_LESSONS else lesson_from(refusal, body, failure.profile, self._tried)
        if lesson is not None and not self._dialect.forbids(lesson):
            self._lessons += 1
            self._page.add(lesson)
            self._notes.append(f"learnt from a refusal: {lesson.words}")
            if not self._dialect.profile.images and failure.profile.images:
                # What is asked may be in the image: it is not left out.
                self._page.proven = True
                await self._dialect.write_down()
                raise failure.error
        elif (
            self._page.remembered
            and refusal.status != MAY_REFUSE
            and refusal.is_about_the_form
            and not refusal.is_too_long
        ):
            # What is not understood may be due to what was learnt from another server at this place.
            self._page.forget()
            await self._dialect.write_down()
        else:
            self._page.proven = True
            raise failure.error

    async def _learn_context(self, failure: _Failure) -> None:
        """Keep how much fits, for the next prompts. This one is the caller's to shorten."""
        if not failure.refusal.is_too_long:
            return
        lesson = context_lesson(failure.refusal, self._asking.prompt_estimate, self._dialect.profile)
        if lesson is not None:
            self._page.add(lesson, proven=self._page.proven)
            await self._dialect.write_down()


@asynccontextmanager
async def _turn(page: ModelLessons) -> AsyncIterator[None]:
    """Let one call at a time go on from here, for as long as others are patient."""
    turns = _turns.here()
    lock = turns.setdefault(page, anyio.Lock())
    taken = False
    with anyio.move_on_after(PATIENCE):
        await lock.acquire()
        taken = True
    try:
        yield
    finally:
        if taken:
            lock.release()


def _refusal(error: BadStatus | ReportedError, asking: Asking) -> Refusal | None:
    """Return what a server says of a request that may be written in another way; None if it is not about that."""
    if asking.begun:
        return None
    if isinstance(error, ReportedError):
        return refusal_of(400, error.body, asking.model)
    return refusal_of(error.status, error.body, asking.model) if may_refuse(error.status) else None


def _capped(profile: Profile, room: int | None) -> Profile:
    if room is None:
        return profile
    return profile.model_copy(update={"max_output_tokens": min(room, profile.max_output_tokens or room)})


def _noted(response: ModelResponse, notes: list[str]) -> ModelResponse:
    return response.model_copy(update={"notes": (*response.notes, *notes)}) if notes else response
