"""What is kept of responses and conversations: in the journal if there is one; else in memory, as long as it fits.

Whose it is, is a part of the name under which it is kept: what one key has made is not there for another one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from anyio import to_thread

from ...contemplator import Contemplator
from ...errors import JournalError
from ...journal.documents import Change, JournalDocuments
from ..api_errors import SERVER_STOPPED, Failure, RequestError, invalid_request, server_error
from ..settings import ServerSettings
from .agents import without_agents
from .compaction import expanded
from .conversation import Conversation
from .events import frame
from .item_input import Compaction, InputItem, ItemReference
from .items import Item, Reasoning, owner_of
from .parts import Api
from .resource import Response
from .schema import ResponsesRequest
from .writer import ResponseWriter

MAX_BYTES = 64 * 1024 * 1024

# How often what is old is deleted.
PRUNE_SECONDS = 3600.0
DAY = 86_400.0
_WORK = "work:"

# Where no server goes on with a response: its run was one of too many, or the server knows nothing of such work.
_STOPPED = server_error("the server was stopped before the answer was there", status=503, code=SERVER_STOPPED)

T = TypeVar("T")


class StoredResponse(Api):
    """A response with what was asked.

    Args:
        input: the items of its request.
        events: those of its stream, if it was made in the background.
    """

    response: Response
    input: tuple[Item, ...] = ()
    events: tuple[str, ...] = ()


class Work(Api):
    """What is needed to go on with a response in the background that its server has left.

    Args:
        body: its request, without the input.
        wanted: the limits that its client asked for.
        agents: whether it tells of agents.
    """

    body: ResponsesRequest
    wanted: str = ""
    agents: bool = False


class Documents(Protocol):
    """Texts by name. Every method blocks."""

    def get(self, name: str) -> str | None:
        """Return the document `name`; None if there is none."""
        ...

    def change(self, name: str, change: Change) -> str | None:
        """Replace the document `name` by what `change` makes of it, and return what was there."""
        ...


class MemoryDocuments:
    """Documents in memory; those that were not used for the longest time are forgotten for newer ones."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> str | None:
        """Return the document `name`; None if there is none."""
        with self._lock:
            if name in self._texts:
                self._texts.move_to_end(name)
            return self._texts.get(name)

    def change(self, name: str, change: Change) -> str | None:
        """Replace the document `name` by what `change` makes of it, and return what was there."""
        with self._lock:
            before = self._texts.get(name)
            after = change(before)
            if before is not None:
                self._bytes -= len(self._texts.pop(name))
            if after is not None:
                self._texts[name] = after
                self._bytes += len(after)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._texts.popitem(last=False)[1])
            return before


class Shelves:
    """Where the responses and conversations of some contemplators are kept.

    A response is kept in its contemplator's journal, a conversation in the first journal that there is.

    Args:
        minds: the contemplators.
        settings: how long, and how many are kept.
    """

    def __init__(self, minds: Iterable[Contemplator[Any]], settings: ServerSettings) -> None:
        self._settings = settings
        self._pruned = time.monotonic()
        self.memory = MemoryDocuments()
        self.journals: dict[int, JournalDocuments] = {}
        for mind in minds:
            if mind.journal is not None:
                self.journals.setdefault(id(mind.journal), JournalDocuments(mind.journal))

    @property
    def all(self) -> tuple[Documents, ...]:
        """All of them, the journals first."""
        return (*self.journals.values(), self.memory)

    def of(self, mind: Contemplator[Any]) -> Documents:
        """Return where responses of `mind` are kept."""
        return self.memory if mind.journal is None else self.journals[id(mind.journal)]

    def prune(self) -> None:
        """Delete what is too old, or too much, in the journals. It blocks."""
        self._pruned = time.monotonic()
        for each in self.journals.values():
            each.prune(self._settings.store_days * DAY, self._settings.store_most)

    def prune_now_and_then(self) -> None:
        """Do so if that was not done for an hour."""
        if time.monotonic() - self._pruned >= PRUNE_SECONDS:
            self.prune()

    def unfinished(self) -> list[tuple[JournalDocuments, str]]:
        """Return where, and under which names, there are responses that a server has left. It blocks."""
        return [
            (each, name.removeprefix(_WORK))
            for each in self.journals.values()
            for name in each.names(_WORK)
            if not _is_made(each, name.rpartition("/")[2].removeprefix(_WORK))
        ]


