"""The routes of responses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route

from ...contemplator import Contemplator
from ...errors import JournalError
from ...journal.documents import JournalDocuments
from ...models import ModelRequest
from ...models.tokens import request_tokens
from ..active_runs import ActiveRuns
from ..api_errors import RequestError, invalid_body, invalid_request
from ..asgi_run import AsgiRun
from ..effort import Served
from ..event_stream import STREAM_HEADERS
from ..neutral_request import Asked
from ..settings import ServerSettings
from ..visits import Count, Visit
from .agents import BETA, MultiAgentWriter, without_agents
from .background import BackgroundRuns, KeptReply
from .compaction import compacted
from .conversation_routes import ConversationRoutes
from .items import Item, with_id
from .pagination import number, page_of
from .parts import Api
from .replies import DONE, StreamedReply, WholeReply, json_response
from .requests import asked_of, messages_of, offered
from .resource import Response, new_response
from .schema import ENCRYPTED, Input, ResponsesRequest
from .store import Shelves, Store, StoredResponse, Work
from .writer import ResponseWriter

ReadBody = Callable[[Request], Awaitable[bytes]]
Find = Callable[[str], Contemplator[Any]]
BodyT = TypeVar("BodyT", bound=Api)

_log = logging.getLogger("contemplate.server")
# As many as other runs have.
_RUN_ID_DIGITS = 12


class InputTokens(Api):
    """How many tokens a request has."""

    object: str = "response.input_tokens"
    input_tokens: int


class DeletedResponse(Api):
    """A response that is no longer there."""

    id: str
    object: str = "response"
    deleted: bool = True


class ResponsesRoutes:
    """Responses and conversations.

    Args:
        find: returns the contemplator of a name, or raises a RequestError.
        read_body: reads the body of a request.
        runs: the runs that are going on.
        served: what is served.
        settings: the server's.
        count: is told of each run in the background that is over.
    """

    def __init__(
        self, find: Find, read_body: ReadBody, runs: ActiveRuns, served: Served, settings: ServerSettings, count: Count
    ) -> None:
        self._find = find
        self._read_body = read_body
        self._runs = runs
        self._served = served
        self._settings = settings
        self._shelves = Shelves(served.minds.values(), settings)
        self._background = BackgroundRuns(runs, count)
        self._adopting = anyio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/v1/responses/{id}"
        return [
            Route("/v1/responses", self.create, methods=["POST"]),
            Route("/v1/responses/input_tokens", self.count, methods=["POST"]),
            Route("/v1/responses/compact", self.compact, methods=["POST"]),
            Route(one, self.retrieve, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
            Route(f"{one}/input_items", self.input_items, methods=["GET"]),
            *ConversationRoutes(self._read_body, self._shelves).routes(),
        ]

    async def create(self, request: Request) -> AsgiRun | HttpResponse:
        """Make a response."""
        body = await read(ResponsesRequest, request, self._read_body)
        mind = self._find(body.model)
        if body.background and not body.store:
            raise invalid_request("background: what is not stored cannot be fetched later", param="background")
        response, store, visit = new_response(body, offered(body)), self._store(request), Visit.of(request.scope)
        said = await store.resolved(body.input, "input")
        asked = await self._asked(body, store, said, response.id)
        wants_agents = _knows_agents(request) if body.multi_agent is None else body.multi_agent.enabled
        work = Work(body=body.model_copy(update={"input": ()}), wanted=visit.wanted, agents=wants_agents)
        writer = _writer(work, response)
        given = numbered(said, response.id.removeprefix("resp_"))
        if body.background:
            reply = KeptReply(writer, partial(_keep, store, mind, given, work), lasting=mind.journal is not None)
            await reply.begin()
            self._background.start(store.name(response.id), asked, reply, mind.journal, visit)
            return _events(reply.follow(-1)) if body.stream else json_response(reply.queued)

        async def keep(made: Response) -> None:
            await _keep(store, mind, given, work, made)

        return AsgiRun(asked, partial(StreamedReply if body.stream else WholeReply, writer, keep), self._runs)

    async def go_on(self) -> None:
        """Go on with the runs in the background that another server has left, but for more than may go on at once."""
        if not self._shelves.journals:
            return
        try:
            await to_thread.run_sync(self._shelves.prune)
            left = await to_thread.run_sync(self._shelves.unfinished)
            for documents, name in left[: self._settings.max_runs]:
                try:
                    await self._go_on(documents, name)
                except ValidationError as error:
                    _log.error("response %s was left by another version", name, exc_info=error)
        except JournalError as error:
            _log.error("runs in the background could not be found again", exc_info=error)

    async def _go_on(self, documents: JournalDocuments, name: str) -> None:
        owner, _, id_ = name.rpartition("/")
        store = Store(self._shelves, owner)
        found = await store.left(documents, id_)
        if found is None:
            return
        stored, work = found
        key = next((each for each in self._settings.keys if each.name == owner), None)
        visit = Visit(settings=self._settings, wanted=work.wanted, key=key)
        try:
            mind = self._find(work.body.model)
            if owner and key is None:
                raise invalid_request(f"the key {owner!r} is no longer one of this server's", status=401)
            asked = await self._asked(work.body, store, stored.input, id_)
        except RequestError as error:
            await store.fail(documents, stored, error.failure)
            return
        writer = _writer(work, stored.response, len(stored.events))
        keep = partial(_keep, store, mind, stored.input, work)
        reply = KeptReply(writer, keep, lasting=True, frames=stored.events)
        self._background.start(name, asked, reply, documents.journal, visit)

    async def _asked(self, body: ResponsesRequest, store: Store, said: Iterable[Item], id_: str) -> Asked:
        asked = asked_of(body, self._find(body.model), (*await _before(body, store), *said), id_)
        if body.background:
            asked = replace(asked, run_id=_run_of(id_))
        return self._served.with_effort(asked, body.reasoning.effort)

    def _store(self, request: Request) -> Store:
        return Store(self._shelves, Visit.of(request.scope).owner)

    async def retrieve(self, request: Request) -> HttpResponse:
        """Return a response, or tell its events."""
        id_ = request.path_params["id"]
        stream = request.query_params.get("stream", "false").lower() in ("true", "1")
        after = number(request, "starting_after", -1)
        store = self._store(request)
        await self._adopt(store, id_)
        reply = self._background.get(store.name(id_))
        if reply is not None:
            return _events(reply.follow(after)) if stream else json_response(reply.response)
        stored = await store.response(id_)
        if not stream:
            return json_response(stored.response if _knows_agents(request) else without_agents(stored.response))
        if not stored.response.background:
            message = "stream: only a response that was made in the background can be streamed later"
            raise invalid_request(message, param="stream")
        return _events(_told(stored.events[after + 1 :] if after < len(stored.events) else stored.events[-1:]))

    async def delete(self, request: Request) -> HttpResponse:
        """Delete a response, and cancel its run."""
        id_, store = request.path_params["id"], self._store(request)
        await self._end(store, id_)
        await store.forget(id_)
        return json_response(DeletedResponse(id=id_))

    async def cancel(self, request: Request) -> HttpResponse:
        """Cancel a run in the background."""
        id_, store = request.path_params["id"], self._store(request)
        stored = await self._end(store, id_)
        if not stored.response.background:
            raise invalid_request("only a response that was made in the background can be cancelled")
        return json_response(stored.response)

    async def _end(self, store: Store, id_: str) -> StoredResponse:
        """End the run of a response, if it goes on, wherever it does, and return the response."""
        await self._adopt(store, id_)
        await self._background.cancel(store.name(id_))
        stored = await store.response(id_)
        if not stored.response.over:
            # Another server waits for it, and will tell.
            await self._runs.runner.cancel(_run_of(id_))
        return stored

    async def _adopt(self, store: Store, id_: str) -> None:
        """Go on with a response that another server has left, whose run is somewhere else and goes on."""
        name = store.name(id_)
        if not self._runs.runner.outlives_server or self._background.get(name) is not None:
            return
        documents = await store.abandoned(id_)
        async with self._adopting:
            if documents is not None and self._background.get(name) is None:
                await self._go_on(documents, name)

    async def input_items(self, request: Request) -> HttpResponse:
        """Return what a response was made of."""
        store = self._store(request)
        stored = await store.response(request.path_params["id"])
        previous = stored.response.previous_response_id
        before = await store.before(previous) if previous is not None else ()
        return json_response(page_of((*before, *stored.input), request))

    async def compact(self, request: Request) -> HttpResponse:
        """Return a conversation as a client keeps it unread."""
        body = await read(Input, request, self._read_body)
        store = self._store(request)
        self._find(body.model)
        return json_response(compacted((*await _before(body, store), *await store.resolved(body.input, "input"))))

    async def count(self, request: Request) -> HttpResponse:
        """Count the tokens of a request."""
        body = await read(Input, request, self._read_body)
        store = self._store(request)
        said = (*await _before(body, store), *await store.resolved(body.input, "input"))
        tools = "".join(each.model_dump_json() for each in body.tools)
        messages = (*messages_of(body, said),)
        return json_response(InputTokens(input_tokens=request_tokens(ModelRequest(messages)) + len(tools) // 4))


async def read(kind: type[BodyT], request: Request, read_body: ReadBody) -> BodyT:
    """Return the body of `request`.

    Raises:
        RequestError: it is none.
    """
    try:
        return kind.model_validate_json(await read_body(request))
    except ValidationError as error:
        raise invalid_body(error) from None


def _run_of(id_: str) -> str:
    """Return the id of the run in the background that makes a response."""
    return id_.removeprefix("resp_")[:_RUN_ID_DIGITS]


async def _before(body: Input, store: Store) -> tuple[Item, ...]:
    if body.conversation is not None and body.previous_response_id is not None:
        raise invalid_request("conversation: it cannot go with previous_response_id", param="conversation")
    if body.conversation is not None:
        return (await store.conversation(body.conversation.id)).items
    if body.previous_response_id is not None:
        return await store.before(body.previous_response_id)
    return ()


async def _keep(
    store: Store,
    mind: Contemplator[Any],
    given: tuple[Item, ...],
    work: Work,
    made: Response,
    events: tuple[str, ...] = (),
) -> None:
    """Keep a response; what cannot be kept is told all the same, as it is paid for."""
    try:
        if made.store:
            await store.keep(mind, StoredResponse(response=made, input=given, events=events), work)
        if made.conversation is not None and made.status in ("completed", "incomplete"):
            added = (*given, *without_agents(made).output)
            await store.change_conversation(
                made.conversation.id, lambda found: found.model_copy(update={"items": (*found.items, *added)})
            )
    except JournalError as error:
        if not made.over:
            raise
        _log.error("response %s could not be stored", made.id, exc_info=error)


def _writer(work: Work, response: Response, events: int = 0) -> ResponseWriter:
    kind = MultiAgentWriter if work.agents else ResponseWriter
    return kind(response, encrypted=ENCRYPTED in work.body.include, events=events)


def numbered(items: Iterable[Item], owner: str) -> tuple[Item, ...]:
    """Return items with ids."""
    return tuple(with_id(each, owner, f"i{place}") for place, each in enumerate(items))


def _knows_agents(request: Request) -> bool:
    return BETA in request.headers.get("openai-beta", "")


def _events(frames: AsyncIterator[str]) -> HttpResponse:
    async def body() -> AsyncIterator[bytes]:
        async for each in frames:
            yield each.encode()
        yield DONE

    headers = {name.decode(): value.decode() for name, value in STREAM_HEADERS}
    return StreamingResponse(body(), headers=headers)


async def _told(events: Iterable[str]) -> AsyncIterator[str]:
    for each in events:
        yield each
