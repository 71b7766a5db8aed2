"""The routes: `/v1/chat/completions`, `/v1/models` and `/healthz`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import time
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..contemplator import Contemplator
from ..errors import ConfigurationError
from .api_errors import INTERNAL, RequestError, invalid_body, invalid_request, server_error
from .asgi_run import ActiveRuns, AsgiRun
from .chat.replies import StreamedReply, WholeReply, error_response
from .chat.requests import asked_of
from .chat.schema import ChatRequest, ModelCard, ModelList
from .responses.routes import responses_routes

MAX_BODY_BYTES = 32 * 1024 * 1024

Minds = Mapping[str, Contemplator[Any]]


def create_app(minds: Minds, *, allowed_hosts: Sequence[str] | None = None) -> Starlette:
    """Return an ASGI application that offers each of `minds` as a model, under its name.

    It knows no users: whoever reaches it can spend your tokens.

    Args:
        minds: contemplators by the names by which clients ask for them.
        allowed_hosts: what a request's `Host` header may say, as for Starlette's `TrustedHostMiddleware`; anything if
            None. On a loopback address, name it here: it keeps web pages out that pretend to be your own host.

    Raises:
        ConfigurationError: there are no minds.
    """
    return build_app(minds, ActiveRuns(), allowed_hosts=allowed_hosts)


def build_app(minds: Minds, runs: ActiveRuns, *, allowed_hosts: Sequence[str] | None = None) -> Starlette:
    """Return the same application; `runs` lets the caller end its runs."""
    if not minds:
        raise ConfigurationError("there is nothing to serve", hint='create_app({"contemplate": Contemplator()})')
    backend = _Backend(minds, runs)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with keep_connections(minds):
            yield

    return Starlette(
        routes=[
            Route("/healthz", backend.health),
            Route("/v1/models", backend.models),
            Route("/v1/models/{model:path}", backend.model),
            Route("/v1/chat/completions", backend.chat, methods=["POST"]),
            *responses_routes(backend.mind, read_body, runs, minds.values()),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts, www_redirect=False)],
        exception_handlers=dict.fromkeys((RequestError, HTTPException, ClientDisconnect, Exception), _error_response),
        lifespan=lifespan,
    )


@asynccontextmanager
async def keep_connections(minds: Minds) -> AsyncIterator[None]:
    """Keep the connections and toolsets of all minds from one run to the next."""
    async with AsyncExitStack() as stack:
        for mind in {id(mind): mind for mind in minds.values()}.values():
            await stack.enter_async_context(mind)
        yield


class _Backend:
    def __init__(self, minds: Minds, runs: ActiveRuns) -> None:
        self._minds = dict(minds)
        self._runs = runs
        self._created = int(time())

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        return _json(ModelList(data=tuple(map(self._card, self._minds))))

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        self.mind(name)
        return _json(self._card(name))

    async def chat(self, request: Request) -> AsgiRun:
        try:
            body = ChatRequest.model_validate_json(await read_body(request))
        except ValidationError as error:
            raise invalid_body(error) from None
        asked = asked_of(body, self.mind(body.model))
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        reply = partial(StreamedReply, body.model, usage) if body.stream else partial(WholeReply, body.model)
        return AsgiRun(asked, reply, self._runs)

    def mind(self, name: str) -> Contemplator[Any]:
        if name not in self._minds:
            message = f"there is no model {name!r}; there are: {', '.join(self._minds)}"
            raise invalid_request(message, status=404, param="model", code="model_not_found")
        return self._minds[name]

    def _card(self, name: str) -> ModelCard:
        return ModelCard(id=name, created=self._created)


async def read_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        RequestError: it is not JSON, or too large.
    """
    # A web page can send text or a form to any address without being asked, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid_request("the request's Content-Type must be application/json", status=415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise invalid_request(
                f"the body is larger than {MAX_BODY_BYTES >> 20} MiB", status=413, code="request_too_large"
            )
    return bytes(body)


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")


async def _error_response(request: Request, error: Exception) -> Response:
    match error:
        case RequestError():
            return error_response(error.failure)
        case HTTPException():
            message = f"{request.method} {request.url.path}: {error.detail}"
            response = error_response(invalid_request(message, status=error.status_code).failure)
            response.headers.update(error.headers or {})
            return response
        case ClientDisconnect():
            return Response(status_code=400)
    return error_response(server_error(INTERNAL, code="internal_error"))