class Store:
    """The responses and conversations of one owner, who is told of no others.

    Args:
        shelves: where they are kept.
        owner: the name of the key with which they are asked for; "" for all who need none.
    """

    def __init__(self, shelves: Shelves, owner: str) -> None:
        self._shelves = shelves
        self._owner = owner

    def name(self, id_: str) -> str:
        """Return the name under which the response or conversation `id_` is kept."""
        return f"{self._owner}/{id_}" if self._owner else id_

    async def response(self, id_: str) -> StoredResponse:
        """Return a response.

        Raises:
            RequestError: there is none of this id.
        """
        return await self._in_thread(lambda: self._response(id_))

    async def before(self, id_: str) -> tuple[Item, ...]:
        """Return the conversation up to and with the response `id_`, oldest item first.

        Raises:
            RequestError: it, or one before it, is not there, or not finished.
        """
        return await self._in_thread(lambda: self._before(id_))

    async def keep(self, mind: Contemplator[Any], stored: StoredResponse, work: Work | None = None) -> None:
        """Keep a response, in place of its earlier state, and the work on it for as long as it is not over."""
        body = stored.model_dump_json(by_alias=True)
        documents, name = self._shelves.of(mind), self.name(stored.response.id)

        def keep() -> None:
            documents.change(name, lambda _: body)
            if stored.response.background:
                left = None if work is None or stored.response.over else work.model_dump_json(by_alias=True)
                documents.change(_WORK + name, lambda _: left)
            self._shelves.prune_now_and_then()

        await self._in_thread(keep)

    async def left(self, documents: JournalDocuments, id_: str) -> tuple[StoredResponse, Work] | None:
        """Return a response that a server has left, with the work on it; None if it is not there, or over."""

        def read() -> tuple[StoredResponse, Work] | None:
            body, work = (documents.get(each) for each in (self.name(id_), _WORK + self.name(id_)))
            if body is None or work is None:
                return None
            stored = StoredResponse.model_validate_json(body)
            return None if stored.response.over else (stored, Work.model_validate_json(work))

        return await self._in_thread(read)

    async def abandoned(self, id_: str) -> JournalDocuments | None:
        """Return where there is a response that a server has left; None if there is none, or somebody makes it."""
        shelves = self._shelves

        def find() -> JournalDocuments | None:
            there = (each for each in shelves.journals.values() if each.get(_WORK + self.name(id_)) is not None)
            found = next(there, None)
            return None if found is None or _is_made(found, id_) else found

        return await self._in_thread(find)

    async def fail(self, documents: JournalDocuments, stored: StoredResponse, why: Failure) -> None:
        """Keep a response as failed."""
        await self._in_thread(lambda: _failed(documents, self.name(stored.response.id), stored, why))

    async def forget(self, id_: str) -> bool:
        """Delete a response or a conversation, and return whether there was one."""
        names = self.name(id_), _WORK + self.name(id_)

        def forget() -> list[str | None]:
            self._shelves.prune_now_and_then()
            return [each.change(name, lambda _: None) for each in self._shelves.all for name in names]

        found = await self._in_thread(forget)
        return any(each is not None for each in found)

    async def conversation(self, id_: str) -> Conversation:
        """Return a conversation.

        Raises:
            RequestError: there is none of this id.
        """
        return await self.change_conversation(id_, lambda found: found)

    async def change_conversation(self, id_: str, change: Callable[[Conversation], Conversation]) -> Conversation:
        """Replace a conversation by what `change` makes of it, and return that.

        Raises:
            RequestError: there is none of this id.
        """
        changed: list[Conversation] = []

        def changing(body: str | None) -> str:
            if body is None:
                raise missing("conversation", id_)
            changed.append(change(Conversation.model_validate_json(body)))
            return changed[0].model_dump_json(by_alias=True)

        if not id_.startswith("conv_"):
            raise missing("conversation", id_)
        await self._in_thread(lambda: self._shelves.all[0].change(self.name(id_), changing))
        return changed[0]

    async def add_conversation(self, conversation: Conversation) -> None:
        """Keep a new conversation."""
        body = conversation.model_dump_json(by_alias=True)
        name = self.name(conversation.id)
        await self._in_thread(lambda: self._shelves.all[0].change(name, lambda _: body))

    async def resolved(self, items: Iterable[InputItem], param: str) -> tuple[Item, ...]:
        """Return items with what references and compactions stand for in their place, and without those to be ignored.

        Raises:
            RequestError: there is no such item, or a compaction cannot be read.
        """
        found: list[Item] = []
        for place, item in enumerate(items):
            if isinstance(item, ItemReference):
                referred = await self._in_thread(lambda item=item: self._referred(item.id))  # type: ignore[misc]
                if referred is None:
                    raise invalid_request(f"{param}[{place}]: there is no item {item.id!r}", param=f"{param}[{place}]")
                found.append(referred)
            elif isinstance(item, Compaction):
                found = expanded(found, item, f"{param}[{place}]")
            elif item.type != "ignored":
                found.append(item)
        return tuple(found)

    def _response(self, id_: str) -> StoredResponse:
        for documents in self._shelves.all:
            body = documents.get(self.name(id_)) if id_.startswith("resp_") else None
            if body is not None:
                stored = StoredResponse.model_validate_json(body)
                over = stored.response.over or _is_made(documents, id_)
                return stored if over else _failed(documents, self.name(id_), stored, _STOPPED)
        raise missing("response", id_)

    def _before(self, id_: str) -> tuple[Item, ...]:
        chain: list[StoredResponse] = []
        following: str | None = id_
        while following is not None:
            try:
                chain.append(self._response(following))
            except RequestError:
                raise missing("response", following, "previous_response_id") from None
            if not chain[-1].response.over:
                message = f"response {following!r} is not finished"
                raise invalid_request(message, param="previous_response_id", code="previous_response_not_finished")
            following = chain[-1].response.previous_response_id
        return tuple(item for each in reversed(chain) for item in (*each.input, *without_agents(each.response).output))

    def _referred(self, id_: str) -> Item | None:
        try:
            stored = self._response(f"resp_{owner_of(id_)}")
        except RequestError:
            # Reasoning is not needed, wherever it is.
            return Reasoning(id=id_) if id_.startswith("rs_") else None
        return next((each for each in (*stored.input, *stored.response.output) if each.id == id_), None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._shelves.journals:
            return work()
        return await to_thread.run_sync(work)


def _is_made(documents: Documents, id_: str) -> bool:
    """Return whether somebody makes a response that is not whole: who does so holds its lock."""
    if not isinstance(documents, JournalDocuments):
        return True
    try:
        with documents.journal.hold(id_):
            return False
    except JournalError:
        return True


def _failed(documents: Documents, name: str, stored: StoredResponse, why: Failure) -> StoredResponse:
    """Return a response as failed, and keep it so."""
    failed = ResponseWriter(stored.response, events=len(stored.events))
    told = [frame(each).decode() for each in failed.fail(why)]
    left = stored.model_copy(update={"response": failed.response, "events": (*stored.events, *told)})
    body = left.model_dump_json(by_alias=True)
    documents.change(name, lambda found: body if found is not None else None)
    documents.change(_WORK + name, lambda _: None)
    return left


def missing(what: str, id_: str, param: str | None = None) -> RequestError:
    """Return the error for an id under which nothing is kept."""
    code = "previous_response_not_found" if param else "not_found"
    return invalid_request(f"there is no {what} {id_!r}", status=400 if param else 404, param=param, code=code)
