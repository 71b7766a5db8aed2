"""Answers that runs have in common: equal requests are asked once, in whatever run, and the answer is kept.

A request is equal if the model's name, its wrappers and its address, the messages, the tools, the schema and the
settings are, those included that the model adds; the n-th of those in one place of a run has the n-th answer, as if the
run were alone. A sample is the answer of nobody else: what is asked above temperature 0, or at the provider's, counts
only if it has a seed.

A shared answer takes as long as it took when it was asked, and its usage counts as it did then: so the seconds of a
run, its deadline, its limits, and what a vote cuts off are as if it were alone. What failed or was cut off is no
answer.

The table is made on first use, so that versions of this package that know nothing of it read the journal as before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from ..errors import JournalError
from ..models import DeltaSink, Model, ModelRequest, ModelResponse
from ..models.wrappers.base import Wrapper, sent
from ..settings import ModelSettings
from ..usage import NOTHING, Usage
from .entries import digest_of, request_digest, request_pieces
from .journal import Journal, checksum_of
from .patience import in_thread
from .store import SQLConnection

# Seconds for which other writers are waited for: without its answer a call is only asked again.
PATIENCE = 1.0
PACKAGE = __name__.partition(".")[0]


class _Answer(NamedTuple):
    response: ModelResponse
    seconds: float


class SharedAnswers:
    """The answers in a journal that runs have in common, and what was spent on calls beside them.

    Equal requests that come at the same time are asked once in each event loop, as nobody can wait in another one.

    Attributes:
        spent: the usage of the calls that were made.
    """

    def __init__(self, journal: Journal) -> None:
        self.spent = NOTHING
        self._journal = journal
        self._asking: dict[tuple[EventLoopToken, str], anyio.Event] = {}

    def around(self, model: Model, nth: int) -> SharingModel:
        """Return `model` for one call, which is the `nth` of equal ones in its place."""
        return SharingModel(model, self, nth)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Let one at a time look for the answer to a request, and ask: others wait for the end of the block."""
        place = (current_token(), key)
        while place in self._asking:
            await self._asking[place].wait()
        self._asking[place] = anyio.Event()
        try:
            yield
        finally:
            self._asking.pop(place).set()

    async def find(self, key: str) -> _Answer | None:
        """Return the answer to a request; None if there is none, or it cannot be read."""
        try:
            return await in_thread(self._load, key)
        except JournalError:
            return None

    async def keep(self, key: str, answer: _Answer) -> None:
        """Keep an answer for others; where it cannot be written, they ask themselves."""
        # Shielded, as it is paid for.
        with anyio.CancelScope(shield=True):
            try:
                await in_thread(self._save, key, answer)
            except Exception:
                return

    def _load(self, key: str) -> _Answer | None:
        query, store = "SELECT seconds, body, checksum FROM answers WHERE digest = ?", self._journal.store

        def read(connection: SQLConnection) -> tuple[Any, ...] | None:
            return connection.execute(query, (key,)).fetchone() if store.has(connection, "answers") else None

        row = store.read(read, PATIENCE)
        if row is None:
            return None
        return _Answer(self._journal.checked(ModelResponse, "a shared answer", *row[1:]), row[0])

    def _save(self, key: str, answer: _Answer) -> None:
        body = answer.response.model_dump_json()
        row, store = (key, answer.seconds, body, checksum_of(body)), self._journal.store

        def write(connection: SQLConnection) -> None:
            store.make(connection, "answers")
            connection.execute(
                "INSERT INTO answers (digest, seconds, body, checksum) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row
            )

        store.write(write, PATIENCE)


class SharingModel(Wrapper):
    """A model for one call, which may have been answered before.

    Attributes:
        shared: whether the answer was not asked by this call.
    """

    def __init__(self, inner: Model, answers: SharedAnswers, nth: int) -> None:
        super().__init__(inner)
        self.shared = False
        self._answers = answers
        self._nth = nth

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered to an equal request, when it would have come; or ask.

        Raises:
            ModelError: the call failed.
        """
        whole = replace(request, settings=_settings_of(self.inner, request.settings))
        if whole.settings.temperature != 0 and whole.settings.seed is None:
            return await self.inner.request(request, on_delta)
        key = digest_of(request_digest(request_pieces(self.name, whole)), _made_of(self.inner), str(self._nth))
        began = anyio.current_time()
        # Also while it waits: whoever is cut off then has not asked.
        self.shared = True
        async with self._answers.alone(key):
            found = await self._answers.find(key)
            if found is None:
                self.shared = False
                return await self._asked(request, on_delta, key)
        await anyio.sleep_until(began + found.seconds)
        return found.response

    async def _asked(self, request: ModelRequest, on_delta: DeltaSink | None, key: str) -> ModelResponse:
        began = anyio.current_time()
        response = await sent(self.inner, request, on_delta)
        # What another model answered in its place says nothing of this one.
        if response.answered_by is None:
            await self._answers.keep(key, _Answer(response, anyio.current_time() - began))
        return response

    def book(self, usage: Usage) -> bool:
        """Add what the call cost to what was spent, and return True, if it was made."""
        if not self.shared:
            self._answers.spent += usage
        return not self.shared


def _settings_of(model: Model, settings: ModelSettings) -> ModelSettings:
    """Return the settings of a call with those that the model, or one within it, adds."""
    for each in _layers(model):
        own: object = getattr(each, "settings", None)
        settings = settings.over(own) if isinstance(own, ModelSettings) else settings
    return settings


def _made_of(model: Model) -> str:
    """Return what a model is beside its name: the wrappers around it, and where it is.

    Of a class that a user wrote the name says it: what its `repr` has may change from call to call.
    """
    *wrappers, innermost = _layers(model)
    kind = type(innermost)
    ours = str(getattr(kind.__repr__, "__module__", "")).startswith(f"{PACKAGE}.")
    return " ".join((*(type(each).__qualname__ for each in wrappers), repr(innermost) if ours else kind.__qualname__))


def _layers(model: Model) -> Iterator[Model]:
    """Yield a model, and those within it."""
    layer: Model | None = model
    while layer is not None:
        yield layer
        layer = getattr(layer, "inner", None)
