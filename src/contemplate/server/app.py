"""The application: the routes, and what stands before all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import time
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from ..contemplator import Contemplator
from .active_runs import ActiveRuns
from .api_errors import RequestError, invalid_body, invalid_request
from .asgi_run import AsgiRun
from .chat.operations import OPERATIONS as CHAT
from .chat.replies import StreamedReply, WholeReply, error_response
from .chat.requests import asked_of
from .chat.schema import ChatRequest, ModelCard, ModelList
from .chat.several_answers import SeveralAnswers
from .effort import LESS_EFFORT, WELL_KNOWN_ANSWER_TOOLS, Efforts, Served, SmallCalls
from .error_forms import ErrorForms
from .health import OPERATIONS as HEALTH
from .health import Health
from .keys import RequireKey
from .messages.errors import ErrorResponse
from .messages.operations import OPERATIONS as MESSAGES
from .messages.routes import messages_routes, model_response, models_response
from .metrics import MEDIA_TYPE, ServerMetrics
from .offer import OfferedMinds, offered
from .openapi import openapi_document
from .request_body import read_json
from .responses.operations import OPERATIONS as RESPONSES
from .responses.routes import ResponsesRoutes
from .settings import ServerSettings
from .viewer.operations import OPERATIONS as VIEWER
from .viewer.routes import ViewerRoutes
from .viewer.served_runs import shown_runs
from .visit_book import VisitBook, write_run
from .visits import Count, Visit

# What the OpenAPI document tells, in the order in which it does.
OPERATIONS = (*CHAT, *RESPONSES, *MESSAGES, *HEALTH, *VIEWER)

# The forms of errors: OpenAI's, but for the paths of other APIs.
ERROR_FORMS = ErrorForms(error_response, {"/v1/messages": ErrorResponse})
_CORS_METHODS = ("GET", "POST", "DELETE")
_CORS_SHOWN = ("x-request-id", "retry-after", "x-should-retry")

# The header by which Anthropic's clients are known, where a path is OpenAI's as well.
_ANTHROPIC = "anthropic-version"


def create_app(
    minds: OfferedMinds,
    settings: ServerSettings = ServerSettings(),  # noqa: B008 - it is frozen
    *,
    efforts: Efforts = LESS_EFFORT,
    small_calls: SmallCalls | None = SmallCalls(),  # noqa: B008
    answer_tools: tuple[str, ...] = WELL_KNOWN_ANSWER_TOOLS,
    workers: str | None = None,
) -> Starlette:
    """Return an ASGI application that offers each of `minds` as a model, under its name.

    Without keys it knows no users: whoever reaches it can spend your tokens.

    Args:
        minds: contemplators by the names by which clients ask for them. A name with a `*`, such as "claude-*", stands
            for all that look like it, the first that matches; no list of models shows it. In place of a contemplator
            stands its own name, such as "app:mind" for `mind` in the module `app`, or one that was registered.
        settings: who may ask, how much, and how many at once.
        efforts: what answers a request whose client names an effort: a mode of the contemplator that is asked, or
            another contemplator, as in `{"low": "thinking", "xhigh": my_council}`. For those that are not named, the
            contemplator as it is; so for all with `{}`.
        small_calls: which requests are answered by one call: by default, a model's name with "-instant", and titles,
            tags and the like of well-known chat programs; none if None.
        answer_tools: the names of clients' tools that take the answer, such as Claude Code's "StructuredOutput": they
            are for whoever answers the whole question, and not for its parts. A `*` in a name stands for anything.
        workers: the journal on which workers carry out the runs, such as "postgresql://me@db/app"; this process does if
            None. Workers know contemplators by their own names, so that `minds` must have these.

    Raises:
        ConfigurationError: there are no minds, an effort or a mode is none, or the names of tools are one text; or
            something cannot travel to workers.
        MissingDependencyError: workers need the extra "cluster", and it is not installed.
    """
    served, runner = offered(minds, settings, efforts, small_calls, answer_tools, workers=workers)
    return build_app(served, settings, ActiveRuns(settings.max_runs, settings.max_queued, runner))


def build_app(served: Served, settings: ServerSettings, runs: ActiveRuns) -> Starlette:
    """Return the same application; `runs` lets the caller end its runs."""
    backend = _Backend(served, runs, settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with keep_open(served, runs, app):
            yield

    read = partial(read_json, settings=settings)
    responses = ResponsesRoutes(backend.mind, read, runs, served, settings, backend.count_run)
    routes = [
        Route("/healthz", backend.health),
        Route("/readyz", backend.ready),
        Route("/metrics", backend.metrics),
        Route("/openapi.json", backend.document),
        Route("/v1/models", backend.models),
        Route("/v1/models/{model:path}", backend.model),
        Route("/v1/chat/completions", backend.chat, methods=["POST"]),
        *messages_routes(backend.mind, served.with_effort, read, runs),
        *responses.routes(),
        *_viewer(served, settings, runs, backend.count_run),
    ]
    backend.counted = ServerMetrics(runs, routes, served.label)
    app = Starlette(
        routes=routes,
        middleware=middleware_of(settings, backend.counted),
        exception_handlers=exception_handlers(),
        lifespan=lifespan,
    )
    app.state.go_on = responses.go_on
    return app


def _viewer(served: Served, settings: ServerSettings, runs: ActiveRuns, count: Count) -> list[Route]:
    shown = shown_runs(served, runs, count, keys=bool(settings.keys))
    return ViewerRoutes(shown, settings).routes if settings.viewer else []


def exception_handlers() -> dict[type[Exception], ExceptionHandler]:
    """Return what answers the errors that routes raise."""
    return dict.fromkeys((RequestError, HTTPException, ClientDisconnect), _error_response)


def middleware_of(settings: ServerSettings, metrics: ServerMetrics) -> list[Middleware]:
    """Return what a request passes before the routes, from the outside in."""
    inner = []
    if settings.allowed_origins:
        inner.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=_CORS_METHODS,
                allow_headers=["*"],
                expose_headers=_CORS_SHOWN,
            )
        )
    if settings.keys:
        inner.append(Middleware(RequireKey, settings.keys, ERROR_FORMS))
    return [
        Middleware(VisitBook, ERROR_FORMS, metrics, settings),
        Middleware(TrustedHostMiddleware, settings.allowed_hosts, www_redirect=False),
        *inner,
    ]


@asynccontextmanager
async def keep_open(served: Served, runs: ActiveRuns, app: Starlette) -> AsyncIterator[None]:
    """Keep open what runs need from one to the next, and go on with what was left."""
    async with runs.runner.opened(served.contemplators):
        await app.state.go_on()
        yield


class _Backend:
    counted: ServerMetrics

    def __init__(self, served: Served, runs: ActiveRuns, settings: ServerSettings) -> None:
        self._served = served
        self._runs = runs
        self._settings = settings
        self._created = int(time())

    def count_run(self, visit: Visit, seconds: float) -> None:
        write_run(self.counted, visit, seconds)

    async def health(self, request: Request) -> Response:
        return _json(Health(status="ok"))

    async def ready(self, request: Request) -> Response:
        ready = self._runs.ready
        return _json(Health(status="ready" if ready else "stopping"), 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self.counted.text(), media_type=MEDIA_TYPE)

    async def document(self, request: Request) -> Response:
        there = [each for each in OPERATIONS if self._settings.viewer or each not in VIEWER]
        return JSONResponse(openapi_document(there))

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
            body = ChatRequest.model_validate_json(await read_json(request, self._settings))
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


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")


async def _error_response(request: Request, error: Exception) -> Response:
    path = request.url.path
    match error:
        case RequestError():
            return ERROR_FORMS.response(path, error.failure)
        case HTTPException():
            message = f"{request.method} {path}: {error.detail}"
            response = ERROR_FORMS.response(path, invalid_request(message, status=error.status_code).failure)
            response.headers.update(error.headers or {})
            return response
    # The client went before its request was whole.
    return Response(status_code=400)
