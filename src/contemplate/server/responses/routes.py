"""The routes of responses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route

from ...contemplator import Contemplator
from ...errors import JournalError
from ...models import ModelRequest
from ...models.tokens import request_tokens
from ..active_runs import ActiveRuns
from ..api_errors import invalid_body, invalid_request
from ..asgi_run import AsgiRun
from ..asked import Asked
from ..event_stream import STREAM_HEADERS
from ..served import Served
from ..visits import Visit
from .agents import BETA, MultiAgentWriter, without_agents
from .asking import asked_of, messages_of, offered
from .background import BackgroundRuns, KeptReply
from .conversation_routes import ConversationRoutes
from .items import Item, with_id
from .listing import number, page_of
from .parts import Api
from .replies import DONE, StreamedReply, WholeReply, json_response
from .requests import ENCRYPTED, Input, ResponsesRequest
from .resource import Response, new_response
from .store import Shelves, Store, StoredResponse
from .writer import ResponseWriter

ReadBody = Callable[[Request], Awaitable[bytes]]
Find = Callable[[str], Contemplator[Any]]
BodyT = TypeVar("BodyT", bound=Api)


class InputTokens(Api):
    """How many tokens a request has."""

    object: str = "response.input_tokens"
    input_tokens: int


class Deleted(Api):
    """A response that is no longer there."""

    id: str
    object: str = "response"
    deleted: bool = True


def responses_routes(find: Find, read_body: ReadBody, runs: ActiveRuns, served: Served) -> list[Route]:
    """Return the routes of responses and conversations.

    Args:
        find: returns the contemplator of a name, or raises a RequestError.
        read_body: reads the body of a request.
        runs: the runs that are going on.
        served: what is served.
    """
    shelves = Shelves(served.minds.values())
    here = _Responses(find, read_body, runs, served, shelves)
    one = "/v1/responses/{id}"
    return [
        Route("/v1/responses", here.create, methods=["POST"]),
        Route("/v1/responses/input_tokens", here.count, methods=["POST"]),
        Route(one, here.retrieve, methods=["GET"]),
        Route(one, here.delete, methods=["DELETE"]),
        Route(f"{one}/cancel", here.cancel, methods=["POST"]),
        Route(f"{one}/input_items", here.input_items, methods=["GET"]),
        *ConversationRoutes(read_body, shelves).routes(),
    ]


class _Responses:
    def __init__(self, find: Find, read_body: ReadBody, runs: ActiveRuns, served: Served, shelves: Shelves) -> None:
        self._find = find
        self._read_body = read_body
        self._runs = runs
        self._served = served
        self._shelves = shelves
        self._background = BackgroundRuns(runs)

    async def create(self, request: Request) -> AsgiRun | HttpResponse:
        body = await read(ResponsesRequest, request, self._read_body)
        mind = self._find(body.model)
        if body.background and not body.store:
            raise invalid_request("background: what is not stored cannot be fetched later", param="background")
        response, store = new_response(body, offered(body)), self._store(request)
        said = await store.resolved(body.input, "input")
        asked = asked_of(body, mind, (*await _before(body, store), *said), response.id)
        asked = self._served.with_effort(asked, body.reasoning.effort)
        wants_agents = _knows_agents(request) if body.multi_agent is None else body.multi_agent.enabled
        writer = (MultiAgentWriter if wants_agents else ResponseWriter)(response, encrypted=ENCRYPTED in body.include)
        given = numbered(said, response.id.removeprefix("resp_"))
        if body.background:
            reply = await self._in_background(mind, asked, writer, given, store, Visit.of(request.scope))
            return _events(reply.follow(-1)) if body.stream else json_response(reply.queued)

        async def keep(made: Response) -> None:
            await _keep(store, mind, made, given)

        return AsgiRun(asked, partial(StreamedReply if body.stream else WholeReply, writer, keep), self._runs)

    def _store(self, request: Request) -> Store:
        return Store(self._shelves, Visit.of(request.scope).owner)

    async def _in_background(
        self,
        mind: Contemplator[Any],
        asked: Asked,
        writer: ResponseWriter,
        given: tuple[Item, ...],
        store: Store,
        visit: Visit,
    ) -> KeptReply:
        async def keep(made: Response, events: tuple[str, ...]) -> None:
            await _keep(store, mind, made, given, events)

        reply = KeptReply(writer, keep)
        await self._background.start(store.name(writer.response.id), asked, reply, mind.journal, visit)
        return reply

    async def retrieve(self, request: Request) -> HttpResponse:
        id_ = request.path_params["id"]
        stream = request.query_params.get("stream", "false").lower() in ("true", "1")
        after = number(request, "starting_after", -1)
        store = self._store(request)
        reply = self._background.get(store.name(id_))
        if reply is not None:
            return _events(reply.follow(after)) if stream else json_response(reply.response)
        stored = await store.response(id_)
        if not stream:
            return json_response(stored.response if _knows_agents(request) else without_agents(stored.response))
        if not stored.response.background:
            message = "stream: only a response that was made in the background can be streamed later"
            raise invalid_request(message, param="stream")
        return _events(_told(stored.events[after + 1 :]))

    async def delete(self, request: Request) -> HttpResponse:
        id_, store = request.path_params["id"], self._store(request)
        await self._background.cancel(store.name(id_))
        await store.response(id_)
        await store.forget(id_)
        return json_response(Deleted(id=id_))

    async def cancel(self, request: Request) -> HttpResponse:
        id_, store = request.path_params["id"], self._store(request)
        await self._background.cancel(store.name(id_))
        stored = await store.response(id_)
        if not stored.response.background:
            raise invalid_request("only a response that was made in the background can be cancelled")
        return json_response(stored.response)

    async def input_items(self, request: Request) -> HttpResponse:
        store = self._store(request)
        stored = await store.response(request.path_params["id"])
        previous = stored.response.previous_response_id
        before = await store.before(previous) if previous is not None else ()
        return json_response(page_of((*before, *stored.input), request))

    async def count(self, request: Request) -> HttpResponse:
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


async def _before(body: Input, store: Store) -> tuple[Item, ...]:
    if body.conversation is not None and body.previous_response_id is not None:
        raise invalid_request("conversation: it cannot go with previous_response_id", param="conversation")
    if body.conversation is not None:
        return (await store.conversation(body.conversation.id)).items
    if body.previous_response_id is not None:
        return await store.before(body.previous_response_id)
    return ()


async def _keep(
    store: Store, mind: Contemplator[Any], made: Response, given: tuple[Item, ...], events: tuple[str, ...] = ()
) -> None:
    """Keep a response; what cannot be kept is told all the same, as it is paid for."""
    try:
        if made.store:
            await store.keep(mind, StoredResponse(response=made, input=given, events=events))
        if made.conversation is not None and made.status in ("completed", "incomplete"):
            added = (*given, *without_agents(made).output)
            await store.change_conversation(
                made.conversation.id, lambda found: found.model_copy(update={"items": (*found.items, *added)})
            )
    except JournalError as error:
        if not made.over:
            raise
        logging.getLogger("contemplate.server").error("response %s could not be stored", made.id, exc_info=error)


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
