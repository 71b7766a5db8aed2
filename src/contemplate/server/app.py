"""The routes: `/v1/chat/completions`, `/v1/messages`, `/v1/models` and `/healthz`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
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
from .api_errors import INTERNAL, RequestError, invalid_body, invalid_request, server_error
from .asgi_run import ActiveRuns, AsgiRun
from .chat.replies import StreamedReply, WholeReply, error_response
from .chat.requests import asked_of
from .chat.schema import ChatRequest, ModelCard, ModelList
from .chat.several_answers import SeveralAnswers
from .messages.errors import ErrorResponse
from .messages.routes import messages_routes, model_response, models_response
from .model_names import Minds
from .responses.routes import responses_routes
from .served import LESS_EFFORT, Efforts, Served, SmallCalls

MAX_BODY_BYTES = 32 * 1024 * 1024

# The header by which Anthropic's clients are known, where a path is OpenAI's as well.
_ANTHROPIC = "anthropic-version"


def create_app(
    minds: Minds,
    *,
    allowed_hosts: Sequence[str] | None = None,
    efforts: Efforts = LESS_EFFORT,
    small_calls: SmallCalls | None = SmallCalls(),  # noqa: B008
) -> Starlette:
    """Return an ASGI application that offers each of `minds` as a model, under its name.

    It knows no users: whoever reaches it can spend your tokens.

    Args:
        minds: contemplators by the names by which clients ask for them. A name with a `*`, such as "claude-*", stands
            for all that look like it, the first that matches; no list of models shows it.
        allowed_hosts: what a request's `Host` header may say, as for Starlette's `TrustedHostMiddleware`; anything if
            None. On a loopback address, name it here: it keeps web pages out that pretend to be your own host.
        efforts: what answers a request whose client names an effort: a mode of the contemplator that is asked, or
            another contemplator, as in `{"low": "thinking", "xhigh": my_council}`. For those that are not named, the
            contemplator as it is; so for all with `{}`.
        small_calls: which requests are answered by one call: by default, a model's name with "-instant", and titles,
            tags and the like of well-known chat programs; none if None.

    Raises:
        ConfigurationError: there are no minds, or an effort or a mode is none.
    """
    return build_app(Served(minds, efforts, small_calls), ActiveRuns(), allowed_hosts=allowed_hosts)


def build_app(served: Served, runs: ActiveRuns, *, allowed_hosts: Sequence[str] | None = None) -> Starlette:
    """Return the same application; `runs` lets the caller end its runs."""
    backend = _Backend(served, runs)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with keep_connections(served):
            yield

    return Starlette(
        routes=[
            Route("/healthz", backend.health),
            Route("/v1/models", backend.models),
            Route("/v1/models/{model:path}", backend.model),
            Route("/v1/chat/completions", backend.chat, methods=["POST"]),
            *messages_routes(backend.mind, served.with_effort, read_body, runs),
            *responses_routes(backend.mind, read_body, runs, served),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts, www_redirect=False)],
        exception_handlers=dict.fromkeys((RequestError, HTTPException, ClientDisconnect, Exception), _error_response),
        lifespan=lifespan,
    )


@asynccontextmanager
async def keep_connections(served: Served) -> AsyncIterator[None]:
    """Keep the connections and toolsets of all minds from one run to the next."""
    by_effort = [each for each in served.efforts.values() if isinstance(each, Contemplator)]
    async with AsyncExitStack() as stack:
        for mind in {id(mind): mind for mind in (*served.minds.values(), *by_effort)}.values():
            await stack.enter_async_context(mind)
        yield


class _Backend:
    def __init__(self, served: Served, runs: ActiveRuns) -> None:
        self._served = served
        self._runs = runs
        self._created = int(time())

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        if _ANTHROPIC in request.headers:
            return models_response(self._served.names, self._created, request)
        return _json(ModelList(data=tuple(map(self._card, self._served.names))))

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        self.mind(name)
        if _ANTHROPIC in request.headers:
            return model_response(name, self._created, request)
        return _json(self._card(name))

    async def chat(self, request: Request) -> AsgiRun | SeveralAnswers:
        try:
            body = ChatRequest.model_validate_json(await read_body(request))
        except ValidationError as error:
            raise invalid_body(error) from None
        asked = self._served.with_effort(asked_of(body, self.mind(body.model)), body.reasoning_effort)
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        answers = body.n or 1
        reply = partial(StreamedReply, body.model, usage, answers) if body.stream else partial(WholeReply, body.model)
        several = answers > 1
        return SeveralAnswers(asked, answers, reply, self._runs) if several else AsgiRun(asked, reply, self._runs)

    def mind(self, name: str) -> Contemplator[Any]:
        mind = self._served.mind(name)
        if mind is None:
            message = f"there is no model {name!r}; there are: {', '.join(self._served.names)}"
            raise invalid_request(message, status=404, param="model", code="model_not_found")
        return mind

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
    form = ErrorResponse if request.url.path.startswith("/v1/messages") else error_response
    match error:
        case RequestError():
            return form(error.failure)
        case HTTPException():
            message = f"{request.method} {request.url.path}: {error.detail}"
            response = form(invalid_request(message, status=error.status_code).failure)
            response.headers.update(error.headers or {})
            return response
        case ClientDisconnect():
            return Response(status_code=400)
    return form(server_error(INTERNAL, code="internal_error"))
